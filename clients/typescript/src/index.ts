import { ApiError, ConnectionError, type GraphQLError } from "./errors.js";
import {
  EventCursorDocument,
  RevealCredentialsDocument,
  ServiceEventsDocument,
  type ServiceEventFragment,
  type TypedDocumentString,
} from "./generated.js";
import { results } from "./stream.js";

export * from "./errors.js";
export * from "./generated.js";

export interface Options {
  /** The address that everything is at, such as `https://services.example/graphql`. */
  url: string;
  /** The platform's token, or what gives it; it is asked anew for each request and each time a stream is resumed. */
  token: string | (() => string | Promise<string>);
  /** In place of the global one. */
  fetch?: typeof fetch;
}

export interface EventOptions {
  /** The cursor of the last event that was seen; what happens from now on when left out. */
  after?: string;
  /** Ends the stream. */
  signal?: AbortSignal;
  /** Hears of a stream that was lost and is about to be resumed; with the how many-eth time in a row that is. */
  lost?: (error: unknown, attempts: number) => void;
}

/** What there is no use in asking again for. */
const LASTING = new Set(["FORBIDDEN", "NOT_FOUND", "BAD_USER_INPUT", "CURSOR_EXPIRED", "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED"]);

/** The longest pause between two attempts to resume, in milliseconds. */
const LONGEST_PAUSE = 10_000;

interface Answer<R> {
  data?: R | null;
  errors?: GraphQLError[];
}

/** A client of one server. */
export class ProjectServices {
  readonly #options: Options;

  constructor(options: Options) {
    this.#options = options;
  }

  /**
   * Runs a query or a mutation. Throws an `ApiError` when anything of it failed, and a `ConnectionError` when there was no
   * answer.
   */
  async request<R, V>(document: TypedDocumentString<R, V>, variables: V, signal?: AbortSignal): Promise<R> {
    const response = await this.#post(document, variables, "application/graphql-response+json", signal);
    const answer = (await response.json().catch((cause: unknown) => {
      throw new ConnectionError(`The answer, of status ${response.status}, is not the server's`, { cause });
    })) as Answer<R>;
    return dataOf(answer);
  }

  /**
   * The events of a project, in order, none lost, none twice: a stream that is lost is resumed behind the last event that
   * was given. Throws an `ApiError` where that makes no sense; after CURSOR_EXPIRED read the services anew and go on from
   * their `eventCursor`.
   */
  async *serviceEvents(projectId: string, options: EventOptions = {}): AsyncGenerator<ServiceEventFragment, void> {
    const { signal, lost } = options;
    let after = options.after;
    let attempts = 0;
    while (!signal?.aborted) {
      try {
        // Without one, what happens before the stream is there would be missed.
        after ??= (await this.request(EventCursorDocument, { projectId }, signal)).services.eventCursor;
        const accept = "text/event-stream";
        const response = await this.#post(ServiceEventsDocument, { projectId, after }, accept, signal);
        if (!response.body || !response.headers.get("content-type")?.startsWith(accept)) {
          throw new ApiError(((await response.json()) as Answer<never>).errors ?? []);
        }
        for await (const json of results(response.body)) {
          const { serviceEvents } = dataOf(JSON.parse(json) as Answer<{ serviceEvents: ServiceEventFragment }>);
          // It may have come with others before it was no longer wanted.
          if (signal?.aborted) return;
          attempts = 0;
          after = serviceEvents.cursor;
          yield serviceEvents;
        }
        throw new ConnectionError("The server has ended the stream");
      } catch (error) {
        if (signal?.aborted) return;
        attempts += 1;
        const { code, retryAfter } = error instanceof ApiError ? error : { code: "", retryAfter: undefined };
        // A token that has expired is worth another one, once.
        if (LASTING.has(code) || (code === "UNAUTHENTICATED" && attempts > 1)) throw error;
        lost?.(error, attempts);
        await pause(retryAfter ? retryAfter * 1000 : Math.min(LONGEST_PAUSE, 100 * 2 ** attempts) * Math.random(), signal);
      }
    }
  }

  /** The environment to connect to a service with, in clear. That it was revealed becomes an event. */
  async credentials(id: string): Promise<Record<string, string>> {
    const { revealCredentials } = await this.request(RevealCredentialsDocument, { id });
    return Object.fromEntries(revealCredentials?.credentials.map(({ key, value }) => [key, value]) ?? []);
  }

  async #post<R, V>(document: TypedDocumentString<R, V>, variables: V, accept: string, signal?: AbortSignal) {
    const { url, token, fetch: send = fetch } = this.#options;
    const authorization = `Bearer ${typeof token === "string" ? token : await token()}`;
    const headers = { accept, authorization, "content-type": "application/json" };
    const body = JSON.stringify({ query: document.toString(), variables });
    return send(url, { method: "POST", headers, body, signal: signal ?? null }).catch((cause: unknown) => {
      throw new ConnectionError("The server can't be reached", { cause });
    });
  }
}

/** An environment in the form of a `.env` file. */
export function dotenv(environment: Record<string, string>): string {
  const line = ([key, value]: [string, string]) => `${key}=${/^[\w:/@.+-]*$/.test(value) ? value : JSON.stringify(value)}\n`;
  return Object.entries(environment).map(line).join("");
}

function dataOf<R>({ data, errors }: Answer<R>): R {
  if (errors?.length || !data) throw new ApiError(errors ?? []);
  return data;
}

function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}

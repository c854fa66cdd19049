import { createClient } from "graphql-ws";
import type { TypedDocumentString } from "./generated";
import { expired, refuse, session } from "./session";
import { Store } from "./store";

const endpoint = new URL("graphql", document.baseURI);

/** Close codes of a server that refuses the token, or wants one. */
const REFUSED = new Set([4401, 4403]);

/** What the same request would get again. */
const LASTING = new Set([
  "FORBIDDEN",
  "NOT_FOUND",
  "BAD_USER_INPUT",
  "CURSOR_EXPIRED",
  "GRAPHQL_PARSE_FAILED",
  "GRAPHQL_VALIDATION_FAILED",
]);

/** How often to see whether the server is still there, and how long it may take to answer, in milliseconds. */
const HEARTBEAT = 10_000;

/** How long an answer may take, in milliseconds: a little longer than the server takes by itself. */
const PATIENCE = 40_000;

/** The longest pause between two attempts to connect, in milliseconds. */
const LONGEST_PAUSE = 8_000;

type Details = Record<string, unknown>;

/** Why something did not work, as the API says it. */
export class ApiError extends Error {
  constructor(
    message: string,
    /** The API's `extensions.code`, or OFFLINE when it was not reached. */
    readonly code: string,
    /** Which input is wrong. */
    readonly field?: string,
    /** What else the API says about it. */
    readonly details?: Details,
  ) {
    super(message);
  }

  static of(reason: unknown): ApiError {
    if (reason instanceof ApiError) return reason;
    const [first] = Array.isArray(reason) ? (reason as GraphQLError[]) : [];
    if (first) {
      const { code = "UNKNOWN", field, ...details } = first.extensions ?? {};
      return new ApiError(first.message, code, field, details);
    }
    if (reason instanceof CloseEvent && REFUSED.has(reason.code)) return new ApiError(reason.reason, "UNAUTHENTICATED");
    return new ApiError("The server can’t be reached.", "OFFLINE");
  }
}

interface GraphQLError {
  message: string;
  extensions?: { code?: string; field?: string } & Details;
}

/** Whether changes reach this page as they happen. */
export const connected = new Store(false);

const socket = createClient({
  url: endpoint.href.replace(/^http/, "ws"),
  connectionParams: () => ({ Authorization: `Bearer ${session.value?.token}` }),
  keepAlive: HEARTBEAT,
  // `watch` tries again, since each attempt goes on from another place.
  retryAttempts: 0,
});
socket.on("connected", () => connected.set(true));
socket.on("closed", () => connected.set(false));
let silence: ReturnType<typeof setTimeout> | undefined;
socket.on("ping", (received) => {
  if (!received) silence = setTimeout(() => socket.terminate(), HEARTBEAT);
});
socket.on("pong", (received) => received && clearTimeout(silence));
socket.on("closed", () => clearTimeout(silence));
// A connection keeps the token that it was opened with.
session.subscribe(() => socket.terminate());
expired.subscribe((refused) => refused && socket.terminate());
window.addEventListener("offline", () => socket.terminate());

/** Sends a query or a mutation. */
export async function send<R, V>(document: TypedDocumentString<R, V>, variables: V): Promise<R> {
  const token = session.value?.token ?? "";
  const answer = await fetch(endpoint, {
    method: "POST",
    headers: {
      Accept: "application/graphql-response+json",
      "Content-Type": "application/json",
      Authorization: `Bearer ${token}`,
    },
    body: JSON.stringify({ query: document.toString(), variables }),
    signal: AbortSignal.timeout(PATIENCE),
  })
    .then((response) => response.json() as Promise<{ data?: R; errors?: GraphQLError[] }>)
    .catch(() => ({ errors: undefined, data: undefined }));
  if (answer.data && !answer.errors) return answer.data;
  const error = ApiError.of(answer.errors);
  if (error.code === "UNAUTHENTICATED") refuse(token);
  throw error;
}

/** What becomes of a subscription. */
export interface Sink<R> {
  next(data: R): void;
  /** It is over, and there will be no more. */
  ended?(): void;
  /** It does not work, and won't. */
  failed?(error: ApiError): void;
}

/**
 * Subscribes, and again after each break, with the variables that are right by then. Gives back what ends it.
 */
export function watch<R, V>(document: TypedDocumentString<R, V>, variables: () => V, sink: Sink<R>): () => void {
  let attempts = 0;
  let cancel = () => {};
  const subscribe = () => {
    const token = session.value?.token ?? "";
    let failure: ApiError | undefined;
    const end = (error: ApiError | undefined) => {
      if (!error) return sink.ended?.();
      if (LASTING.has(error.code)) return sink.failed?.(error);
      if (error.code === "UNAUTHENTICATED") {
        if (session.value?.token === token) refuse(token);
        cancel = afterSignIn(token, subscribe);
      } else {
        cancel = afterPause(attempts++, subscribe);
      }
    };
    cancel = socket.subscribe<R>(
      { query: document.toString(), variables: variables() as Record<string, unknown> },
      {
        next: ({ data, errors }) => {
          if (errors?.length) failure = ApiError.of(errors);
          else if (data) {
            attempts = 0;
            sink.next(data);
          }
        },
        error: (reason) => end(ApiError.of(reason)),
        complete: () => end(failure),
      },
    );
  };
  subscribe();
  let ended = false;
  return () => {
    if (ended) return;
    ended = true;
    sink = { next() {} };
    cancel();
  };
}

function afterSignIn(refused: string, go: () => void): () => void {
  if (session.value?.token !== refused) return afterPause(0, go);
  const end = session.subscribe(() => {
    end();
    go();
  });
  return end;
}

/** Goes after a pause, a longer one after each attempt, or at once when the browser is online or looked at again. */
function afterPause(attempts: number, go: () => void): () => void {
  const pause = Math.min(250 * 2 ** attempts, LONGEST_PAUSE) * (0.75 + Math.random() / 2);
  const wake = () => {
    if (!document.hidden) then();
  };
  const cancel = () => {
    clearTimeout(timer);
    window.removeEventListener("online", wake);
    document.removeEventListener("visibilitychange", wake);
  };
  const then = () => {
    cancel();
    go();
  };
  const timer = setTimeout(then, pause);
  window.addEventListener("online", wake);
  document.addEventListener("visibilitychange", wake);
  return cancel;
}

import { ApiError, send, watch } from "./api";
import { ChangesDocument, DestroyedDocument, ServicesDocument, type ServicesQuery } from "./generated";
import { type Change, NOTHING, reduce, type Service, type ServiceEvent, type State } from "./state";
import { Store } from "./store";

/** A project's services, as they are and as they become. */
export class Project {
  readonly state = new Store<State>(NOTHING);
  /** Whether all services have been read once. */
  readonly loaded = new Store(false);
  /** Why they can't be read. */
  readonly error = new Store<ApiError | null>(null);
  /** Whether there are destroyed ones that were not read; null before any was. */
  readonly moreDestroyed = new Store<boolean | null>(null);
  /** The event that came last. */
  readonly event = new Store<ServiceEvent | null>(null);

  #waiting: Change[] = [];
  #end = () => {};
  #closed = false;
  #beforeDestroyed: string | null = null;

  constructor(readonly id: string) {}

  async open(): Promise<void> {
    this.error.set(null);
    try {
      await this.read();
      if (this.#closed) return;
      this.loaded.set(true);
      this.#end = watch(ChangesDocument, () => ({ project: this.id, after: this.#cursor() }), {
        next: ({ serviceEvents: event }) => {
          this.#change({ kind: "event", event });
          this.event.set(event);
        },
        failed: (error) => {
          if (error.code === "CURSOR_EXPIRED") void this.#begin();
          else this.error.set(error);
        },
      });
    } catch (error) {
      this.error.set(ApiError.of(error));
    }
  }

  /** Begins anew: what happened while this page was away is not told any more. */
  async #begin(): Promise<void> {
    this.#draw();
    this.#change({ kind: "lost" });
    await this.open();
  }

  close(): void {
    this.#closed = true;
    this.#end();
  }

  /** Reads all services; also again, for what another token allows. */
  async read(): Promise<void> {
    let after: string | null = null;
    do {
      const { services }: ServicesQuery = await send(ServicesDocument, { project: this.id, after });
      this.#change({ kind: "page", services: services.nodes, eventCursor: services.eventCursor });
      after = services.pageInfo.hasNextPage ? services.pageInfo.endCursor : null;
    } while (after && !this.#closed);
    this.#draw();
  }

  /** Reads those that are destroyed, the latest first; each time some more. */
  async readDestroyed(): Promise<void> {
    const { services } = await send(DestroyedDocument, { project: this.id, before: this.#beforeDestroyed });
    this.#change({ kind: "page", services: services.nodes, eventCursor: services.eventCursor });
    this.#draw();
    this.#beforeDestroyed = services.pageInfo.startCursor ?? this.#beforeDestroyed;
    this.moreDestroyed.set(services.pageInfo.hasPreviousPage);
  }

  /** Takes what a mutation answered. */
  answered(service: Service): void {
    this.#change({ kind: "answer", service });
  }

  #cursor(): string | null {
    this.#draw();
    return this.state.value.cursor;
  }

  /** Changes that come together are shown together, in the browser's next picture. */
  #change(change: Change): void {
    this.#waiting.push(change);
    if (this.#waiting.length > 1) return;
    if (document.hidden) setTimeout(this.#draw);
    else requestAnimationFrame(this.#draw);
  }

  readonly #draw = () => {
    if (this.#waiting.length === 0) return;
    const changes = this.#waiting;
    this.#waiting = [];
    this.state.set(reduce(this.state.value, changes));
  };
}

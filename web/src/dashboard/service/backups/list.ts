import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ApiError, connected, send } from "../../api";
import { BackupsDocument, type BackupsQuery } from "../../generated";
import { announce } from "../../parts/announcer";
import type { Project } from "../../project";
import type { RecoveryWindow } from "./moments";
import { answered, type Backup, news, taken } from "./telling";

/** How long to wait for more events before the backups are read again, in milliseconds: they come in groups. */
const PAUSE = 200;

interface Read {
  backups: readonly Backup[];
  more: boolean;
  /** What it can be brought back to. */
  window: RecoveryWindow | null;
}

/** A service's backups, newest first, as they are and as they become: each change of one is an event of the service. */
export function useBackups(project: Project, id: string) {
  const [list, setList] = useState<Read | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const known = useRef<readonly Backup[]>([]);
  const show = (backups: readonly Backup[], read?: Read) => {
    known.current = backups;
    setList((list) => ({ more: false, window: null, ...list, ...read, backups }));
  };
  // It is told to many that stay, so that it stays the same itself.
  const reader = useMemo(() => new Reader(id, (all) => tell(all), setError), []);
  const tell = (read: Read) => {
    const before = new Map(known.current.map((backup) => [backup.id, backup]));
    const now = taken(known.current, read.backups);
    for (const backup of now) {
      const text = news(before.get(backup.id), backup);
      if (text) announce(text);
    }
    show(now, read);
  };
  useEffect(() => {
    const ends = [
      project.event.subscribe((event) => event?.serviceId === id && reader.soon()),
      // What happened meanwhile may not be told any more.
      connected.subscribe((live) => live && reader.soon()),
    ];
    void reader.read();
    return () => {
      for (const end of ends) end();
      reader.close();
    };
  }, []);
  return {
    backups: list?.backups ?? null,
    more: list?.more ?? false,
    window: list?.window ?? null,
    error,
    again: () => reader.read(),
    showMore: () => reader.further(),
    /** Takes what a mutation answered. */
    take: (backup: Backup) => show(answered(known.current, backup)),
  };
}

/** Reads as many pages as are shown, once at a time. */
class Reader {
  #pages = 1;
  #reading = false;
  #again = false;
  #closed = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly id: string,
    readonly done: (all: Read) => void,
    readonly failed: (error: ApiError | null) => void,
  ) {}

  soon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.read();
    }, PAUSE);
  }

  async further(): Promise<void> {
    this.#pages++;
    await this.read();
  }

  async read(): Promise<void> {
    // What is being read may be older than what was to be read.
    this.#again = true;
    if (this.#reading) return;
    this.#reading = true;
    try {
      while (this.#again && !this.#closed) {
        this.#again = false;
        const all = await this.#all();
        if (this.#closed) return;
        this.failed(null);
        this.done(all);
      }
    } catch (reason) {
      if (!this.#closed) this.failed(ApiError.of(reason));
    } finally {
      this.#reading = false;
    }
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  async #all(): Promise<Read> {
    const backups: Backup[] = [];
    let after: string | null = null;
    let window: RecoveryWindow | null = null;
    for (let page = 0; page < this.#pages; page++) {
      const { backups: { nodes, pageInfo }, recoveryWindow } = await pageOf(this.id, after);
      backups.push(...nodes);
      window = recoveryWindow;
      if (!pageInfo.hasNextPage) return { backups, more: false, window };
      after = pageInfo.endCursor;
    }
    return { backups, more: true, window };
  }
}

async function pageOf(id: string, after: string | null): Promise<NonNullable<BackupsQuery["service"]>> {
  const { service } = await send(BackupsDocument, { id, after });
  if (!service) throw new ApiError("There is no such service, or it is not yours to see.", "NOT_FOUND");
  return service;
}

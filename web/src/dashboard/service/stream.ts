import { useEffect, useState } from "preact/hooks";
import { type ApiError, watch } from "../api";
import { LogsDocument, type LogsSubscription } from "../generated";
import { instant } from "../state";

export type Line = LogsSubscription["serviceLogs"] & { number: number };

/** How many lines of the past to begin with, and how many to keep. */
const PAST = 200;
const KEPT = 2000;

/** A service's log as it comes, its last lines first; after a break it goes on where it was. */
export function useLines(id: string): { lines: readonly Line[]; error: ApiError | null } {
  const [lines, setLines] = useState<readonly Line[]>([]);
  const [error, setError] = useState<ApiError | null>(null);
  useEffect(() => {
    let last: string | null = null;
    let resumed: string | null = null;
    let number = 0;
    let waiting: Line[] = [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    const draw = () => {
      const fresh = waiting;
      waiting = [];
      timer = undefined;
      setLines((lines) => [...lines, ...fresh].slice(-KEPT));
    };
    const end = watch(
      LogsDocument,
      () => {
        resumed = last;
        return { id, tail: last ? KEPT : PAST, since: last };
      },
      {
        next: ({ serviceLogs: line }) => {
          // The line that was last is among those since then.
          if (resumed && instant(line.occurredAt) <= instant(resumed)) return;
          last = line.occurredAt;
          waiting.push({ ...line, number: number++ });
          timer ??= setTimeout(draw, 50);
        },
        failed: setError,
      },
    );
    return () => {
      end();
      clearTimeout(timer);
    };
  }, []);
  return { lines, error };
}

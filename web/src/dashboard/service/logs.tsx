import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { type ApiError, connected, watch } from "../api";
import { LogsDocument, type LogsSubscription } from "../generated";
import { Failure, Notice } from "../parts/failure";
import { instant, type Service } from "../state";
import { useStore } from "../store";
import { atLength, timeOfDay } from "../words";

type Line = LogsSubscription["serviceLogs"] & { number: number };

/** How many lines of the past to begin with, and how many to keep. */
const PAST = 200;
const KEPT = 2000;

/** What the server inside writes, as it comes. */
export function Logs({ service }: { service: Service }) {
  const live = useStore(connected);
  const [lines, setLines] = useState<Line[]>([]);
  const [error, setError] = useState<ApiError | null>(null);
  const [filter, setFilter] = useState("");
  const [following, setFollowing] = useState(true);
  const box = useRef<HTMLDivElement>(null);

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
        return { id: service.id, tail: last ? KEPT : PAST, since: last };
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
  useLayoutEffect(() => {
    if (following && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines, following, filter]);
  useEffect(() => {
    if (!box.current || !following) return;
    const resized = new ResizeObserver(([entry]) => entry?.target.scrollTo(0, entry.target.scrollHeight));
    resized.observe(box.current);
    return () => resized.disconnect();
  }, [following]);

  if (error) return <Failure error={error} />;
  if (service.state === "DESTROYED") return <Notice level="h3" sign="boxes" title="Destroyed, and its log with it" />;
  const wanted = filter.trim().toLowerCase();
  const shown = wanted ? lines.filter(({ text }) => text.toLowerCase().includes(wanted)) : lines;
  return (
    <>
      <div class="bar">
        <label class="filter">
          <span class="unseen">Only lines with</span>
          <input
            type="search"
            placeholder="Only lines with…"
            value={filter}
            onInput={(event) => setFilter(event.currentTarget.value)}
          />
        </label>
        <label class="check">
          <input
            type="checkbox"
            checked={following}
            onChange={(event) => setFollowing(event.currentTarget.checked)}
          />
          Follow
        </label>
      </div>
      <div
        class="log"
        ref={box}
        role="log"
        aria-live="off"
        aria-label="Log"
        tabIndex={0}
        onScroll={({ currentTarget: at }) => setFollowing(at.scrollHeight - at.scrollTop - at.clientHeight < 24)}
      >
        {shown.map((line) => (
          <p key={line.number}>
            <time dateTime={line.occurredAt} title={atLength(line.occurredAt)}>
              {timeOfDay(line.occurredAt)}
            </time>
            {line.text}
          </p>
        ))}
        {shown.length === 0 && (
          <p class="quiet">
            {lines.length > 0
              ? "No line contains that."
              : live
                ? "Nothing has been written yet. Lines show here as they come."
                : "The log can’t be read while the connection is away."}
          </p>
        )}
      </div>
    </>
  );
}

/** Instead of the log for who may not read it: asking all the same would stand in the history as refused. */
export function NoLogs() {
  return (
    <Notice level="h3" sign="lock" title="You can’t read this log">
      <p>
        It needs the permission <code>project:settings</code>. Ask somebody who manages the project for it.
      </p>
    </Notice>
  );
}

import { useEffect, useState } from "preact/hooks";
import { atLength, span } from "../words";

/** The time, again after each so many milliseconds. */
export function useNow(every = 1000): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), every);
    return () => clearInterval(timer);
  }, [every]);
  return now;
}

/** How long it is since then, counting on. */
export function Elapsed({ since }: { since: string }) {
  return <span class="elapsed">{span(useNow() - Date.parse(since))}</span>;
}

/** When it was: how long ago, and the time itself when pointed at. */
export function Ago({ time }: { time: string }) {
  return (
    <time dateTime={time} title={atLength(time)}>
      {span(useNow() - Date.parse(time))} ago
    </time>
  );
}

// What a chart shows of a range, from what was read of it and what is seen meanwhile. Nothing here talks to anybody.

import type { MetricsRange } from "../generated";
import type { Sample } from "../usage";
import { Live, type Measured, measured, type MetricsHistory } from "./series";

export const RANGES: Record<MetricsRange, { name: string; milliseconds: number }> = {
  HOUR: { name: "1 h", milliseconds: 3_600_000 },
  SIX_HOURS: { name: "6 h", milliseconds: 6 * 3_600_000 },
  DAY: { name: "24 h", milliseconds: 24 * 3_600_000 },
};

export interface Past {
  /** Oldest first. */
  steps: readonly Measured[];
  from: number;
  to: number;
  /** How long a step is, in milliseconds. */
  step: number;
  limits: Pick<MetricsHistory, "cpuLimitMillis" | "memoryLimitMib" | "storageLimitMib" | "connectionsLimit">;
}

/** What was read, and what has been seen since. */
export interface Read {
  readonly range: MetricsRange;
  readonly history: MetricsHistory;
  readonly live: Live;
}

/** Takes a history. What was seen behind the one of before stays, as long as the range does. */
export function taken(before: Read | null, range: MetricsRange, history: MetricsHistory): Read {
  return { range, history, live: before?.range === range ? before.live : new Live(history.stepSeconds * 1000) };
}

/** What there is to show of a range; null while only another one was read. An hour goes on with each sample. */
export function pastOf(read: Read | null, range: MetricsRange, sample: Sample | null): Past | null {
  if (read?.range !== range) return null;
  const { history, live } = read;
  const step = history.stepSeconds * 1000;
  const isLive = range === "HOUR";
  if (sample && isLive) live.add(sample);
  const steps = isLive ? live.behind(measured(history)) : measured(history);
  const end = Date.parse(history.to);
  const to = Math.max(end, (steps.at(-1)?.at ?? 0) + step);
  const from = to - (end - Date.parse(history.from));
  return { steps: steps.filter(({ at }) => at >= from), from, to, step, limits: history };
}

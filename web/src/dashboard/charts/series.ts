// What was measured over a time, and where nothing was. Nothing here talks to anybody.

import type { MetricsHistoryQuery } from "../generated";
import type { Sample } from "../usage";

export type MetricsHistory = NonNullable<MetricsHistoryQuery["serviceMetricsHistory"]>;

/** A value at a time, in milliseconds. */
export interface Point {
  readonly at: number;
  readonly value: number;
}

/** All that was measured in a step, which begins at its time. */
export interface Measured {
  readonly at: number;
  readonly cpuMillis: number;
  readonly memoryMib: number;
  readonly storageMib: number | null;
  readonly connections: number | null;
}

/** How often storage and connections are counted, in milliseconds. */
export const COUNTED_EVERY = 300_000;

/** How much later than it should a value may come before something is missing: a clock that is a little late skips a minute. */
const SLACK = 72_000;

/** The points in runs without a gap; a gap is where the next one comes much later than `every`. */
export function runs(points: readonly Point[], every: number): Point[][] {
  const found: Point[][] = [];
  let last = -Infinity;
  for (const point of points) {
    if (point.at - last > every + SLACK) found.push([]);
    found.at(-1)?.push(point);
    last = point.at;
  }
  return found;
}

/**
 * The times within a range in which nothing was measured, each from when to when. A value stands for the step behind it; at both
 * ends of the range a step may be under way.
 */
export function gaps(points: readonly Point[], from: number, to: number, every: number): [number, number][] {
  const found: [number, number][] = [];
  let covered = from;
  let late = every + SLACK;
  for (const { at } of points) {
    if (at - covered > late) found.push([covered, at]);
    covered = at + every;
    late = SLACK;
  }
  if (to - covered > every + SLACK) found.push([covered, to]);
  return found;
}

/** The index of the point that is nearest to a time; -1 where there is none. */
export function nearest(points: readonly Point[], at: number): number {
  let best = -1;
  let distance = Infinity;
  for (const [index, point] of points.entries()) {
    if (Math.abs(point.at - at) >= distance) break;
    distance = Math.abs(point.at - at);
    best = index;
  }
  return best;
}

export function measured(history: MetricsHistory): Measured[] {
  return history.points.map(({ measuredAt, ...figures }) => ({ at: Date.parse(measuredAt), ...figures }));
}

/** What is measured while somebody looks, second by second, made into steps as the history has them: the CPU's mean, and the most memory. */
export class Live {
  readonly #steps = new Map<number, { count: number; cpu: number; memory: number; last: Sample }>();

  #latest: Sample | undefined;

  constructor(readonly step: number) {}

  /** Takes a sample, and the same one only once. */
  add(sample: Sample): void {
    if (sample === this.#latest) return;
    this.#latest = sample;
    const at = Math.floor(Date.parse(sample.measuredAt) / this.step) * this.step;
    const { count, cpu, memory } = this.#steps.get(at) ?? { count: 0, cpu: 0, memory: 0 };
    this.#steps.set(at, { count: count + 1, cpu: cpu + sample.cpuMillis, memory: Math.max(memory, sample.memoryMib), last: sample });
  }

  /** A history that goes on with this. Of its last step, which may be under way, more is known here. */
  behind(history: readonly Measured[]): Measured[] {
    const last = history.at(-1)?.at ?? -Infinity;
    const steps = [...this.#steps]
      .filter(([at]) => at >= last)
      .sort(([a], [b]) => a - b)
      .map(([at, { count, cpu, memory, last }]) => ({
        at,
        cpuMillis: cpu / count,
        memoryMib: memory,
        storageMib: last.storageMib,
        connections: last.connections,
      }));
    return withCounts(history.filter(({ at }) => at !== steps[0]?.at), steps);
  }
}

/** Steps behind others. Each sample repeats the last count, which is another one only after a while, or where it differs. */
function withCounts(before: readonly Measured[], steps: readonly Measured[]): Measured[] {
  let last = before.findLast(({ storageMib, connections }) => storageMib !== null || connections !== null);
  const counted = steps.map((step) => {
    const repeats = last && step.at - last.at < COUNTED_EVERY && step.storageMib === last.storageMib && step.connections === last.connections;
    if (repeats) return { ...step, storageMib: null, connections: null };
    last = step;
    return step;
  });
  return [...before, ...counted];
}

/** One figure of what was measured, where it is known. */
export function figure(steps: readonly Measured[], of: (step: Measured) => number | null): Point[] {
  return steps.flatMap((step) => {
    const value = of(step);
    return value === null ? [] : [{ at: step.at, value }];
  });
}

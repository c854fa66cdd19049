// Where the marks of an axis stand: at round values, and at round times of the viewer's clock.

const MINUTE = 60_000;

/** Steps of a time axis, in minutes. Each divides the next larger unit, so that marks stand at the same minutes of each hour. */
const TIME_STEPS = [5, 10, 15, 30, 60, 120, 180, 360, 720];

/** Round values from 0 to `top`, about so many. Binary ones for sizes, so that they are round in MiB and GiB. */
export function valueTicks(top: number, about: number, kind: "decimal" | "whole" | "binary"): number[] {
  const rough = top / about;
  const step = kind === "binary" ? 2 ** Math.ceil(Math.log2(rough)) : decimalStep(kind === "whole" ? Math.max(rough, 1) : rough);
  // Counted, not added up: 0.1 three times is not 0.3.
  return Array.from({ length: Math.floor(top / step + 1e-9) + 1 }, (_, index) => Number((index * step).toPrecision(12)));
}

function decimalStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  return (([1, 2, 5].find((factor) => factor * power >= rough * (1 - 1e-9)) ?? 10) as number) * power;
}

/** Round times between two, about so many, in milliseconds. They are round where the viewer is, also when clocks change. */
export function timeTicks(from: number, to: number, about: number): number[] {
  const rough = (to - from) / MINUTE / Math.max(about, 1);
  const step = TIME_STEPS.find((step) => step >= rough) ?? 1440;
  const begin = new Date(from);
  begin.setHours(0, 0, 0, 0);
  const found: number[] = [];
  for (let minutes = 0; ; minutes += step) {
    // The hour and minute of a wall clock: where an hour is left out or comes twice, a day has no 1440 minutes.
    const at = new Date(begin.getFullYear(), begin.getMonth(), begin.getDate(), 0, minutes).getTime();
    if (at > to) return found;
    if (at >= from && at > (found.at(-1) ?? -Infinity)) found.push(at);
  }
}

const hour = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const both = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" });

/** The time of day; at midnight the day. */
export function timeLabel(at: number): string {
  const date = new Date(at);
  return date.getHours() === 0 && date.getMinutes() === 0 ? day.format(date) : hour.format(date);
}

/** Day and time, for a value that stands alone. */
export function timeInFull(at: number): string {
  return both.format(new Date(at));
}

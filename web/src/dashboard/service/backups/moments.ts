// The moments that a service can be brought back to, in plain words and as an input has them. Nothing here talks to anybody.

import type { BackupsQuery } from "../../generated";
import type { Service } from "../../state";
import { atLength, span } from "../../words";

export type RecoveryWindow = NonNullable<NonNullable<BackupsQuery["service"]>["recoveryWindow"]>;

const SECOND = 1000;

/** What is written reaches the place where backups are kept within this, in milliseconds. */
const USUAL_LAG = 60 * SECOND;

/** A time as an input for the browser's own time zone has it, to the second. */
function local(milliseconds: number): string {
  const offset = new Date(milliseconds).getTimezoneOffset() * 60 * SECOND;
  return new Date(milliseconds - offset).toISOString().slice(0, 19);
}

/** The first whole second of a window, and its last. */
export function boundsOf({ earliest, latest }: RecoveryWindow): { min: string; max: string } {
  const first = Math.ceil(Date.parse(earliest) / SECOND) * SECOND;
  const last = Math.floor(Date.parse(latest) / SECOND) * SECOND;
  return { min: local(first), max: local(last) };
}

/** The next whole minute, as an input has it. */
export function soonest(now: number): string {
  return local((Math.floor(now / (60 * SECOND)) + 1) * 60 * SECOND);
}

/** What was put into an input, as the API takes it; null where that is no time. */
export function timeIn(typed: string): string | null {
  const time = new Date(typed);
  return Number.isNaN(time.getTime()) ? null : time.toISOString();
}

/** What is wrong with a moment, before the API has to say so. */
export function problemOf(typed: string, { earliest, latest, gaps }: RecoveryWindow): string | null {
  const time = timeIn(typed);
  if (!time) return "Write day and time, to the second.";
  const at = Date.parse(time);
  if (at < Date.parse(earliest) || at > Date.parse(latest)) {
    return `It can be brought back to any moment from ${atLength(earliest)} to ${atLength(latest)}.`;
  }
  const gap = gaps.find(({ from, to }) => Date.parse(from) < at && at < Date.parse(to));
  return gap ? `It can’t be brought back to a moment between ${atLength(gap.from)} and ${atLength(gap.to)}.` : null;
}

/** What is to be known of a window that stays behind; null where it does not. */
export function lagOf({ latest }: RecoveryWindow, { state, backupPolicy }: Pick<Service, "state" | "backupPolicy">, now: number): string | null {
  const lag = now - Date.parse(latest);
  if (state !== "RUNNING" || !backupPolicy?.pointInTime || lag <= 2 * USUAL_LAG) return null;
  return `It is ${span(lag)} behind: what was written since has yet to reach the place where backups are kept.`;
}

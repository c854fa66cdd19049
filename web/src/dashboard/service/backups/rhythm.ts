// When a service is backed up by itself, in plain words and as a form has it. Nothing here talks to anybody.

import type { ServiceKind, SetBackupPolicyInput } from "../../generated";
import type { Service } from "../../state";

export type Policy = NonNullable<Service["backupPolicy"]>;

/** The kinds of which what is written between two backups can be kept as well. */
const KEEPS_MOMENTS: ReadonlySet<ServiceKind> = new Set(["POSTGRESQL"]);

/** Whether that can be asked for; where it was, it can always be taken back. */
export function offersMoments({ kind, backupPolicy }: Pick<Service, "kind" | "backupPolicy">): boolean {
  return KEEPS_MOMENTS.has(kind) || (backupPolicy?.pointInTime ?? false);
}

/** As cron numbers them. */
export const WEEKDAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"] as const;

/** What a schedule is kept by, and what a form calls it. */
export const KEEPS = [
  ["keepLast", "Newest"],
  ["keepDaily", "Daily"],
  ["keepWeekly", "Weekly"],
  ["keepMonthly", "Monthly"],
] as const;
export type Keep = (typeof KEEPS)[number][0];

/** The most that the API takes of each. */
const MOST = 1000;

const and = new Intl.ListFormat("en-GB");
const two = (figure: number) => String(figure).padStart(2, "0");

export function clockOf(hour: number, minute = 0): string {
  return `${two(hour)}:${two(minute)}`;
}

/** A cron expression in plain words; null where it is not a simple one. */
export function rhythmOf(schedule: string): string | null {
  const [minutes = "", hours = "", date = "", month, weekday = "", ...more] = schedule.trim().split(/\s+/);
  if (month !== "*" || more.length > 0) return null;
  const [minute, hour] = [figure(minutes, 59), figure(hours, 23)];
  if (minute !== null && hour !== null) {
    const days = date === "*" ? daysOf(weekday) : weekday === "*" ? dateOf(date) : null;
    return days && `${days} at ${clockOf(hour, minute)} UTC`;
  }
  if (date !== "*" || weekday !== "*") return null;
  if (minute !== null) {
    const step = hours === "*" ? 1 : stepOf(hours, 24);
    if (step === 1) return minute === 0 ? "Every hour, on the hour" : `Every hour, at ${minute} min past`;
    return step === null ? null : `Every ${step} hours from ${clockOf(0, minute)} UTC on`;
  }
  const step = hours === "*" ? stepOf(minutes, 60) : null;
  return step === null ? null : `Every ${step} minutes`;
}

function figure(field: string, most: number): number | null {
  return /^\d{1,2}$/.test(field) && Number(field) <= most ? Number(field) : null;
}

/** Of a step that comes round evenly. */
function stepOf(field: string, all: number): number | null {
  const step = Number(/^\*\/(\d{1,2})$/.exec(field)?.[1]);
  return step > 0 && all % step === 0 ? step : null;
}

function dateOf(field: string): string | null {
  const date = figure(field, 31) || null;
  return date === null ? null : `On day ${date} of every month${date > 28 ? " that has it" : ""}`;
}

function daysOf(field: string): string | null {
  if (field === "*") return "Every day";
  const days = new Set<number>();
  for (const part of field.split(",")) {
    const [from, to = from, ...more] = part.split("-").map(weekdayOf);
    if (from === undefined || to === undefined || from === null || to === null || more.length > 0 || from > to) return null;
    for (let day = from; day <= to; day++) days.add(day % 7);
  }
  if (days.size === 7) return "Every day";
  // Weeks begin on Mondays.
  const sorted = [...days].sort((a, b) => ((a + 6) % 7) - ((b + 6) % 7));
  return sorted.join() === "1,2,3,4,5" ? "Monday to Friday" : `Every ${and.format(sorted.map((day) => WEEKDAYS[day] ?? ""))}`;
}

function weekdayOf(text: string): number | null {
  const named = WEEKDAYS.findIndex((name) => name.slice(0, 3).toUpperCase() === text.toUpperCase());
  return named >= 0 ? named : figure(text, 7);
}

/** How much is kept of what a schedule takes; null where only a newer server knows. */
export function keptOf({ keepLast, keepDaily, keepWeekly, keepMonthly }: Pick<Policy, Keep>): string | null {
  const parts = [keepLast > 0 ? `the newest${keepLast > 1 ? ` ${keepLast}` : ""}` : ""];
  for (const [count, name] of [[keepDaily, "daily"], [keepWeekly, "weekly"], [keepMonthly, "monthly"]] as const) {
    parts.push(count > 0 ? `${count} ${name}` : "");
  }
  const said = and.format(parts.filter((part) => part !== ""));
  if (said === "") return null;
  const is = keepLast + keepDaily + keepWeekly + keepMonthly === 1 ? "is" : "are";
  return `${said.charAt(0).toUpperCase()}${said.slice(1)} ${is} kept, and in any case the newest that is verified.`;
}

/** What stands before and behind the time of the next one. */
export function turnOf({ nextRunAt }: Policy, { state }: Pick<Service, "state">, now: number): readonly [string, string] | null {
  if (nextRunAt === null) return null;
  if (Date.parse(nextRunAt) > now) return ["Next: ", "."];
  return ["Due since ", state === "RUNNING" ? "; its turn comes shortly." : "; it is taken once the service runs."];
}

/** What stays of a destroyed service's, which gets no others. */
export function remainsOf({ keepDaily, keepWeekly, keepMonthly }: Pick<Policy, Keep>): string {
  const days = Math.max(keepDaily, 7 * keepWeekly, 31 * keepMonthly);
  const newest = "Of the backups by schedule the newest that is verified stays until somebody deletes it";
  return days > 0 ? `${newest}, and others for up to ${days} ${days === 1 ? "day" : "days"}.` : `${newest}.`;
}

export type Rhythm = "HOURLY" | "DAILY" | "WEEKLY" | "CUSTOM" | "OFF";

export const RHYTHM: Record<Rhythm, string> = {
  HOURLY: "Every hour",
  DAILY: "Every day",
  WEEKLY: "Every week",
  CUSTOM: "By a cron expression",
  OFF: "Not by itself",
};

/** What stands in the form. */
export interface Form {
  rhythm: Rhythm;
  hour: number;
  weekday: number;
  custom: string;
  keep: Readonly<Record<Keep, string>>;
  verify: boolean;
  pointInTime: boolean;
}

/** The form as a policy fills it; without one as it is filled at first. */
export function formOf(policy: Policy | null): Form {
  const schedule = policy?.schedule ?? "0 3 * * *";
  const [, hour = null, weekday = null] = /^0 (\d{1,2}) \* \* (\*|[0-7])$/.exec(schedule) ?? [];
  const { keepLast = 3, keepDaily = 7, keepWeekly = 4, keepMonthly = 0, verify = true, pointInTime = false } = policy ?? {};
  return {
    rhythm: schedule === "0 * * * *" ? "HOURLY" : hour === null ? "CUSTOM" : weekday === "*" ? "DAILY" : "WEEKLY",
    hour: Number(hour ?? 3),
    weekday: weekday === null || weekday === "*" ? 1 : Number(weekday) % 7,
    custom: schedule,
    keep: { keepLast: `${keepLast}`, keepDaily: `${keepDaily}`, keepWeekly: `${keepWeekly}`, keepMonthly: `${keepMonthly}` },
    verify,
    pointInTime,
  };
}

/** The cron expression that a form comes to; null where the service is not to be backed up by itself. */
export function scheduleOf({ rhythm, hour, weekday, custom }: Form): string | null {
  const schedules: Record<Rhythm, string | null> = {
    HOURLY: "0 * * * *",
    DAILY: `0 ${hour} * * *`,
    WEEKLY: `0 ${hour} * * ${weekday}`,
    CUSTOM: custom.trim(),
    OFF: null,
  };
  return schedules[rhythm];
}

/** What is wrong with a form, and where, before the API has to say so. */
export function problemOf(form: Form): { field: string; message: string } | null {
  const schedule = scheduleOf(form);
  if (schedule === null) return null;
  if (schedule === "") return { field: "schedule", message: "Write when, such as 0 3 * * * for every day at 03:00 UTC." };
  for (const [field] of KEEPS) {
    const text = form.keep[field].trim();
    if (!/^\d+$/.test(text) || Number(text) > MOST) return { field, message: `Write a number from 0 to ${MOST}.` };
  }
  if (KEEPS.every(([field]) => Number(form.keep[field]) === 0)) return { field: "keepLast", message: "At least one of these has to be 1 or more." };
  return null;
}

/** What is asked of the API. */
export function inputOf(id: string, form: Form): SetBackupPolicyInput {
  const schedule = scheduleOf(form);
  if (schedule === null) return { id, schedule };
  const keep = Object.fromEntries(KEEPS.map(([field]) => [field, Number(form.keep[field])]));
  // What is left out is taken for what it is at first, not for what it was.
  return { id, schedule, ...keep, verify: form.verify, pointInTime: form.pointInTime };
}

// What a line of a server's log says, without what stands beside it already. Nothing here talks to anybody.

export type Level = "error" | "warning" | "notice" | "plain";

export interface Said {
  level: Level;
  text: string;
}

/** `2026-01-31 12:00:00.120 UTC [1] LOG:  …`, as PostgreSQL writes it. */
const POSTGRESQL = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? \S+ (\[\d+\] (?:\S+@\S+ )?([A-Z]+[0-9]?):\s.*)$/s;

/** `1:M 31 Jan 2026 12:00:00.120 * …`, as Redis does. */
const REDIS = /^\d+:[XCSM] \d\d \w{3} \d{4} \d\d:\d\d:\d\d(?:\.\d+)? ([.\-*#]) (.*)$/s;

/** The same of other servers: a time as ISO 8601 writes it. */
const DATED = /^\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\]?\s+(.*)$/s;

const LEVELS: Record<string, Level> = {
  PANIC: "error",
  FATAL: "error",
  ERROR: "error",
  WARNING: "warning",
  WARN: "warning",
  NOTICE: "notice",
  LOG: "plain",
};

/** The level of a line, and its words without the server's own time: the engine's stands beside them. */
export function said(line: string): Said {
  const postgresql = POSTGRESQL.exec(line);
  if (postgresql) return { level: LEVELS[postgresql[2] ?? ""] ?? "plain", text: postgresql[1] ?? line };
  const redis = REDIS.exec(line);
  if (redis) return { level: redis[1] === "#" ? weighed(redis[2] ?? "") : "plain", text: redis[2] ?? line };
  const text = DATED.exec(line)?.[1] ?? line;
  const word = /\b(PANIC|FATAL|ERROR|WARNING|WARN)\b/.exec(text.slice(0, 60))?.[1] ?? "";
  return { level: LEVELS[word] ?? "plain", text };
}

/** Redis marks as a warning also what it says whenever it starts. */
function weighed(text: string): Level {
  if (/\bfatal\b|\berror\b|\bfail|can[’']t|crash|corrupt|abort/i.test(text.replace(/^WARNING.*/s, ""))) return "error";
  return /^WARNING/.test(text) ? "warning" : "notice";
}

// What is said about statements. Nothing here talks to anybody.

import type { ApiError } from "../../api";
import { explained } from "../../errors";
import type { RunSqlMutation } from "../../generated";

export type Result = NonNullable<RunSqlMutation["runSql"]["result"]>;

/** How long a statement may be, in characters. */
export const LONGEST = 10_000;

export function rowsIn({ columns, rows, truncated }: Result): string {
  if (truncated) return `The first ${count(rows.length, "row")}: there is more`;
  if (rows.length === 0) return columns.length === 0 ? "Done, nothing to show" : "No rows";
  return count(rows.length, "row");
}

export function count(number: number, what: string): string {
  return `${number.toLocaleString()} ${what}${number === 1 ? "" : "s"}`;
}

/** Why a statement was not run, and what the server inside says where it was the one to refuse. */
export function refusal(error: ApiError): { title: string; text: string } {
  if (error.field !== "statement") {
    const { text, advice } = explained(error);
    return { title: text, text: advice ?? "" };
  }
  const { message } = error;
  if (/read-only transaction|permission denied/i.test(message)) return { title: "This console only reads.", text: message };
  if (/statement timeout|canceling statement|timed? ?out/i.test(message)) return { title: "It took longer than 10 s and was stopped.", text: message };
  if (/syntax error|parse/i.test(message)) return { title: "This is not a statement that PostgreSQL understands.", text: message };
  return { title: "PostgreSQL refused the statement.", text: message };
}

/** A name as SQL has it, whatever is in it. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A text as SQL has it. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

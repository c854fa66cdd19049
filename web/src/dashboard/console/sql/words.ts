// What is said about statements. Nothing here talks to anybody.

import type { ApiError } from "../../api";
import { explained } from "../../errors";
import type { RunSqlMutation } from "../../generated";

export type Result = NonNullable<RunSqlMutation["runSql"]["result"]>;

/** How long a statement may be, in characters. */
export const LONGEST = 10_000;

export function rowsIn({ rows, truncated }: Result): string {
  if (truncated && rows.length === 0) return "The first row is larger than what can be shown";
  if (truncated) return `The first ${count(rows.length, "row")}: there is more`;
  if (rows.length === 0) return "No rows";
  return count(rows.length, "row");
}

export function count(number: number, what: string): string {
  return `${number.toLocaleString()} ${what}${number === 1 ? "" : "s"}`;
}

/** By what the server says. */
const TITLES: [RegExp, string][] = [
  [/^Only statements that read|read-only transaction|permission denied|command denied/i, "This console only reads."],
  [/longer than ten seconds|statement timeout/i, "The statement was stopped."],
  [/^syntax error|error in your SQL syntax/i, "The database does not understand the statement."],
  [/does not exist|doesn't exist|unknown column/i, "There is no such thing in the database."],
];

/** Why a statement was not run, and what the server inside says where it was the one to refuse. */
export function refusal(error: ApiError): { title: string; text: string } {
  if (error.field !== "statement") {
    const { text, advice } = explained(error);
    return { title: text, text: advice ?? "" };
  }
  const text = error.message;
  const [, title = "The statement can’t be run as it is."] = TITLES.find(([words]) => words.test(text)) ?? [];
  return { title, text };
}

/** A name as SQL has it between marks, whatever is in it. */
export function quoted(name: string, mark = '"'): string {
  return mark + name.replaceAll(mark, mark + mark) + mark;
}

/** A text as SQL has it. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

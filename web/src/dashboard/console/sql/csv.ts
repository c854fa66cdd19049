// A result as a file for spreadsheets, as RFC 4180 has it. Nothing here talks to anybody.

export type Row = readonly (string | null)[];

/** What a spreadsheet would take for a formula, and might run. A negative number is none. */
const FORMULA = /^(?:[=+@\t\r]|-(?!\d+(?:\.\d+)?$))/;

/** The lines of a file, the columns' names first. NULL is nothing at all, and an empty text a pair of quotes. */
export function csv(columns: readonly string[], rows: readonly Row[]): string {
  return [columns, ...rows].map((row) => `${row.map(field).join(",")}\r\n`).join("");
}

function field(value: string | null): string {
  if (value === null) return "";
  const plain = FORMULA.test(value) ? `'${value}` : value;
  return plain === "" || /[",\r\n]/.test(plain) || plain !== plain.trim() ? `"${plain.replaceAll('"', '""')}"` : plain;
}

// What is said about keys and what they hold. Nothing here talks to anybody.

import type { KeyFragment, ReadKeyMutation } from "../../generated";
import { span } from "../../words";

export type Value = NonNullable<ReadKeyMutation["readKey"]["value"]>;

const TYPES: Record<string, string> = {
  string: "Text",
  list: "List",
  hash: "Hash",
  set: "Set",
  zset: "Sorted set",
  stream: "Stream",
};

/** What one of the entries is called, and a heading for each part of it. */
const PARTS: Record<string, { entry: string; field?: string; value: string }> = {
  string: { entry: "byte", value: "Value" },
  list: { entry: "item", field: "Index", value: "Item" },
  hash: { entry: "field", field: "Field", value: "Value" },
  set: { entry: "member", value: "Member" },
  zset: { entry: "member", value: "Member" },
  stream: { entry: "entry", field: "Id", value: "Fields" },
};

export function typeOf(type: string): string {
  return TYPES[type.toLowerCase()] ?? type;
}

export function partsOf(type: string) {
  return PARTS[type.toLowerCase()] ?? { entry: "entry", field: "Field", value: "Value" };
}

export function expiry({ ttlSeconds }: KeyFragment): string {
  return ttlSeconds === null ? "Does not expire" : `Expires in ${span(ttlSeconds * 1000)}`;
}

export function bytes(count: number): string {
  if (count < 1024) return `${count} B`;
  const kib = count / 1024;
  return kib < 1024 ? `${kib.toFixed(kib < 10 ? 1 : 0)} KiB` : `${(kib / 1024).toFixed(1)} MiB`;
}

export function many(count: number, what: string): string {
  const words = what === "entry" && count !== 1 ? "entries" : `${what}${count === 1 ? "" : "s"}`;
  return `${count.toLocaleString()} ${words}`;
}

/** How much of a value is shown. */
export function shownOf({ key, length, entries, truncated }: Value): string {
  const { entry } = partsOf(key.type);
  if (!truncated) return many(length, entry);
  if (key.type.toLowerCase() === "string") return `Only its beginning is shown: it has ${many(length, entry)}`;
  return `Only ${entries.length.toLocaleString()} of ${many(length, entry)} are shown`;
}

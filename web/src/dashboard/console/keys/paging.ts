// The keys that were found so far, page by page. Nothing here talks to anybody.

import type { KeyFragment } from "../../generated";

/** A page as the API answers it. It may hold few keys or none, and a key may come twice. */
export interface Scanned {
  readonly keys: readonly KeyFragment[];
  readonly nextCursor: string | null;
  readonly total: number;
}

export interface Found {
  readonly keys: readonly KeyFragment[];
  /** Where to go on from; null at the end. */
  readonly cursor: string | null;
  /** How many keys there are in all, whatever is looked for. */
  readonly total: number;
}

/** How many keys are looked for at a time. */
export const PAGE = 100;

/** After how many pages to stop looking when hardly any key matches: somebody may then have it go on. */
export const MOST_PAGES = 10;

/** What was found with one page more. */
export function withPage(found: Found | null, page: Scanned): Found {
  const known = new Set(found?.keys.map(({ keyBase64 }) => keyBase64));
  const fresh = page.keys.filter(({ keyBase64 }) => !known.has(keyBase64) && known.add(keyBase64));
  return { keys: [...(found?.keys ?? []), ...fresh], cursor: page.nextCursor, total: page.total };
}

/** Reads on until there is about a page of new keys, or the end, telling what was found after each step. */
export async function readOn(
  found: Found | null,
  scan: (cursor: string | null) => Promise<Scanned>,
  tell: (found: Found) => void,
): Promise<void> {
  const before = found?.keys.length ?? 0;
  let now = found;
  for (let pages = 0; pages < MOST_PAGES; pages++) {
    now = withPage(now, await scan(now?.cursor ?? null));
    tell(now);
    if (now.cursor === null || now.keys.length - before >= PAGE / 2) return;
  }
}

/** What to look for: a pattern as it is, and other words anywhere in a key. */
export function patternOf(text: string): string {
  const wanted = text.trim();
  if (wanted === "") return "*";
  return /[*?[\]\\]/.test(wanted) ? wanted : `*${wanted}*`;
}

// What was run, for as long as the page is open: statements may hold secrets, so they are in its memory and nowhere else.

import { Store } from "../../store";

export interface Ran {
  readonly number: number;
  readonly statement: string;
  /** When, in milliseconds. */
  readonly at: number;
  /** What came of it, in words. */
  readonly outcome: string;
  readonly failed: boolean;
}

/** How many statements are kept of a service. */
const KEPT = 50;

/** What somebody works on in a service's console. It stays while they look at something else. */
export interface Work {
  draft: string;
  readonly ran: Store<readonly Ran[]>;
}

const works = new Map<string, Work>();
let number = 0;

export function workOn(id: string): Work {
  const work = works.get(id) ?? { draft: "", ran: new Store<readonly Ran[]>([]) };
  works.set(id, work);
  return work;
}

/** Remembers a statement, the latest first; one that is run again comes to the front. */
export function remember(work: Work, ran: Omit<Ran, "number">): void {
  const others = work.ran.value.filter(({ statement }) => statement !== ran.statement);
  work.ran.set([{ ...ran, number: number++ }, ...others].slice(0, KEPT));
}

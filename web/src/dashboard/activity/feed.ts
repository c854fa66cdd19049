// One feed of many services' events, each of which is read page by page. Nothing here talks to anybody.

import type { EventFragment } from "../generated";
import { instant } from "../state";

/** What is read of one service: its latest events, oldest first, and where those before them are. */
export interface Source {
  readonly id: string;
  readonly events: readonly EventFragment[];
  readonly before: string | null;
}

const time = (event: EventFragment) => instant(event.occurredAt);

/** Since when nothing is missing of a service; null when nothing is missing at all. */
function since({ events, before }: Source): string | null {
  return before && events[0] ? time(events[0]) : null;
}

/** All events that have none missing behind them, newest first. */
export function merged(sources: readonly Source[], live: readonly EventFragment[]): EventFragment[] {
  const from = sources.reduce((latest, source) => {
    const one = since(source);
    return one && one > latest ? one : latest;
  }, "");
  const known = new Map([...sources.flatMap(({ events }) => events), ...live].map((event) => [event.cursor, event]));
  return [...known.values()]
    .filter((event) => time(event) >= from)
    .sort((a, b) => (time(a) + a.cursor < time(b) + b.cursor ? 1 : -1));
}

/** The services to read on with for what was before: those that stand in the way of it. */
export function blocking(sources: readonly Source[], most: number): Source[] {
  return sources
    .filter((source) => since(source))
    .sort((a, b) => ((since(a) ?? "") < (since(b) ?? "") ? 1 : -1))
    .slice(0, most);
}

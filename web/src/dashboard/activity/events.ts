import { useEffect, useState } from "preact/hooks";
import { ApiError, send } from "../api";
import { ActivityDocument, type EventFragment, type HistoryQuery, HistoryDocument } from "../generated";
import type { Project } from "../project";

/** Some events, oldest first, and where those before them are. */
export interface Page {
  events: readonly EventFragment[];
  before: string | null;
}

/** What happened to a service. */
export async function pageOfService(id: string, before: string | null): Promise<Page> {
  const { service } = await send(HistoryDocument, { id, before });
  return pageOf(service?.events, "There is no such service, or it is not yours to see.");
}

/** What happened in a project, also to services that are destroyed. */
export async function pageOfProject(project: string, before: string | null): Promise<Page> {
  const answer = await send(ActivityDocument, { project, before });
  return pageOf(answer.project?.events, "There is no such project, or it is not yours to see.");
}

function pageOf(events: NonNullable<HistoryQuery["service"]>["events"] | undefined, missing: string): Page {
  if (!events) throw new ApiError(missing, "NOT_FOUND");
  const { hasPreviousPage, startCursor } = events.pageInfo;
  return { events: events.nodes, before: hasPreviousPage ? startCursor : null };
}

/** Events page by page from the newest back, with what happens now on top. */
export function useEvents(project: Project, page: (before: string | null) => Promise<Page>, wanted: (event: EventFragment) => boolean) {
  const [known, setKnown] = useState<ReadonlyMap<string, EventFragment>>(new Map());
  const [before, setBefore] = useState<string | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [reading, setReading] = useState(true);

  const read = async () => {
    setReading(true);
    setError(null);
    try {
      const { events, before: next } = await page(before);
      setKnown((known) => new Map([...byCursor(events), ...known]));
      setBefore(next);
    } catch (reason) {
      setError(ApiError.of(reason));
    } finally {
      setReading(false);
    }
  };
  useEffect(() => {
    // What comes while the past is read is in neither place twice: events are known by their cursors.
    const end = project.event.subscribe((event) => {
      if (event && wanted(event)) setKnown((known) => new Map([...known, ...byCursor([event])]));
    });
    void read();
    return end;
  }, []);
  return { events: [...known.values()].reverse(), more: before !== null, reading, error, read };
}

function byCursor(events: readonly EventFragment[]): [string, EventFragment][] {
  return events.map((event) => [event.cursor, event]);
}

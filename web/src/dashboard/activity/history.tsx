import { useEffect, useState } from "preact/hooks";
import { ApiError, send } from "../api";
import { type EventFragment, HistoryDocument } from "../generated";
import { Failure } from "../parts/failure";
import type { Project } from "../project";
import type { Service } from "../state";
import { Timeline } from "./timeline";

/** What happened to a service, with what happens now on top. */
export function History({ project, service }: { project: Project; service: Service }) {
  const [events, setEvents] = useState<ReadonlyMap<string, EventFragment>>(new Map());
  const [before, setBefore] = useState<string | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [reading, setReading] = useState(true);

  const read = async (before: string | null) => {
    setReading(true);
    setError(null);
    try {
      const page = await pageOf(service.id, before);
      setEvents((known) => new Map([...byCursor(page.events), ...known]));
      setBefore(page.before);
    } catch (reason) {
      setError(ApiError.of(reason));
    } finally {
      setReading(false);
    }
  };
  useEffect(() => {
    // What comes while the past is read is in neither place twice: events are known by their cursors.
    const end = project.event.subscribe((event) => {
      if (event?.serviceId === service.id) setEvents((known) => new Map([...known, ...byCursor([event])]));
    });
    void read(null);
    return end;
  }, []);

  return (
    <>
      <Timeline events={[...events.values()].reverse()} label="History, newest first" busy={reading} />
      {reading && <p class="quiet centred">Reading what happened…</p>}
      {error && <Failure error={error} retry={() => read(before)} />}
      {before && !reading && (
        <button type="button" onClick={() => read(before)}>
          Show earlier events
        </button>
      )}
    </>
  );
}

/** Some of a service's events, oldest first, and where those before them are. */
export async function pageOf(id: string, before: string | null): Promise<{ events: EventFragment[]; before: string | null }> {
  const { service } = await send(HistoryDocument, { id, before });
  if (!service) throw new ApiError("There is no such service, or it is not yours to see.", "NOT_FOUND");
  const { nodes, pageInfo } = service.events;
  return { events: nodes, before: pageInfo.hasPreviousPage ? pageInfo.startCursor : null };
}

function byCursor(events: readonly EventFragment[]): [string, EventFragment][] {
  return events.map((event) => [event.cursor, event]);
}

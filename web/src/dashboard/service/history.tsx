import { useEffect, useState } from "preact/hooks";
import { ApiError, send } from "../api";
import { type EventFragment, HistoryDocument } from "../generated";
import { Failure } from "../parts/failure";
import type { Project } from "../project";
import type { Service } from "../state";
import { atLength, dayOf, STATE, timeOfDay } from "../words";

/** What happened to a service, newest first, with what happens now on top. */
export function History({ project, service }: { project: Project; service: Service }) {
  const [events, setEvents] = useState<ReadonlyMap<string, EventFragment>>(new Map());
  const [before, setBefore] = useState<string | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [reading, setReading] = useState(true);

  const read = async (before: string | null) => {
    setReading(true);
    setError(null);
    try {
      const answer = (await send(HistoryDocument, { id: service.id, before })).service;
      if (!answer) throw new ApiError("There is no such service, or it is not yours to see.", "NOT_FOUND");
      const { nodes, pageInfo } = answer.events;
      setEvents((known) => new Map([...byCursor(nodes), ...known]));
      setBefore(pageInfo.hasPreviousPage ? pageInfo.startCursor : null);
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

  const shown = condensed([...events.values()]).reverse();
  let lastDay = "";
  return (
    <>
      <ol class="timeline" aria-label="History, newest first" aria-busy={reading}>
        {shown.map((event) => {
          const day = dayOf(event.occurredAt);
          const isNewDay = day !== lastDay;
          lastDay = day;
          return (
            <li key={event.cursor} class={`state-${event.state.toLowerCase()}`}>
              <p>{event.message}</p>
              <p class="quiet">
                <time dateTime={event.occurredAt} title={atLength(event.occurredAt)}>
                  {isNewDay && `${day}, `}
                  {timeOfDay(event.occurredAt)}
                </time>
                {event.previousState !== event.state && ` · ${STATE[event.state]}`}
                {event.actor && ` · by ${event.actor}`}
              </p>
            </li>
          );
        })}
      </ol>
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

function byCursor(events: readonly EventFragment[]): [string, EventFragment][] {
  return events.map((event) => [event.cursor, event]);
}

/** Of an image that is being pulled each percent is an event; the last one tells it all. */
function condensed(events: EventFragment[]): EventFragment[] {
  const pulls = (event: EventFragment | undefined) => event?.operation?.phase === "PULLING_IMAGE";
  return events.filter((event, index) => !(pulls(event) && pulls(events[index + 1])));
}

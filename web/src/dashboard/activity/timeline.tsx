import type { EventFragment } from "../generated";
import { addressOf } from "../route";
import { atLength, dayOf, STATE, timeOfDay } from "../words";

interface TimelineProps {
  /** Newest first. */
  events: readonly EventFragment[];
  label: string;
  busy: boolean;
  /** Whether each leads to its service. */
  linked?: boolean;
  /** At most so many. */
  most?: number;
}

/** What happened, newest first, day by day. */
export function Timeline({ events, label, busy, linked, most }: TimelineProps) {
  const days = new Map<string, EventFragment[]>();
  for (const event of condensed(events).slice(0, most)) {
    const day = dayOf(event.occurredAt);
    days.set(day, [...(days.get(day) ?? []), event]);
  }
  const Day = linked ? "h2" : "h3";
  return (
    <div class="timeline" role="group" aria-label={label} aria-busy={busy}>
      {[...days].map(([day, events]) => (
        <section key={day}>
          <Day>{day}</Day>
          <ol>
            {events.map((event) => (
              <li key={event.cursor} class={`state-${event.state.toLowerCase()}`}>
                <time dateTime={event.occurredAt} title={atLength(event.occurredAt)}>
                  {timeOfDay(event.occurredAt)}
                </time>
                <p>
                  {linked ? <a href={addressOf(event.serviceId)}>{event.message}</a> : event.message}
                  {(event.previousState !== event.state || event.actor) && (
                    <span class="quiet">
                      {event.previousState !== event.state && STATE[event.state]}
                      {event.previousState !== event.state && event.actor && " · "}
                      {event.actor && `by ${event.actor}`}
                    </span>
                  )}
                </p>
              </li>
            ))}
          </ol>
        </section>
      ))}
    </div>
  );
}

/** Of an image that is being pulled each percent is an event; the last one tells it all. */
function condensed(events: readonly EventFragment[]): EventFragment[] {
  const pulled = (event: EventFragment | undefined) => (event?.operation?.phase === "PULLING_IMAGE" ? event.serviceId : null);
  return events.filter((event, index) => !pulled(event) || pulled(event) !== pulled(events[index - 1]));
}

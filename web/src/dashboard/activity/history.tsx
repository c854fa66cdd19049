import { Failure } from "../parts/failure";
import type { Project } from "../project";
import type { Service } from "../state";
import { pageOfService, useEvents } from "./events";
import { Timeline } from "./timeline";

/** What happened to a service, with what happens now on top. */
export function History({ project, service }: { project: Project; service: Service }) {
  const { events, more, reading, error, read } = useEvents(
    project,
    (before) => pageOfService(service.id, before),
    (event) => event.serviceId === service.id,
  );
  return (
    <>
      <Timeline events={events} label="History, newest first" busy={reading} />
      {reading && <p class="quiet centred">Reading what happened…</p>}
      {error && <Failure error={error} retry={read} />}
      {more && !reading && !error && (
        <button type="button" onClick={read}>
          Show earlier events
        </button>
      )}
    </>
  );
}

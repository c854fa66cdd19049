import { useState } from "preact/hooks";
import { Failure, Notice } from "../parts/failure";
import type { Project } from "../project";
import { pageOfProject, useEvents } from "./events";
import { Timeline } from "./timeline";

/** What happened in the project, also to services that are destroyed, with what happens now on top. */
export function Activity({ project }: { project: Project }) {
  const { events, more, reading, error, read } = useEvents(
    project,
    (before) => pageOfProject(project.id, before),
    () => true,
  );
  const [text, setText] = useState("");
  const wanted = text.trim().toLowerCase();
  const shown = wanted ? events.filter(({ message, actor }) => `${message} ${actor ?? ""}`.toLowerCase().includes(wanted)) : events;
  if (!reading && !error && events.length === 0) {
    return <Notice sign="clock" title="Nothing has happened yet" />;
  }
  return (
    <div class="activity">
      <search class="toolbar">
        <input
          type="search"
          data-search
          aria-label="Search the activity"
          placeholder="Search by service, person or words…"
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </search>
      <Timeline events={shown} label="Activity, newest first" busy={reading} linked />
      {reading && <p class="quiet centred">Reading what happened…</p>}
      {!reading && shown.length === 0 && (
        <p class="quiet centred">{more ? "None of the events read so far contains that." : "No event contains that."}</p>
      )}
      {error && <Failure error={error} retry={read} />}
      {more && !reading && !error && (
        <button type="button" onClick={read}>
          Show earlier events
        </button>
      )}
    </div>
  );
}

import { useEffect, useMemo, useState } from "preact/hooks";
import { ApiError, send } from "../api";
import { ActivityDocument, type ActivityQuery, type EventFragment } from "../generated";
import { Failure, Notice } from "../parts/failure";
import type { Project } from "../project";
import { blocking, merged, type Source } from "./feed";
import { pageOf } from "./history";
import { Timeline } from "./timeline";

/** How many pages of services are read at first, of 25 each. */
const PAGES = 8;

/** How many services' earlier events are read at once. */
const AT_ONCE = 4;

/** What happened in the project, also to services that are destroyed, with what happens now on top. */
export function Activity({ project }: { project: Project }) {
  const [sources, setSources] = useState<readonly Source[]>([]);
  const [live, setLive] = useState<readonly EventFragment[]>([]);
  const [text, setText] = useState("");
  const [error, setError] = useState<ApiError | null>(null);
  const [reading, setReading] = useState(true);

  const read = async (step: () => Promise<readonly Source[]>) => {
    setReading(true);
    setError(null);
    try {
      setSources(await step());
    } catch (reason) {
      setError(ApiError.of(reason));
    } finally {
      setReading(false);
    }
  };
  const begin = () => read(() => sourcesOf(project.id));
  const goOn = () =>
    read(async () => {
      const earlier = blocking(sources, AT_ONCE).map(async (source) => {
        const page = await pageOf(source.id, source.before);
        return { ...source, events: [...page.events, ...source.events], before: page.before };
      });
      const read = new Map((await Promise.all(earlier)).map((source) => [source.id, source]));
      return sources.map((source) => read.get(source.id) ?? source);
    });
  useEffect(() => {
    const end = project.event.subscribe((event) => event && setLive((live) => [...live, event]));
    void begin();
    return end;
  }, []);

  const events = useMemo(() => merged(sources, live), [sources, live]);
  const wanted = text.trim().toLowerCase();
  const shown = wanted ? events.filter(({ message, actor }) => `${message} ${actor ?? ""}`.toLowerCase().includes(wanted)) : events;
  const more = blocking(sources, 1).length > 0;
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
      {!reading && shown.length === 0 && <p class="quiet centred">No event contains that.</p>}
      {error && <Failure error={error} retry={sources.length > 0 ? goOn : begin} />}
      {more && !reading && !error && (
        <button type="button" onClick={goOn}>
          Show earlier events
        </button>
      )}
    </div>
  );
}

async function sourcesOf(project: string): Promise<Source[]> {
  const sources: Source[] = [];
  let before: string | null = null;
  for (let page = 0; page < PAGES; page++) {
    const { services }: ActivityQuery = await send(ActivityDocument, { project, before });
    for (const { id, events } of services.nodes) {
      const { hasPreviousPage, startCursor } = events.pageInfo;
      sources.push({ id, events: events.nodes, before: hasPreviousPage ? startCursor : null });
    }
    if (!services.pageInfo.hasPreviousPage) break;
    before = services.pageInfo.startCursor;
  }
  return sources;
}

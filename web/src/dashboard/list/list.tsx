import { useEffect, useMemo, useState } from "preact/hooks";
import { ApiError } from "../api";
import type { Entry } from "../create/provision";
import type { ServiceKind } from "../generated";
import { Failure } from "../parts/failure";
import type { Project } from "../project";
import type { Service } from "../state";
import { Store, useStore } from "../store";
import { ALL, counts, type Filter, filtered, SORTS, STATES } from "./filter";
import { Row } from "./row";

/** It stays while somebody looks at one of the services. */
const chosen = new Store<Filter>(ALL);

const STATE_NAMES: Record<Filter["state"], string> = {
  "": "Any state",
  RUNNING: "Running",
  STOPPED: "Stopped",
  ERROR: "Error",
  CHANGING: "In progress",
  DESTROYED: "Destroyed",
};

const SORT_NAMES: Record<Filter["sort"], string> = {
  oldest: "Oldest first",
  newest: "Newest first",
  name: "By name",
  state: "By state",
  kind: "By kind",
};

interface ListProps {
  project: Project;
  /** Those that are destroyed as well, as far as they are known. */
  services: ReadonlyMap<string, Service>;
  catalog: ReadonlyMap<ServiceKind, Entry>;
}

/** The project's services, one row each. */
export function ServiceList({ project, services, catalog }: ListProps) {
  const filter = useStore(chosen);
  const set = (change: Partial<Filter>) => chosen.set({ ...filter, ...change });
  const nameOf = (kind: ServiceKind) => catalog.get(kind)?.name ?? kind;
  const shown = useMemo(() => filtered(services.values(), filter, nameOf), [services, filter, catalog]);
  const found = useMemo(() => counts(services.values()), [services]);
  const kinds = useMemo(() => [...new Set([...services.values()].map(({ kind }) => kind))].sort(), [services]);
  const destroyed = filter.state === "DESTROYED";
  return (
    <>
      <search class="toolbar">
        <input
          type="search"
          data-search
          aria-label="Search the services"
          placeholder="Search…"
          value={filter.text}
          onInput={(event) => set({ text: event.currentTarget.value })}
        />
        <select aria-label="State" value={filter.state} onChange={(event) => set({ state: event.currentTarget.value as Filter["state"] })}>
          {(["", ...STATES] as const).map((state) => (
            <option key={state} value={state}>
              {STATE_NAMES[state]}
              {state !== "DESTROYED" && ` (${found[state]})`}
            </option>
          ))}
        </select>
        <select aria-label="Kind" value={filter.kind} onChange={(event) => set({ kind: event.currentTarget.value as Filter["kind"] })}>
          <option value="">Any kind</option>
          {kinds.map((kind) => (
            <option key={kind} value={kind}>
              {nameOf(kind)}
            </option>
          ))}
        </select>
        <select aria-label="Order" value={filter.sort} onChange={(event) => set({ sort: event.currentTarget.value as Filter["sort"] })}>
          {SORTS.map((sort) => (
            <option key={sort} value={sort}>
              {SORT_NAMES[sort]}
            </option>
          ))}
        </select>
      </search>
      <ul class="services" aria-label="Services">
        {shown.map((service) => (
          <Row key={service.id} project={project} service={service} entry={catalog.get(service.kind)} />
        ))}
      </ul>
      {destroyed && <Destroyed project={project} none={shown.length === 0} />}
      {!destroyed && shown.length === 0 && (
        <p class="quiet centred">
          No service matches.{" "}
          <button type="button" onClick={() => chosen.set({ ...ALL, sort: filter.sort })}>
            Show all
          </button>
        </p>
      )}
    </>
  );
}

/** Shows those that are destroyed. */
export function lookForDestroyed(): void {
  chosen.set({ ...ALL, state: "DESTROYED", sort: "newest" });
}

/** Reads those that are destroyed, the latest first: nothing else needs them. */
function Destroyed({ project, none }: { project: Project; none: boolean }) {
  const [reading, setReading] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const more = useStore(project.moreDestroyed);
  const read = () => {
    setReading(true);
    setError(null);
    project
      .readDestroyed()
      .catch((reason) => setError(ApiError.of(reason)))
      .finally(() => setReading(false));
  };
  useEffect(() => {
    if (more === null) read();
  }, []);
  if (error) return <Failure error={error} retry={read} />;
  if (reading) return <p class="quiet centred">Reading…</p>;
  if (more) {
    return (
      <p class="centred">
        <button type="button" onClick={read}>
          Show earlier ones
        </button>
      </p>
    );
  }
  return none ? <p class="quiet centred">No service of this project was destroyed.</p> : null;
}

/** What stands there until the services are read. */
export function Skeleton() {
  return (
    <div aria-busy="true">
      <p class="unseen">Reading the project’s services…</p>
      <ul class="services" aria-hidden="true">
        {[1, 2, 3].map((row) => (
          <li key={row} class="row skeleton">
            <span class="blank kind" />
            <span class="blank" />
            <span class="blank" />
          </li>
        ))}
      </ul>
    </div>
  );
}

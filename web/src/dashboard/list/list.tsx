import { memo } from "preact/compat";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { simpleActions, useAction } from "../actions";
import type { ApiError } from "../api";
import { Icon, KindIcon } from "../icons";
import { StateBadge, Underway } from "../parts/state";
import type { Project } from "../project";
import { addressOf, type Route } from "../route";
import type { Service } from "../state";
import { ACTION, cores, health, size } from "../words";

/** From how many services on a filter helps. */
const MANY = 8;

interface ListProps {
  project: Project;
  services: Service[];
  kindNames: ReadonlyMap<string, string>;
  route: Route;
}

/** The project's services, one row each. */
export function ServiceList({ project, services, kindNames, route }: ListProps) {
  const [filter, setFilter] = useState("");
  const wanted = filter.trim().toLowerCase();
  const shown = services.filter(({ name, kind, state }) =>
    `${name} ${kindNames.get(kind)} ${state}`.toLowerCase().includes(wanted),
  );
  return (
    <>
      {services.length >= MANY && (
        <label class="filter">
          <span class="unseen">Filter by name, kind or state</span>
          <input
            type="search"
            placeholder="Filter by name, kind or state"
            value={filter}
            onInput={(event) => setFilter(event.currentTarget.value)}
          />
        </label>
      )}
      <ul class="services" aria-label="Services">
        {shown.map((service) => (
          <Row
            key={service.id}
            project={project}
            service={service}
            kindName={kindNames.get(service.kind) ?? service.kind}
            open={route.id === service.id}
          />
        ))}
      </ul>
      {shown.length === 0 && <p class="quiet centred">No service matches “{filter}”.</p>}
    </>
  );
}

interface RowProps {
  project: Project;
  service: Service;
  kindName: string;
  open: boolean;
}

/** Drawn anew only when its own service changes. */
const Row = memo(function Row({ project, service, kindName, open }: RowProps) {
  const { ask, asking, error } = useAction(project, service);
  const { tier } = service;
  const link = useRef<HTMLAnchorElement>(null);
  const wasOpen = useRef(open);
  useLayoutEffect(() => {
    // Where somebody was before they looked at the details; at once, before the page finds another place.
    if (wasOpen.current && !open && document.activeElement === document.body) link.current?.focus();
    wasOpen.current = open;
  }, [open]);
  return (
    <li class={open ? "row open" : "row"} data-service={service.name}>
      <KindIcon kind={service.kind} />
      <div class="row-name">
        <a ref={link} href={addressOf(service.id)} title={service.name} aria-current={open ? "true" : undefined}>
          {service.name}
        </a>
        <span class="quiet">
          {kindName} {service.version}
        </span>
      </div>
      <div class="row-tier">
        <span>{tier.name}</span>
        <span class="quiet">
          {size(tier.memoryMib)} · {cores(tier.cpus)}
        </span>
      </div>
      <div class="row-state">
        <span>
          <StateBadge state={service.state} />
          {!service.operation && <span class="quiet">{health(service)}</span>}
        </span>
        <Underway service={service} />
        <Trouble service={service} refused={error} />
      </div>
      <div class="row-actions">
        {simpleActions(service).map((action) => (
          <button
            key={action}
            type="button"
            class="bare"
            title={ACTION[action]}
            aria-label={`${ACTION[action]} ${service.name}`}
            aria-disabled={asking !== null}
            onClick={() => ask(action)}
          >
            <Icon sign={action} />
          </button>
        ))}
      </div>
    </li>
  );
});

function Trouble({ service, refused }: { service: Service; refused: ApiError | null }) {
  const text = refused?.message ?? service.error?.message;
  if (!text) return null;
  return (
    <span class="trouble" role={refused ? "alert" : undefined}>
      {text.split("\n")[0]}
    </span>
  );
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

// Which services a list shows, and in which order. Nothing here talks to anybody.

import type { ServiceKind, ServiceState } from "../generated";
import { instant, type Service } from "../state";

export const STATES = ["RUNNING", "STOPPED", "ERROR", "CHANGING", "DESTROYED"] as const;
export const SORTS = ["oldest", "newest", "name", "state", "kind"] as const;

export interface Filter {
  text: string;
  /** CHANGING stands for all that is on its way from one state to another. Empty: all but those that are destroyed. */
  state: (typeof STATES)[number] | "";
  kind: ServiceKind | "";
  sort: (typeof SORTS)[number];
}

export const ALL: Filter = { text: "", state: "", kind: "", sort: "oldest" };

const PASSING: readonly ServiceState[] = ["PENDING", "PROVISIONING", "DESTROYING"];

function isIn(service: Service, state: Filter["state"]): boolean {
  const changes = PASSING.includes(service.state) || service.operation !== null;
  switch (state) {
    case "":
      return service.state !== "DESTROYED";
    case "CHANGING":
      return changes;
    default:
      return service.state === state;
  }
}

/** Of two states the one that more likely wants somebody to look. */
const URGENCY: readonly ServiceState[] = ["ERROR", "DESTROYING", "PENDING", "PROVISIONING", "RUNNING", "STOPPED", "DESTROYED"];

/** The services that a filter leaves, in its order. `nameOf` says how a kind is called. */
export function filtered(services: Iterable<Service>, filter: Filter, nameOf: (kind: ServiceKind) => string): Service[] {
  const wanted = filter.text.trim().toLowerCase();
  const left = [...services].filter(
    (service) =>
      isIn(service, filter.state) &&
      (filter.kind === "" || service.kind === filter.kind) &&
      `${service.name} ${nameOf(service.kind)} ${service.version}`.toLowerCase().includes(wanted),
  );
  const age = (service: Service) => instant(service.createdAt) + service.id;
  const keys: Record<Filter["sort"], (service: Service) => string> = {
    oldest: age,
    newest: age,
    name: ({ name }) => name,
    state: ({ state, name }) => `${URGENCY.indexOf(state)} ${name}`,
    kind: ({ kind, name }) => `${nameOf(kind)} ${name}`,
  };
  const keyed = left.map((service) => [keys[filter.sort](service), service] as const);
  keyed.sort(([a], [b]) => (a < b ? -1 : 1));
  const sorted = keyed.map(([, service]) => service);
  return filter.sort === "newest" ? sorted.reverse() : sorted;
}

/** How many services are in each of the states that a filter knows. */
export function counts(services: Iterable<Service>): Record<Filter["state"], number> {
  const found = { "": 0, RUNNING: 0, STOPPED: 0, ERROR: 0, CHANGING: 0, DESTROYED: 0 };
  for (const service of services) {
    for (const state of ["", ...STATES] as const) if (isIn(service, state)) found[state]++;
  }
  return found;
}

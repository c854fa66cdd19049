// What is known of a project's services, and how it changes. Nothing here talks to anybody.

import type { ChangesSubscription, ServiceFragment } from "./generated";

export type Service = ServiceFragment;
export type ServiceEvent = ChangesSubscription["serviceEvents"];

export interface State {
  /** By id. Those that are destroyed stay, so that nothing that comes late brings them back. */
  readonly services: ReadonlyMap<string, Service>;
  /** Of the last event that is in it: where to go on from. Null before the first page. */
  readonly cursor: string | null;
}

export type Change =
  | { readonly kind: "page"; readonly services: readonly Service[]; readonly eventCursor: string }
  | { readonly kind: "event"; readonly event: ServiceEvent }
  | { readonly kind: "answer"; readonly service: Service }
  /** Events were missed for good; all is read anew. */
  | { readonly kind: "lost" };

export const NOTHING: State = { services: new Map(), cursor: null };

/** The state after some changes, in their order. */
export function reduce(state: State, changes: readonly Change[]): State {
  const services = new Map(state.services);
  let { cursor } = state;
  for (const change of changes) {
    switch (change.kind) {
      case "page":
        for (const service of change.services) take(services, service);
        // Only the first page's: what changed while the others were read is read again.
        cursor ??= change.eventCursor;
        break;
      case "event":
        take(services, change.event.service);
        cursor = change.event.cursor;
        break;
      case "answer":
        take(services, change.service);
        break;
      case "lost":
        // What was destroyed meanwhile would be in no page.
        services.clear();
        cursor = null;
    }
  }
  return { services, cursor };
}

/** Takes a service as it is now, unless a later look at it is known already. */
function take(services: Map<string, Service>, service: Service): void {
  const known = services.get(service.id);
  // One of the same revision too: another token may allow other actions.
  if (!known || service.revision >= known.revision) services.set(service.id, service);
}

/** A time in a form that sorts as text: the API leaves out a fraction's last zeros. */
export function instant(time: string): string {
  const [seconds = "", fraction = ""] = time.replace(/Z$/, "").split(".");
  return `${seconds}.${fraction.padEnd(9, "0")}`;
}

/** The services to list, oldest first. */
export function listed(state: State): Service[] {
  const keyed: [string, Service][] = [];
  for (const service of state.services.values()) {
    if (service.state !== "DESTROYED") keyed.push([instant(service.createdAt) + service.id, service]);
  }
  return keyed.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, service]) => service);
}

/** Whether some of its size waits for a restart that nobody has asked for yet. */
export function waits({ restartPending, operation }: Service): boolean {
  return restartPending && !operation;
}

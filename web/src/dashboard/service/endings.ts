// What has ended about a service while its state stayed as it is, by what events tell. Nothing here talks to anybody.

import type { EventFragment, OperationKind } from "../generated";
import type { Service, ServiceEvent } from "../state";

/** What is said once it has ended. The end of all else is told by the service's state. */
const ENDED: Partial<Record<OperationKind, (service: Service) => string>> = {
  RESIZE: ({ name, tier }) => `${name} has the size ${tier.name} now.`,
  UPGRADE: ({ name, version }) => `${name} runs version ${version} now.`,
  REVERT: ({ name, version, replaced }) => `${name} is ${replaced?.version === version ? "what it was before" : `back at version ${version}`}.`,
  UPDATE_IMAGE: ({ name }) => `${name} runs from its newest image now.`,
  REPAIR: ({ name }) => `${name} is repaired.`,
  RESTORE: ({ name }) => `${name} is restored.`,
};

/** What is wrong with a service that goes on as it was. */
const FAILED: Partial<Record<OperationKind, string>> = {
  UPGRADE: "UPGRADE_FAILED",
  UPDATE_IMAGE: "PULL_FAILED",
  RESTORE: "RESTORE_FAILED",
};

interface Said {
  text: string;
  bad: boolean;
}

/** What is said about an event that ended something; null where something else ended it. */
export function saidOf(kind: OperationKind, { service, message }: Pick<ServiceEvent, "service" | "message">): Said | null {
  if (FAILED[kind] && service.error?.code === FAILED[kind]) return { text: message, bad: true };
  const text = ENDED[kind]?.(service);
  return text ? { text, bad: false } : null;
}

/** What is under way with services. */
export class Endings {
  readonly #underway = new Map<string, OperationKind>();

  /** Takes what was under way before the first event. */
  begin(services: Iterable<Service>): void {
    for (const { id, operation } of services) if (operation) this.#take(id, operation.kind);
  }

  /** What has ended by this event, in a service that runs. */
  endedBy({ serviceId, operation, state }: Pick<EventFragment, "serviceId" | "operation" | "state">): OperationKind | null {
    const kind = this.#underway.get(serviceId) ?? null;
    this.#underway.delete(serviceId);
    if (operation) this.#take(serviceId, operation.kind);
    return operation || state !== "RUNNING" ? null : kind;
  }

  #take(id: string, kind: OperationKind): void {
    if (ENDED[kind]) this.#underway.set(id, kind);
  }
}

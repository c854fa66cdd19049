// What another size for a service comes to, and how it is said. Nothing here talks to anybody.

import type { ResizeApply } from "../generated";
import type { Service } from "../state";
import type { Sample } from "../usage";
import { IS } from "../words";
import { filling } from "./storage";

type Tier = Service["tier"];

/** What has to be known of its kind. */
export interface Kind {
  name: string;
  resizesLive: boolean;
}

/** One of several ways to a new size. */
export interface Way {
  apply: ResizeApply;
  label: string;
  text: string;
}

/** What happens when a service gets another size: a sentence, or the ways there are, the harmless one first. */
export function prospect(service: Service, to: Tier, kind: Kind): string | readonly Way[] {
  const { state, operation, tier } = service;
  if (operation?.kind === "STOP") return "It is being stopped, and has its new size from its next start on.";
  if (state === "STOPPED" && !operation) return "It is stopped, and has its new size from its next start on.";
  if (state === "ERROR" && !operation) return "It is not serving. It is started again in its new size, with the data it has.";
  if (state !== "RUNNING") return "It is being started, and has its new size then.";
  if (kind.resizesLive) return `${kind.name} takes its new size while it runs: nobody loses a connection.`;
  const [atOnce, later] = to.memoryMib < tier.memoryMib ? ["CPU", "memory and the rest"] : ["CPU and memory", "the rest"];
  return [
    {
      apply: "AT_NEXT_RESTART",
      label: "Without a restart",
      text: `${atOnce} at once; ${later}, such as its number of connections, at the next restart. Nobody loses a connection.`,
    },
    { apply: "NOW", label: "Now, with a restart", text: "It restarts at once. That takes a few seconds and ends all connections." },
  ];
}

/** Why a service can't be given another size now, though it could a moment ago. */
export function obstacle({ state, viewerActions }: Service): string | null {
  if (viewerActions.includes("RESIZE")) return null;
  if (state === "RUNNING" || state === "STOPPED" || state === "ERROR") return "You may not change its size any more.";
  return `It is ${IS[state]} now, and its size can’t be changed.`;
}

/** Why a size is likely to be refused: more is there than it holds, by what was measured or noted last. */
export function misfit(service: Service, to: Tier, kind: Kind, sample: Sample | null): string | null {
  // As the server counts, so that both say the same.
  const stored = Math.floor(filling(service, sample).usedMib ?? 0);
  if (to.storageMib < service.tier.storageMib && stored > to.storageMib) {
    return `Likely to be refused: ${stored} MiB are stored, and it holds ${to.storageMib} MiB.`;
  }
  if (service.state !== "RUNNING" || !sample) return null;
  // A server that is started anew makes do with what it is given.
  const held = Math.floor(sample.memoryMib);
  if (kind.resizesLive && to.memoryMib < service.tier.memoryMib && held > to.memoryMib) {
    return `Likely to be refused: it takes ${held} MiB of memory, and this has ${to.memoryMib} MiB.`;
  }
  return null;
}

// How full a service's storage is, and what comes of that. Nothing here talks to anybody.

import type { StorageEnforcement } from "../generated";
import type { Service } from "../state";
import type { Sample } from "../usage";

/** From which share on it is marked, and marked more. */
const HIGH = 0.8;
const ALMOST = 0.9;

const ENFORCED: Record<StorageEnforcement, string> = {
  GUARDED: "It takes no more writes at 100 %.",
  HARD: "It takes no more writes at 100 %, and its file system ends a quarter above.",
};

/** Below this share a server that was full takes writes again, and from this one on it is stopped unless somebody cleans up. */
const ROOMY = 0.95;
const TOO_MUCH = 1.1;

interface Filling {
  usedMib: number | null;
  limitMib: number;
  share: number | null;
}

/** What is stored: as it was measured, or else noted last. */
export function filling({ storage }: Service, sample: Sample | null): Filling {
  const measured = sample?.storageMib ?? null;
  const { usedMib, limitMib } = sample && measured !== null ? { usedMib: measured, limitMib: sample.storageLimitMib } : storage;
  return { usedMib, limitMib, share: usedMib === null ? null : usedMib / limitMib };
}

/** What is to be said about a storage that is so full. */
export function prospectOf({ storage }: Service, share: number | null): { text: string; warning: string | null } {
  const warning =
    share === null || share < HIGH
      ? null
      : share < ALMOST
        ? "It fills up: think of a larger size, or of what can be deleted."
        : share < 1
          ? "It is almost full: give it a larger size, or delete data."
          : "It is full.";
  return { text: ENFORCED[storage.enforcement], warning };
}

/** How full it is in percent, where that is to be noticed in a list; null where it is not, or where an error tells of it. */
export function alarm(service: Service): number | null {
  const { share } = filling(service, null);
  if (share === null || share < ALMOST || service.error?.code === "STORAGE_FULL" || service.state === "DESTROYED") return null;
  return percent(share);
}

/** As a limit is talked of: all of it only when it is reached. */
export function percent(share: number): number {
  return share < 1 ? Math.min(99, Math.round(100 * share)) : Math.round(100 * share);
}

/** How urgent it is that something is so full. */
export function level(share: number | null, almost: number): "" | "high" | "full" {
  if (share === null || share < HIGH) return "";
  return share < almost ? "high" : "full";
}

/** What there is too much of, of a server that runs and takes no more writes: what its host holds, or what it holds itself. */
export function fullness(service: Service): "host" | "size" | "overfull" {
  const { share } = filling(service, null);
  if (share === null || share < ROOMY) return "host";
  return share < TOO_MUCH ? "size" : "overfull";
}

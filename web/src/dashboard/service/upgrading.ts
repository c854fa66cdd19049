// What an upgrade comes to, and how it is said. Nothing here talks to anybody.

import type { Service } from "../state";
import { IS } from "../words";

/** What happens when a service is upgraded, step by step. */
export function course({ version }: Service, to: string): readonly string[] {
  return [
    `Version ${to} is made ready beside version ${version}, which goes on.`,
    `The data is copied and compared. Meanwhile version ${version} can be read and takes no writes.`,
    `Version ${to} takes over, with the same host, port and password.`,
    `Version ${version} is kept for a while, usually a week: one can go back to it, without what was written after the upgrade.`,
  ];
}

/** Why a service can't be upgraded now, though it could a moment ago. */
export function obstacle({ state, operation, viewerActions, upgradesTo, version }: Service): string | null {
  if (viewerActions.includes("UPGRADE") && upgradesTo.length > 0) return null;
  if (operation?.kind === "UPGRADE") return "It is being upgraded already.";
  if (operation) return "Something else is being done about it. Wait until that is over.";
  if (upgradesTo.length === 0) return `Version ${version}, which it has now, is the newest.`;
  if (viewerActions.length === 0 && state !== "DESTROYING" && state !== "DESTROYED") return "You may not upgrade it any more.";
  return `It is ${IS[state]} now, and can’t be upgraded.`;
}

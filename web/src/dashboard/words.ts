// How things are called, and how figures and times are written.

import type { OperationKind, OperationPhase, ServiceAction, ServiceState } from "./generated";
import type { Service } from "./state";

export const STATE: Record<ServiceState, string> = {
  PENDING: "Pending",
  PROVISIONING: "Provisioning",
  RUNNING: "Running",
  STOPPED: "Stopped",
  ERROR: "Error",
  DESTROYING: "Destroying",
  DESTROYED: "Destroyed",
  UNKNOWN: "Unknown",
};

/** A state within a sentence: "the service is …". */
export const IS: Record<ServiceState, string> = {
  PENDING: "waiting to be set up",
  PROVISIONING: "being set up",
  RUNNING: "running",
  STOPPED: "stopped",
  ERROR: "in error",
  DESTROYING: "being destroyed",
  DESTROYED: "destroyed",
  UNKNOWN: "in a state that a newer server knows",
};

export const OPERATION: Record<OperationKind, string> = {
  PROVISION: "Provisioning",
  START: "Starting",
  STOP: "Stopping",
  RESTART: "Restarting",
  DESTROY: "Destroying",
  RECOVER: "Repairing",
  ROTATE_CREDENTIALS: "Changing the password",
  RESIZE: "Changing the size",
  UPGRADE: "Upgrading",
  REVERT: "Going back",
  UPDATE_IMAGE: "Updating the image",
  REPAIR: "Repairing",
  RESTORE: "Restoring",
  CLONE: "Cloning",
  UNKNOWN: "Working on it",
};

export const PHASE: Record<OperationPhase, string> = {
  QUEUED: "waiting for its turn",
  PULLING_IMAGE: "pulling the image",
  CREATING_VOLUME: "creating the volume",
  CREATING_CONTAINER: "creating the container",
  STARTING: "starting the container",
  WAITING_FOR_READY: "waiting for it to answer",
  CHANGING_PASSWORD: "setting the new one",
  RESIZING: "setting its new limits",
  STOPPING: "shutting down",
  REMOVING: "removing container and data",
  PREPARING: "preparing what takes over",
  COPYING_DATA: "copying its data",
  COMPARING: "comparing the copy",
  SWITCHING: "switching over",
  REPAIRING: "putting things right",
  RESTORING: "bringing in what the backup holds",
  UNKNOWN: "in a way that a newer server knows",
};

/** What changes a service; the other actions look at what it holds, or are offered beside its backups. */
export type Action = Exclude<ServiceAction, "REVEAL_CREDENTIALS" | "RUN_SQL" | "BROWSE_KEYS" | "CREATE_BACKUP" | "RESTORE">;

export const ACTION: Record<Action, string> = {
  START: "Start",
  STOP: "Stop",
  RESTART: "Restart",
  DESTROY: "Destroy",
  ROTATE_CREDENTIALS: "Change the password",
  RESIZE: "Change size",
  UPGRADE: "Upgrade",
  REVERT: "Go back",
  UPDATE_IMAGE: "Update the image",
  REPAIR: "Repair",
};

/** What ends with a server that runs. */
const STARTS: ReadonlySet<OperationKind> = new Set(["START", "RESTART", "RECOVER", "RESIZE", "REVERT", "UPDATE_IMAGE", "REPAIR"]);

/** How a service is, in a few words. */
export function health(service: Service): string {
  const { kind, phase } = service.operation ?? {};
  switch (service.state) {
    case "RUNNING":
      if (kind === "STOP" || kind === "RESTART" || kind === "DESTROY" || phase === "STOPPING") return "Shutting down";
      if (kind === "RECOVER" || kind === "REPAIR") return "Being repaired";
      if (kind === "UPGRADE") return "Being upgraded";
      if (kind === "REVERT") return "Going back";
      if (kind === "RESTORE") return "Being restored";
      return service.error?.code === "STORAGE_FULL" ? "Takes no writes" : "Healthy";
    case "ERROR":
      return kind && STARTS.has(kind) ? "Not serving, being started" : "Not serving";
    case "STOPPED":
      return kind === "START" || kind === "RESIZE" ? "Starting" : "Off, data kept";
    case "DESTROYING":
      return "Being removed";
    case "DESTROYED":
      return "Gone for good";
    default:
      return "Not ready yet";
  }
}

export function size(mib: number): string {
  if (mib >= 1024) return `${round(mib / 1024)} GiB`;
  return `${mib >= 10 ? Math.round(mib) : round(mib)} MiB`;
}

export function cores(cpus: number): string {
  return `${round(cpus)} CPU`;
}

function round(figure: number): string {
  return String(Math.round(figure * 10) / 10);
}

/** As a sentence begins. */
export function capital(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** A span of milliseconds: `42 s`, `3 min 05 s`, `2 h 10 min`. */
export function span(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  const two = (figure: number) => String(figure).padStart(2, "0");
  if (minutes < 60) return `${minutes} min ${two(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${two(minutes % 60)} min` : `${Math.floor(hours / 24)} days`;
}

const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

export function atLength(time: string): string {
  return exact.format(new Date(time));
}

export function timeOfDay(time: string): string {
  return clock.format(new Date(time));
}

export function dayOf(time: string): string {
  return day.format(new Date(time));
}

const precise = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });

/** As wide for every line. */
export function logTime(time: string): string {
  return precise.format(new Date(time));
}

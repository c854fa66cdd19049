// What is said about backups, and what can be done about one. Nothing here talks to anybody.

import type { BackupFragment, BackupOrigin, BackupPhase, BackupState } from "../../generated";
import type { Service } from "../../state";
import { atLength, IS, size, span } from "../../words";

export type Backup = BackupFragment;

export const STATE: Record<BackupState, string> = {
  PENDING: "Pending",
  RUNNING: "Being taken",
  AVAILABLE: "Available",
  VERIFIED: "Verified",
  FAILED: "Failed",
  DELETING: "Being deleted",
  UNKNOWN: "Unknown",
};

/** The state of a service whose mark a backup's state has. */
export const MARK: Record<BackupState, string> = {
  PENDING: "pending",
  RUNNING: "provisioning",
  AVAILABLE: "stopped",
  VERIFIED: "running",
  FAILED: "error",
  DELETING: "destroying",
  UNKNOWN: "unknown",
};

export const PHASE: Record<BackupPhase, string> = {
  QUEUED: "Waiting for its turn",
  COPYING: "Taking its content",
  RESTORING: "Restoring it, to see that it can be",
  READING: "Reading what was restored",
  UNKNOWN: "In a way that a newer server knows",
};

export const ORIGIN: Record<BackupOrigin, string> = {
  MANUAL: "By hand",
  SCHEDULED: "By schedule",
  FINAL: "Final backup",
  UNKNOWN: "For a reason that a newer server knows",
};

/** The time that a backup is known by: until it was begun, that of the request. */
export function timeOf({ begunAt, createdAt }: Backup): string {
  return begunAt ?? createdAt;
}

/** What tells one backup from the others in a sentence. */
export function nameOf(backup: Backup): string {
  return `the backup of ${atLength(timeOf(backup))}`;
}

export function bytes(count: number): string {
  if (count < 1024) return `${count} B`;
  return count < 2 ** 20 ? `${Math.round(count / 1024)} KiB` : size(count / 2 ** 20);
}

/** How large it is, as far as that is known. */
export function sizeOf({ contentBytes, storedBytes, state }: Backup): string | null {
  if (storedBytes !== null) return `${bytes(contentBytes)}, stored in ${bytes(storedBytes)}`;
  return state === "RUNNING" && contentBytes > 0 ? `${bytes(contentBytes)} so far` : null;
}

/** How long it took to be whole. */
export function durationOf({ begunAt, endedAt }: Backup): string | null {
  if (!begunAt || !endedAt) return null;
  const took = Date.parse(endedAt) - Date.parse(begunAt);
  return `taken in ${took < 1000 ? "less than 1 s" : span(took)}`;
}

export interface Possible {
  verify: boolean;
  restore: boolean;
  delete: boolean;
}

/** What can be done about a backup by who may do everything. */
export function possible({ state, phase, endedAt }: Backup): Possible {
  const whole = state === "AVAILABLE" || state === "VERIFIED";
  return {
    // One that could not be restored once may be tried again.
    verify: (whole || (state === "FAILED" && endedAt !== null)) && phase === null,
    restore: whole,
    delete: state !== "DELETING" && state !== "UNKNOWN",
  };
}

/** What becomes of the service by this backup; null where nothing does. */
export function fateOf({ origin, state, phase }: Backup, service: Service): string | null {
  if (origin !== "FINAL" || service.state === "DESTROYING" || service.state === "DESTROYED") return null;
  if (state === "DELETING" || (phase === null && !(state === "PENDING" || state === "RUNNING"))) return null;
  return `${service.name} is destroyed once this is verified. To keep it, delete this backup.`;
}

/** Why a service can't be backed up now; null where it can. */
export function obstacle({ state, operation, viewerActions }: Service, mayChange: boolean): string | null {
  if (viewerActions.includes("CREATE_BACKUP")) return null;
  if (!mayChange) return "To take backups and to restore them you need the permission to change this project’s services.";
  if (state === "DESTROYED") return "The service is destroyed. Its backups are kept, and can be restored into a new one.";
  if (state !== "RUNNING") return `A backup can be taken only while the service runs; it is ${IS[state]}.`;
  return operation ? "Something is being done about the service. Wait a moment." : "This kind of service can’t be backed up.";
}

/** Whether one is under way: another would be the same. */
export function isOpen({ state }: Backup): boolean {
  return state === "PENDING" || state === "RUNNING";
}

/** What is to be said aloud about a backup that has changed; null where it is not of interest. */
export function news(before: Backup | undefined, after: Backup): string | null {
  const what = `The backup of ${after.serviceName}`;
  if (!before) return null;
  if (after.error && after.error.occurredAt !== before.error?.occurredAt) {
    const stays = before.origin === "FINAL" && after.state === "FAILED" ? " The service stays." : "";
    return `${what}: ${troubleOf(after)?.title} ${after.error.message}${stays}`;
  }
  if (after.state === "VERIFIED" && before.verification?.verifiedAt !== after.verification?.verifiedAt) return `${what} is verified.`;
  if (after.state === "AVAILABLE" && isOpen(before)) return `${what} is complete.`;
  return null;
}

/** What is wrong with it, and whether that is final. */
export function troubleOf({ state, phase, endedAt, error }: Backup): { title: string; final: boolean } | null {
  if (!error) return null;
  if (state === "FAILED") return { title: endedAt ? "It could not be restored." : "It could not be taken.", final: true };
  if (state === "DELETING") return { title: "It can’t be deleted yet.", final: false };
  if (phase !== null || state === "PENDING" || state === "RUNNING") return { title: "It has to wait.", final: false };
  return { title: "It could not be verified.", final: false };
}

/** What was read, unless a later look at a backup is known already. */
export function taken(known: readonly Backup[], read: readonly Backup[]): readonly Backup[] {
  const before = new Map(known.map((backup) => [backup.id, backup]));
  return read.map((backup) => {
    const here = before.get(backup.id);
    return here && here.revision > backup.revision ? here : backup;
  });
}

/** The list with a backup as a mutation answers it: a new one stands first. */
export function answered(known: readonly Backup[], answer: Backup): readonly Backup[] {
  if (!known.some(({ id }) => id === answer.id)) return [answer, ...known];
  return known.map((backup) => (backup.id === answer.id && answer.revision >= backup.revision ? answer : backup));
}

/** What happens when a backup is restored into a new service; without one, what its source held at a moment. */
export function course(backup: Backup | null, kind: string, source: Service): readonly string[] {
  const user = (backup ?? source).kind === "POSTGRESQL" ? ", with the same user and database" : "";
  const version = backup ? ` ${backup.version}` : " in the version that it had then";
  const made = `A new service is made, with ${kind}${version} and a password and an address of its own.`;
  const filled = `It is given ${backup ? `the ${bytes(backup.contentBytes)} that the backup holds` : `what ${source.name} held at that moment`}${user}.`;
  const runs = "It runs once all of it is there. Where that fails it does not run at all, so that it is never an empty one.";
  const stays = source.state === "DESTROYED" ? [] : [`${source.name} stays as it is.`];
  return [made, filled, runs, ...stays];
}

/** What happens when a backup takes the place of what its service has; without one, what it held at a moment. */
export function courseInPlace(backup: Backup | null, service: Service): readonly string[] {
  const { name, state } = service;
  const runs = state === "RUNNING" ? ` ${name} goes on meanwhile.` : "";
  const brought = backup ? `The ${bytes(backup.contentBytes)} that the backup holds are` : "What it held at that moment is";
  const begun = "Then it is started anew with that: everything that is connected to it loses its connection for a moment.";
  const same = "Its address, user and password stay as they are.";
  const kept = isLost(service)
    ? "Of what it was nothing is there to be kept."
    : "What it was until then is kept for a while, usually a week: “Go back” returns to that.";
  return [`${brought} brought in beside what is there.${runs}`, `${begun} ${same}`, ...versionThen(backup, service), kept];
}

/** What is to be said of the version that it has then. */
function versionThen(backup: Backup | null, { version }: Service): readonly string[] {
  if (!backup) return [`It has the version that it had then, also where that is not ${version}.`];
  return backup.version === version ? [] : [`It has version ${backup.version} again, as when the backup was taken, and not ${version} any more.`];
}

/** Whether its data is missing, so that nothing more of it can be lost. */
export function isLost({ error }: Service): boolean {
  return error?.code === "VOLUME_LOST";
}

/** Why a backup, or a moment, can't take the place of what its service has; null where it can. */
export function hindrance(backup: Backup | null, { state, operation, viewerActions, tier }: Service): string | null {
  if (operation && !viewerActions.includes("RESTORE")) return "Something is being done about the service. Wait until that is over.";
  if (!viewerActions.includes("RESTORE")) return `The service is ${IS[state]} now, and can’t be restored.`;
  const small = backup && misfit(backup, tier);
  return small && `${small} Give the service a larger size first.`;
}

/** Why a size can't take what a backup holds. */
export function misfit({ contentBytes }: Backup, { storageMib }: { storageMib: number }): string | null {
  return contentBytes > storageMib * 2 ** 20 ? `Too small: the backup holds ${bytes(contentBytes)}.` : null;
}

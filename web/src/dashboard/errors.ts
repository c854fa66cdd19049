// What is said about what did not work: plain sentences, and what helps.

import type { ApiError } from "./api";
import type { ServiceState } from "./generated";
import { fullness } from "./service/storage";
import type { Service } from "./state";
import { type Action, IS } from "./words";

interface Explained {
  text: string;
  advice?: string;
}

/** What somebody reads about an answer that is an error. */
export function explained(error: ApiError): Explained {
  const { message, details } = error;
  switch (error.code) {
    case "OFFLINE":
      return { text: message, advice: "Check your connection; the server may also be restarting." };
    case "UNAUTHENTICATED":
      return { text: "You are not signed in any more.", advice: "Sign in again, then repeat this." };
    case "FORBIDDEN":
      return {
        text: `You don’t have the permission to ${PERMISSION[String(details?.permission)] ?? "do this"}.`,
        advice: "Ask somebody who manages the project for it.",
      };
    case "NOT_FOUND":
      return { text: message, advice: "It may have been removed, or the address may be wrong." };
    case "INVALID_STATE":
      return { text: notNow(details?.state, details?.allowedStates) ?? message, advice: "It has changed in the meantime." };
    case "QUOTA_EXCEEDED":
      if (details?.lacks) {
        return { text: message, advice: "Take a smaller size, or ask whoever runs the platform for more." };
      }
      return {
        text: `This project has reached its limit${details?.maximum ? ` of ${details.maximum} services` : ""}.`,
        advice: "Destroy a service that is no longer needed, or ask whoever runs the platform for more.",
      };
    case "RATE_LIMITED":
    case "UNAVAILABLE": {
      const seconds = Number(details?.retryAfter);
      return { text: message, advice: seconds > 0 ? `Try again in ${seconds} s.` : "Wait a moment, then try again." };
    }
    case "CONFLICT":
    case "BAD_USER_INPUT":
      return { text: message };
    case "INTERNAL_SERVER_ERROR":
      return { text: "Something went wrong on the server.", advice: "If it happens again, tell whoever runs the platform." };
    default:
      return { text: message, advice: "If it happens again, tell whoever runs the platform." };
  }
}

const PERMISSION: Record<string, string> = {
  "project:settings": "change this project’s services",
  "project:delete": "destroy this project’s services",
};

function notNow(state: unknown, allowed: unknown): string | null {
  const is = (state: unknown) => IS[state as ServiceState] ?? null;
  const now = is(state);
  const then = Array.isArray(allowed) ? allowed.flatMap((state) => is(state) ?? []) : [];
  if (!now || then.length === 0) return null;
  return `This can’t be done while the service is ${now}, only while it is ${then.join(" or ")}.`;
}

/** A service's error in a few words, where its code is known. */
export function titleOf(code: string): string {
  return TITLE[code] ?? "It does not work as it should";
}

const TITLE: Record<string, string> = {
  CREDENTIALS_REFUSED: "Its server refuses its own password",
  CRASH_LOOP: "It stops again and again",
  CREDENTIALS_UNREADABLE: "Its credentials can’t be read",
  ENGINE_UNAVAILABLE: "The container engine does not answer",
  NODE_UNAVAILABLE: "The machine that it runs on does not answer",
  NETWORK_POOL_EXHAUSTED: "There is no network left for this project",
  NO_SPACE: "The disk is full",
  OUT_OF_MEMORY: "It needs more memory than it has",
  PORT_IN_USE: "Its port is used by something else",
  PULL_FAILED: "Its image could not be downloaded",
  RESTORE_FAILED: "Its data could not be brought in",
  ROTATION_FAILED: "Its password could not be changed yet",
  START_TIMEOUT: "It did not start in time",
  STORAGE_FULL: "There is no room left for its data",
  UPGRADE_FAILED: "Its upgrade did not work",
  VOLUME_LOST: "Its data is missing",
};

/** What somebody can do about a service that does not do what it should. */
export function remedy(service: Service, code: string): string {
  if (REMEDY[code]) return REMEDY[code];
  const { viewerActions, state, version } = service;
  if (state === "RUNNING") {
    if (code === "UPGRADE_FAILED") return `It goes on in version ${version}, with all its data.`;
    if (code === "RESTORE_FAILED") return "It goes on as it was, with all its data.";
    if (code === "PULL_FAILED") return "It runs on from the image that it has.";
    if (code === "STORAGE_FULL") return `It can be read. ${ROOM[fullness(service)]}`;
  }
  if (code === "RESTORE_FAILED") return EMPTY;
  if (code === "STORAGE_FULL") return "Start it to delete data within ten minutes, or give it a larger size.";
  if (viewerActions.includes("START")) return "“Start” tries again, with the data it has.";
  return "It is tried again automatically, and can be started by whoever may change the project’s services.";
}

/** What was to be restored in place may have data. */
const EMPTY = "Restore the backup once more, or another one. If it was to be made of the backup, it is empty: destroy it.";

/** What makes room, by what there is too much of. */
const ROOM: Record<ReturnType<typeof fullness>, string> = {
  host: "Delete data that is not needed, and tell whoever runs the platform.",
  size: "It takes writes again below 95 %: delete data, or give it a larger size.",
  overfull: "It is stopped again ten minutes after its start, unless data is deleted or it is given a larger size.",
};

/** The same by the error's code, where starting it again is not what helps. */
const REMEDY: Record<string, string> = {
  CREDENTIALS_REFUSED: "Somebody may have changed it by hand. A repair puts it back, and leaves the data alone.",
  CREDENTIALS_UNREADABLE: "Tell whoever runs the platform: a key is missing on the server.",
  ENGINE_UNAVAILABLE: "There is nothing to do: it continues as soon as the engine answers.",
  NODE_UNAVAILABLE: "It continues as soon as the machine answers, with its data; ask whoever runs the platform whether it comes back.",
  NO_SPACE: "Tell whoever runs the platform.",
  OUT_OF_MEMORY: "If it happens again, give it a larger size.",
  ROTATION_FAILED: "It is tried again automatically. Change the password once more to try now.",
  VOLUME_LOST: "Tell whoever runs the platform before anybody destroys the service.",
};

/** What leads out of an error, where there is something better than to wait. */
export function waysOut(service: Service, code: string): readonly Action[] {
  if (code === "STORAGE_FULL" && service.state === "RUNNING" && fullness(service) === "host") return [];
  return WAYS_OUT[code] ?? [];
}

const WAYS_OUT: Record<string, readonly Action[]> = {
  CREDENTIALS_REFUSED: ["REPAIR"],
  PULL_FAILED: ["UPDATE_IMAGE"],
  STORAGE_FULL: ["START", "RESIZE"],
  UPGRADE_FAILED: ["UPGRADE"],
};

// What several parts of the page are made of.

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { ApiError } from "./api";
import { Icon, type Sign } from "./icons";
import type { Service } from "./state";
import { Store, useStore } from "./store";
import { atLength, OPERATION, PHASE, STATE, span } from "./words";

/** The time, each second while somebody looks at it. */
function useNow(): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

/** How long it is since then, counting on. */
export function Elapsed({ since }: { since: string }) {
  return <span class="elapsed">{span(useNow() - Date.parse(since))}</span>;
}

/** When it was: how long ago, and the time itself when pointed at. */
export function Ago({ time }: { time: string }) {
  return (
    <time dateTime={time} title={atLength(time)}>
      {span(useNow() - Date.parse(time))} ago
    </time>
  );
}

export function StateBadge({ state }: { state: Service["state"] }) {
  return <span class={`badge state-${state.toLowerCase()}`}>{STATE[state]}</span>;
}

/** What is being done about a service, how far it is and for how long. */
export function Underway({ service }: { service: Service }) {
  const { operation } = service;
  if (!operation) return null;
  const { kind, phase, progressPercent, startedAt } = operation;
  // The badge beside it may say the same.
  const what = OPERATION[kind] === STATE[service.state] ? "" : `${OPERATION[kind]}: `;
  return (
    <span class="underway">
      <span class="spinner" aria-hidden="true" />
      <span>
        <span class="sentence">
          {what}
          {PHASE[phase]}
        </span>
        {progressPercent !== null && (
          <>
            {" "}
            <span class="together">
              <progress max={100} value={progressPercent} aria-label="How much of the image is here" /> {progressPercent} %
            </span>
          </>
        )}{" "}
        <span class="together">
          · <Elapsed since={startedAt} />
        </span>
      </span>
    </span>
  );
}

/** Tells what did not work, in the API's words. */
export function Failure({ error, retry }: { error: ApiError; retry?: () => void }) {
  return (
    <div class="failure" role="alert">
      <Icon sign="warning" />
      <div>
        <p>{error.message}</p>
        <p class="quiet">
          {ADVICE[error.code] ?? "If it happens again, tell whoever runs the platform."} <code>{error.code}</code>
        </p>
      </div>
      {retry && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

/** What somebody can do about an error, by its code. */
const ADVICE: Record<string, string> = {
  OFFLINE: "See whether you are online; the server may also be restarting.",
  UNAUTHENTICATED: "Sign in again.",
  FORBIDDEN: "Ask somebody who manages the project for the permission.",
  NOT_FOUND: "It may have been removed, or the address may be wrong.",
  INVALID_STATE: "The service has changed in the meantime; look at it again.",
  CONFLICT: "Choose another name.",
  QUOTA_EXCEEDED: "Destroy a service that nobody needs, or ask for more.",
  RATE_LIMITED: "Wait a moment, then try again.",
  UNAVAILABLE: "Wait a moment, then try again.",
  BAD_USER_INPUT: "Change what you entered.",
};

/** A page, or a part of one, that has nothing to list. */
export function Notice(props: { sign: Sign; title: string; level?: "h1" | "h2" | "h3"; children?: ComponentChildren }) {
  const Heading = props.level ?? "h2";
  return (
    <div class="notice">
      <Icon sign={props.sign} size={40} />
      <Heading>{props.title}</Heading>
      {props.children}
    </div>
  );
}

/** A dialog over the page. It ends by Escape, by its button and by what is done in it. */
export function Dialog(props: { title: string; close: () => void; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const shown = dialog.current;
    shown?.showModal();
    // Gives the focus back to what had it, which removing the dialog would not.
    return () => shown?.close();
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby="dialog-title" onClose={props.close}>
      <header>
        <h2 id="dialog-title">{props.title}</h2>
        <button type="button" class="bare" aria-label="Close" onClick={() => dialog.current?.close()}>
          <Icon sign="close" />
        </button>
      </header>
      {props.children}
    </dialog>
  );
}

/** Copies a text, and says so. */
export function Copy({ text, what, label }: { text: string; what: string; label?: string }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 2000);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async () => {
    const done = await toClipboard(text);
    setCopied(done);
    announce(done ? `${what} copied.` : `${what} could not be copied.`);
  };
  return (
    <button type="button" class={label ? "" : "bare"} aria-label={label ? undefined : `Copy ${what.replace(/^The /, "the ")}`} onClick={copy}>
      <Icon sign={copied ? "done" : "copy"} size={16} />
      {label && (copied ? "Copied" : label)}
    </button>
  );
}

async function toClipboard(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // A page within another may not have the clipboard, and a page without TLS has none.
    const field = document.createElement("textarea");
    field.value = text;
    (document.querySelector("dialog[open]") ?? document.body).append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}

const announcement = new Store("");

/** Has screen readers say something. */
export function announce(text: string): void {
  // The same text once more has to differ to be said once more.
  announcement.set(text === announcement.value ? `${text}\u00a0` : text);
}

export function Announcer() {
  return (
    <p class="unseen" role="status" aria-live="polite">
      {useStore(announcement)}
    </p>
  );
}

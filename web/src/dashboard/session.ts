import { Store } from "./store";

/** Who may use the API, and for which project. The token is in memory only: never stored, never in an address. */
export interface Session {
  token: string;
  /** Null when the token has to tell. */
  project: string | null;
}

/** Null until there is a token. */
export const session = new Store<Session | null>(null);

/** Whether a token was there and is refused. */
export const expired = new Store(false);

/** Whether another page shows this one, which then also gives it its tokens. */
export const embedded = window.parent !== window;

/** Whether to ask for a token when nobody gives one, as a development server does. */
export const asksForToken = meta("token-field") !== "";

const embedders = new Set(meta("embedders").split(",").filter(Boolean));

/** What the page's address says: `?project=demo`. */
const addressed = new URLSearchParams(location.search).get("project");

export function signIn(token: string, project: string | null): void {
  expired.set(false);
  session.set({ token, project: project || addressed });
}

/** The API refused the token: whoever gave it has to give another. */
export function refuse(token: string): void {
  if (session.value?.token !== token || expired.value) return;
  expired.set(true);
  tell("token-expired");
}

/**
 * Listens to the embedding page, and tells it that it may send:
 * `{ type: "project-services:token", token: "eyJ…", project: "demo" }`, at first and whenever it has a newer token.
 */
export function listen(): void {
  if (!embedded) return;
  window.addEventListener("message", ({ data, origin, source }) => {
    if (source !== window.parent || !embedders.has(origin)) return;
    if (data?.type !== "project-services:token" || typeof data.token !== "string") return;
    signIn(data.token, typeof data.project === "string" ? data.project : null);
  });
  tell("ready");
}

function tell(what: "ready" | "token-expired"): void {
  // Nothing secret is in it, so that it may be told to whoever the parent is.
  if (embedded) window.parent.postMessage({ type: `project-services:${what}` }, "*");
}

function meta(name: string): string {
  return document.querySelector<HTMLMetaElement>(`meta[name="${name}"]`)?.content ?? "";
}

import { chooseProject } from "./route";
import { Store } from "./store";

/** Who may use the API. The token is in memory only: never stored, never in an address. Null until there is one. */
export const session = new Store<{ token: string } | null>(null);

/** Whether a token was there and is refused. */
export const expired = new Store(false);

/** Whether another page shows this one, which then also gives it its tokens. */
export const embedded = window.parent !== window;

/** Whether to ask for a token when nobody gives one, as a development server does. */
export const asksForToken = meta("token-field") !== "";

/** The origins of the pages that may tell this one something. */
export const embedders = new Set(meta("embedders").split(",").filter(Boolean));

export function signIn(token: string, project: string | null): void {
  expired.set(false);
  if (project) chooseProject(project, "replace");
  session.set({ token });
}

/** The API refused the token: whoever gave it has to give another. */
export function refuse(token: string): void {
  if (session.value?.token !== token || expired.value) return;
  expired.set(true);
  tell("token-expired");
}

/** Tells the embedding page. Nothing secret is in it, so that it may be told to whoever that is. */
export function tell(what: string, more: object = {}): void {
  if (embedded) window.parent.postMessage({ type: `project-services:${what}`, ...more }, "*");
}

function meta(name: string): string {
  return document.querySelector<HTMLMetaElement>(`meta[name="${name}"]`)?.content ?? "";
}

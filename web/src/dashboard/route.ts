import { Store } from "./store";

export const TABS = ["overview", "connect", "logs", "metrics", "console", "backups", "history"] as const;
export type Tab = (typeof TABS)[number];

/** What the address names: a project, and behind `#` a service and a part of what there is about it, or all that happened. */
export interface Route {
  project: string | null;
  view: "services" | "activity";
  id: string | null;
  tab: Tab;
}

export const route = new Store(read());
const reread = () => route.set(read());
window.addEventListener("hashchange", reread);
window.addEventListener("popstate", reread);

function read(): Route {
  const project = new URLSearchParams(location.search).get("project") || null;
  const [first = "", second = ""] = location.hash.slice(1).split("/");
  if (first === "activity") return { project, view: "activity", id: null, tab: "overview" };
  // An address of before.
  const tab = second === "credentials" ? "connect" : second;
  return { project, view: "services", id: first || null, tab: TABS.find((known) => known === tab) ?? "overview" };
}

export function addressOf(id: string, tab: Tab = "overview"): string {
  return tab === "overview" ? `#${id}` : `#${id}/${tab}`;
}

/** Shows the list alone. */
export function leave(): void {
  history.pushState(null, "", location.pathname + location.search);
  reread();
}

/** Shows what is at an address such as `#svc_…/logs`; the list at an empty one. */
export function visit(hash: string): void {
  if (hash.replace(/^#/, "") !== "") location.hash = hash;
  else if (location.hash) leave();
}

/** Shows another project, or none. What was looked at of the one before is left. */
export function chooseProject(project: string | null, way: "push" | "replace" = "push"): void {
  const { project: before } = route.value;
  if (project === before) return;
  const address = new URL(location.href);
  if (project) address.searchParams.set("project", project);
  else address.searchParams.delete("project");
  if (before) address.hash = "";
  history[`${way}State`](null, "", address);
  reread();
}

import { Store } from "./store";

export const TABS = ["overview", "credentials", "history", "logs", "metrics"] as const;
export type Tab = (typeof TABS)[number];

/** What the address names behind `#`: a service, and a part of what there is about it. */
export interface Route {
  id: string | null;
  tab: Tab;
}

export const route = new Store(read());
window.addEventListener("hashchange", () => route.set(read()));

function read(): Route {
  const [id = "", tab = ""] = location.hash.slice(1).split("/");
  return { id: id || null, tab: TABS.find((known) => known === tab) ?? "overview" };
}

export function addressOf(id: string, tab: Tab = "overview"): string {
  return tab === "overview" ? `#${id}` : `#${id}/${tab}`;
}

/** Shows the list alone. */
export function leave(): void {
  history.pushState(null, "", location.pathname + location.search);
  route.set(read());
}

// The page within another: what that one may tell it, and what it tells that one. Only allowed origins are heard.

import { route, visit } from "../route";
import { embedded, embedders, signIn, tell } from "../session";
import { announceHeight } from "./height";
import { type Look, wear } from "./theme";

/** The project that the embedding page has named last. */
let named: string | null = null;

/**
 * Listens to the embedding page, and tells it that it may send:
 * - `{ type: "project-services:token", token: "eyJ…", project: "demo" }`, at first and whenever it has a newer token;
 * - `{ type: "project-services:theme", theme: "light" | "dark" | "auto", variables: { accent: "#0f766e" } }`;
 * - `{ type: "project-services:navigate", address: "#svc_…/logs" }`.
 *
 * It says `project-services:ready`, `token-expired`, `resize` with a `height` in pixels, and `navigated` with an `address` as
 * above, the `project` and a `title`.
 */
export function listen(): void {
  wear({ theme: new URLSearchParams(location.search).get("theme") });
  if (!embedded) return;
  document.documentElement.classList.add("embedded");
  window.addEventListener("message", ({ data, origin, source }) => {
    if (source !== window.parent || !embedders.has(origin)) return;
    switch (data?.type) {
      case "project-services:token":
        return takeToken(data);
      case "project-services:theme":
        return wear(data as Look);
      case "project-services:navigate":
        if (typeof data.address === "string" && /^#?[\w/-]*$/.test(data.address)) visit(data.address);
    }
  });
  announceHeight();
  route.subscribe(({ project }) => {
    // The title follows in the picture that this leads to.
    requestAnimationFrame(() => tell("navigated", { address: location.hash, project, title: document.title }));
  });
  tell("ready");
}

function takeToken(data: { token?: unknown; project?: unknown }): void {
  if (typeof data.token !== "string") return;
  // With a newer token it names the same project again, and whoever looks at another goes on with that.
  const project = typeof data.project === "string" && data.project !== named ? data.project : null;
  named = project ?? named;
  signIn(data.token, project);
}

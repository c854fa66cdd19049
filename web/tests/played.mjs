// A played API, for what no engine shows on demand: the page is the server's own, and this answers its requests.

import assert from "node:assert/strict";

const started = Date.parse("2026-01-01T00:00:00Z");

/** A service as the API answers it. @param {number} number @param {object} given */
export function service(number, given = {}) {
  const name = `service-${String(number).padStart(3, "0")}`;
  return {
    id: `svc_${number}`,
    revision: 1,
    projectId: "demo",
    name,
    kind: number % 2 ? "REDIS" : "POSTGRESQL",
    version: number % 2 ? "7" : "17",
    tier: { tier: "DEV", name: "Dev", memoryMib: 128, cpus: 0.5, storageMib: 512 },
    restartPending: false,
    storage: { usedMib: 40, limitMib: 512, enforcement: "GUARDED" },
    upgradesTo: [],
    replaced: null,
    backupPolicy: null,
    state: "RUNNING",
    operation: null,
    error: null,
    hostname: name,
    port: number % 2 ? 6379 : 5432,
    externalHost: null,
    externalPort: null,
    endpoints: [{ name: "main", protocol: number % 2 ? "redis" : "postgresql", port: number % 2 ? 6379 : 5432, externalPort: null }],
    viewerActions: ["STOP", "RESTART", "DESTROY", "REVEAL_CREDENTIALS", "ROTATE_CREDENTIALS"],
    createdAt: new Date(started + number).toISOString(),
    updatedAt: new Date(started + number).toISOString(),
    ...given,
  };
}

/**
 * Plays the API to a page. Gives back what sends events to it.
 * @param {import("playwright-core").Page} page
 * @param {Record<string, (variables: any) => object>} operations what an operation answers, by its name; the server answers others
 * @param {Record<string, () => object[]>} streams what a subscription begins with, by its field
 */
export async function play(page, operations, streams = {}) {
  await page.route("**/graphql", async (route) => {
    const { query, variables } = route.request().postDataJSON();
    const answer = operations[operation(query).name];
    await (answer ? route.fulfill({ json: answer(variables) }) : route.continue());
  });
  /** @type {(events: object[]) => void} */
  let send = () => assert.fail("the page has not subscribed");
  await page.routeWebSocket(/graphql/, (socket) => {
    socket.onMessage((text) => {
      const { type, id, payload } = JSON.parse(String(text));
      if (type === "connection_init") socket.send(JSON.stringify({ type: "connection_ack" }));
      if (type === "ping") socket.send(JSON.stringify({ type: "pong" }));
      if (type !== "subscribe") return;
      const { field } = operation(payload.query);
      const next = (/** @type {object[]} */ items) => {
        for (const item of items) socket.send(JSON.stringify({ type: "next", id, payload: { data: { [field]: item } } }));
      };
      if (field === "serviceEvents") send = next;
      else next(streams[field]?.() ?? []);
    });
  });
  return (/** @type {object[]} */ events) => send(events);
}

/** How an operation is called, and its first field. @param {string} query */
export function operation(query) {
  const [, name = "", field = ""] = /(?:query|mutation|subscription) (\w+)[^{]*\{\s*(\w+)/.exec(query) ?? [];
  return { name, field };
}

/** The project's services as a page of a hundred. @param {object[]} services @param {{ after?: string | null }} variables */
export function listed(services, { after }) {
  const from = Number(after ?? 0);
  const pageInfo = { hasNextPage: from + 100 < services.length, endCursor: String(from + 100) };
  return { data: { services: { nodes: services.slice(from, from + 100), pageInfo, eventCursor: "0" } } };
}

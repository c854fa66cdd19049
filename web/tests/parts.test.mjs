// What the dashboard decides by itself: which services a list shows, what a log's line says, what to connect with, and how many
// services' events become one feed.

import assert from "node:assert/strict";
import { test } from "node:test";
import { runnerImport } from "vite";

/** @template T @param {string} path @returns {Promise<T>} */
const load = async (path) => /** @type {T} */ ((await runnerImport(path)).module);
/** @type {typeof import("../src/dashboard/list/filter")} */
const { ALL, counts, filtered } = await load("./src/dashboard/list/filter.ts");
/** @type {typeof import("../src/dashboard/service/lines")} */
const { said } = await load("./src/dashboard/service/lines.ts");
/** @type {typeof import("../src/dashboard/connect/address")} */
const { DOTS, envFile, variables } = await load("./src/dashboard/connect/address.ts");
/** @type {typeof import("../src/dashboard/activity/feed")} */
const { blocking, merged } = await load("./src/dashboard/activity/feed.ts");

/** @param {object} given */
const service = (given) =>
  /** @type {import("../src/dashboard/state").Service} */ ({
    id: "svc_1",
    name: "one",
    kind: "POSTGRESQL",
    version: "17",
    state: "RUNNING",
    operation: null,
    hostname: "one-1",
    port: 5432,
    externalHost: null,
    externalPort: null,
    createdAt: "2026-01-01T00:00:00Z",
    ...given,
  });
const nameOf = (/** @type {string} */ kind) => ({ POSTGRESQL: "PostgreSQL", REDIS: "Redis" })[kind] ?? kind;

const SERVICES = [
  service({ id: "a", name: "web" }),
  service({ id: "b", name: "cache", kind: "REDIS", version: "7", state: "STOPPED", createdAt: "2026-01-02T00:00:00Z" }),
  service({ id: "c", name: "jobs", state: "ERROR", createdAt: "2026-01-03T00:00:00Z" }),
  service({ id: "d", name: "gone", state: "DESTROYED", createdAt: "2026-01-04T00:00:00Z" }),
  service({ id: "e", name: "moving", operation: { kind: "STOP" }, createdAt: "2026-01-05T00:00:00Z" }),
];
const names = (/** @type {object} */ filter) => filtered(SERVICES, { ...ALL, ...filter }, nameOf).map(({ name }) => name);

test("a list leaves destroyed services out until they are asked for", () => {
  assert.deepEqual(names({}), ["web", "cache", "jobs", "moving"]);
  assert.deepEqual(names({ state: "DESTROYED" }), ["gone"]);
  assert.equal(counts(SERVICES).DESTROYED, 1);
});

test("a list is searched by what a service is called, what it is, and its version", () => {
  assert.deepEqual(names({ text: " Redis " }), ["cache"]);
  assert.deepEqual(names({ text: "17", kind: "REDIS" }), []);
  assert.deepEqual(names({ state: "CHANGING" }), ["moving"]);
});

test("a list is sorted as one likes", () => {
  assert.deepEqual(names({ sort: "newest" }), ["moving", "jobs", "cache", "web"]);
  assert.deepEqual(names({ sort: "name" }), ["cache", "jobs", "moving", "web"]);
  assert.deepEqual(names({ sort: "state" }), ["jobs", "moving", "web", "cache"]);
  assert.deepEqual(names({ sort: "kind" }), ["jobs", "moving", "web", "cache"]);
});

test("a log's line has one time, which is not its own", () => {
  assert.deepEqual(said("2026-01-31 12:00:00.190 UTC [29] PANIC:  could not locate a valid checkpoint record"), {
    level: "error",
    text: "[29] PANIC:  could not locate a valid checkpoint record",
  });
  assert.deepEqual(said("1:M 31 Jan 2026 12:00:00.123 # WARNING overcommit_memory is set to 0"), {
    level: "warning",
    text: "WARNING overcommit_memory is set to 0",
  });
  assert.equal(said("7:C 31 Jan 2026 12:00:00.123 # Configuration loaded").level, "notice");
  assert.equal(said("7:M 31 Jan 2026 12:00:00.123 # Error writing to the AOF file: No space left on device").level, "error");
  assert.deepEqual(said("1:M 31 Jan 2026 12:00:00.123 * Ready to accept connections tcp"), {
    level: "plain",
    text: "Ready to accept connections tcp",
  });
  assert.deepEqual(said("2026-01-31T12:00:00Z listening"), { level: "plain", text: "listening" });
  assert.deepEqual(said("no time at all"), { level: "plain", text: "no time at all" });
});

test("only what is not known is masked, and an address is of its side", () => {
  const keys = ["DATABASE_URL", "PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE"];
  const one = service({ externalHost: "127.0.0.1", externalPort: 20001 });
  const known = { PGUSER: "u", PGDATABASE: "d" };
  const [url, host, , user, password] = variables(one, keys, known, "inside");
  assert.equal(url?.value, `postgresql://u:${DOTS}@one-1:5432/d`);
  assert.deepEqual([host?.value, user?.masked, password?.masked], ["one-1", false, true]);
  const outside = variables(one, keys, { ...known, PGPASSWORD: "p" }, "outside");
  assert.equal(envFile(outside), "DATABASE_URL=postgresql://u:p@127.0.0.1:20001/d\nPGHOST=127.0.0.1\nPGPORT=20001\nPGUSER=u\nPGPASSWORD=p\nPGDATABASE=d\n");
  assert.deepEqual(variables(service({}), keys, known, "outside"), []);
});

test("a feed shows nothing that has something missing behind it", () => {
  const event = (/** @type {number} */ minute) =>
    /** @type {import("../src/dashboard/generated").EventFragment} */ ({ cursor: `c${minute}`, occurredAt: `2026-01-01T00:${minute}:00Z` });
  const minutes = (/** @type {ReturnType<typeof merged>} */ events) => events.map(({ cursor }) => cursor);
  const busy = { id: "a", events: [event(30), event(40)], before: "more" };
  const calm = { id: "b", events: [event(10), event(35)], before: null };
  assert.deepEqual(minutes(merged([busy, calm], [event(50), event(40)])), ["c50", "c40", "c35", "c30"]);
  assert.deepEqual(blocking([busy, calm], 2), [busy]);
  assert.deepEqual(minutes(merged([{ ...busy, before: null }, calm], [])), ["c40", "c35", "c30", "c10"]);
});

// What the dashboard decides by itself: which services a list shows, what a log's line says, and what to connect with.

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
const { envFile, variables } = await load("./src/dashboard/connect/address.ts");
/** @type {typeof import("../src/dashboard/connect/clients")} */
const { clientsOf, readBy } = await load("./src/dashboard/connect/clients.ts");

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
    endpoints: [{ name: "postgresql", protocol: "postgresql", port: 5432, externalPort: null }],
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

const DOTS = "••••••••";
const KEYS = ["DATABASE_URL", "PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE"];
/** As the API gives them without a reveal. */
const MASKED = {
  DATABASE_URL: `postgresql://u:${DOTS}@one-1:5432/d`,
  PGHOST: "one-1",
  PGPORT: "5432",
  PGUSER: "u",
  PGPASSWORD: DOTS,
  PGDATABASE: "d",
};
const REVEALED = { ...MASKED, DATABASE_URL: "postgresql://u:p@one-1:5432/d", PGPASSWORD: "p" };
const published = service({
  externalHost: "127.0.0.1",
  externalPort: 20001,
  endpoints: [{ name: "postgresql", protocol: "postgresql", port: 5432, externalPort: 20001 }],
});

test("only the password is masked, and an address is of its side", () => {
  const inside = variables(published, KEYS, MASKED, "inside");
  assert.deepEqual(
    inside.map(({ key, masked }) => masked && key).filter(Boolean),
    ["DATABASE_URL", "PGPASSWORD"],
  );
  assert.equal(inside[0]?.value, `postgresql://u:${DOTS}@one-1:5432/d`);
  const outside = variables(published, KEYS, MASKED, "outside");
  assert.equal(outside[0]?.value, `postgresql://u:${DOTS}@127.0.0.1:20001/d`);
  assert.equal(
    envFile(variables(published, KEYS, REVEALED, "outside")),
    "DATABASE_URL=postgresql://u:p@127.0.0.1:20001/d\nPGHOST=127.0.0.1\nPGPORT=20001\nPGUSER=u\nPGPASSWORD=p\nPGDATABASE=d\n",
  );
  assert.deepEqual(variables(service({}), KEYS, MASKED, "outside"), []);
});

test("each endpoint of a service has its own address outside", () => {
  const mail = service({
    ...published,
    port: 1025,
    endpoints: [
      { name: "smtp", protocol: "smtp", port: 1025, externalPort: 20001 },
      { name: "web", protocol: "http", port: 8025, externalPort: 20002 },
    ],
  });
  const values = { MAILPIT_URL: "http://u:p@one-1:8025" };
  const outside = variables(mail, ["SMTP_HOST", "SMTP_PORT", "MAILPIT_URL"], values, "outside");
  assert.deepEqual(outside.map(({ value }) => value), ["127.0.0.1", "20001", "http://u:p@127.0.0.1:20002"]);
});

test("until the API has answered everything but the address is masked", () => {
  const list = variables(published, KEYS, {}, "inside");
  assert.deepEqual(list.filter(({ masked }) => !masked).map(({ key }) => key), ["PGHOST", "PGPORT"]);
});

test("each client's lines have real names and a masked password in them, or read what has", () => {
  const list = variables(published, KEYS, MASKED, "inside");
  const shown = clientsOf("POSTGRESQL").map(({ name, code }) => [
    name,
    typeof code === "function" ? code(list) : envFile(readBy(code, list)),
  ]);
  const url = `DATABASE_URL=postgresql://u:${DOTS}@one-1:5432/d\n`;
  assert.deepEqual(Object.fromEntries(shown), {
    psql: `psql "postgresql://u:${DOTS}@one-1:5432/d"`,
    Node: url,
    Python: url,
    Rust: url,
    Go: url,
    Prisma: url,
    Django: `PGHOST=one-1\nPGPORT=5432\nPGUSER=u\nPGPASSWORD=${DOTS}\nPGDATABASE=d\n`,
    ".env": `${url}PGHOST=one-1\nPGPORT=5432\nPGUSER=u\nPGPASSWORD=${DOTS}\nPGDATABASE=d\n`,
  });
});

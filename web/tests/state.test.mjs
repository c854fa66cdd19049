// What the dashboard makes of events, in whatever order they and their services come.

import assert from "node:assert/strict";
import { test } from "node:test";
import { runnerImport } from "vite";

/** @type {{ module: typeof import("../src/dashboard/state") }} */
const { module } = await runnerImport("./src/dashboard/state.ts");
const { NOTHING, instant, listed, reduce } = module;

/** @typedef {import("../src/dashboard/state").Service} Service @typedef {import("../src/dashboard/state").Change} Change */

const service = (/** @type {Partial<Service>} */ given = {}) =>
  /** @type {Service} */ ({
    id: "svc_1",
    revision: 1,
    state: "PENDING",
    createdAt: "2026-01-01T00:00:00Z",
    updatedAt: "2026-01-01T00:00:00Z",
    ...given,
  });
const page = (/** @type {Service[]} */ services, eventCursor = "c0") =>
  /** @type {Change} */ ({ kind: "page", services, eventCursor });
const event = (/** @type {string} */ cursor, /** @type {Service} */ service) =>
  /** @type {Change} */ ({ kind: "event", event: { cursor, service, serviceId: service.id } });
const answer = (/** @type {Service} */ service) => /** @type {Change} */ ({ kind: "answer", service });

const pending = service();
const running = service({ state: "RUNNING", revision: 3, updatedAt: "2026-01-01T00:00:02Z" });
const destroyed = service({ state: "DESTROYED", revision: 5, updatedAt: "2026-01-01T00:00:03Z" });

test("an event brings its service as it is now", () => {
  const state = reduce(NOTHING, [page([pending]), event("c1", running)]);
  assert.equal(state.services.get("svc_1"), running);
  assert.equal(state.cursor, "c1");
});

test("an event twice is the same as once", () => {
  const once = reduce(NOTHING, [page([pending]), event("c1", running)]);
  assert.deepEqual(reduce(once, [event("c1", running)]), once);
});

test("an older look at a service changes nothing, and its event still counts as seen", () => {
  const state = reduce(NOTHING, [page([running]), event("c1", pending), answer(pending)]);
  assert.equal(state.services.get("svc_1"), running);
  assert.equal(state.cursor, "c1");
});

test("a look of the same revision is taken: another token may allow other actions", () => {
  const again = { ...running, viewerActions: [] };
  assert.equal(reduce(NOTHING, [page([running]), page([again])]).services.get("svc_1"), again);
});

test("events are read on from the first page, for what changed while the others were read", () => {
  const other = service({ id: "svc_2" });
  assert.equal(reduce(NOTHING, [page([pending], "c1"), page([other], "c5")]).cursor, "c1");
});

test("reading all services again does not go back in the events", () => {
  assert.equal(reduce(NOTHING, [page([pending], "c1"), event("c7", running), page([running], "c6")]).cursor, "c7");
});

test("going on after a break brings what was missed", () => {
  const before = reduce(NOTHING, [page([pending]), event("c1", pending)]);
  const other = service({ id: "svc_2", createdAt: "2026-01-01T00:00:01Z" });
  const after = reduce(before, [event("c2", running), event("c3", other), event("c4", running)]);
  assert.deepEqual(listed(after), [running, other]);
});

test("a destroyed service is not listed, and nothing late brings it back", () => {
  const late = service({ state: "DESTROYING", revision: 4, updatedAt: "2026-01-01T00:00:09Z" });
  const state = reduce(NOTHING, [page([running]), event("c1", destroyed), answer(late), event("c2", late)]);
  assert.deepEqual(listed(state), []);
  assert.equal(state.services.get("svc_1"), destroyed);
});

test("what was missed for good is forgotten until it is read anew", () => {
  const other = service({ id: "svc_2" });
  const lost = reduce(NOTHING, [page([running, other], "c1"), { kind: "lost" }]);
  assert.deepEqual([listed(lost), lost.cursor], [[], null]);
  const read = reduce(lost, [page([running], "c9")]);
  assert.deepEqual([listed(read), read.cursor], [[running], "c9"]);
});

test("the state before is left as it was", () => {
  const before = reduce(NOTHING, [page([pending])]);
  reduce(before, [event("c1", running)]);
  assert.equal(before.services.get("svc_1"), pending);
});

test("times compare by their value, with any number of decimals", () => {
  const times = ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.1Z", "2026-01-01T00:00:00.1234Z", "2026-01-01T00:00:00.12345Z"];
  assert.deepEqual(times.toReversed().sort((a, b) => (instant(a) < instant(b) ? -1 : 1)), times);
});

test("services are listed oldest first, whenever they came", () => {
  const younger = service({ id: "svc_0", createdAt: "2026-01-01T00:00:00.5Z" });
  assert.deepEqual(listed(reduce(NOTHING, [event("c1", younger), page([pending])])), [pending, younger]);
});

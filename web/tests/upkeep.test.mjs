// What is said about storage, upgrades, repairs and their ends.

import assert from "node:assert/strict";
import { test } from "node:test";
import { runnerImport } from "vite";

/** @template T @param {string} path @returns {Promise<T>} */
const load = async (path) => /** @type {T} */ ((await runnerImport(path)).module);
/** @type {typeof import("../src/dashboard/service/storage")} */
const { alarm, filling, level, percent, prospectOf } = await load("./src/dashboard/service/storage.ts");
/** @type {typeof import("../src/dashboard/service/upgrading")} */
const { course, obstacle } = await load("./src/dashboard/service/upgrading.ts");
/** @type {typeof import("../src/dashboard/service/endings")} */
const { Endings, saidOf } = await load("./src/dashboard/service/endings.ts");
/** @type {typeof import("../src/dashboard/errors")} */
const { remedy, titleOf, waysOut } = await load("./src/dashboard/errors.ts");
/** @type {typeof import("../src/dashboard/words")} */
const { health } = await load("./src/dashboard/words.ts");
/** @type {typeof import("../src/dashboard/state")} */
const { waits } = await load("./src/dashboard/state.ts");

/** @param {object} given */
const service = (given = {}) =>
  /** @type {import("../src/dashboard/state").Service} */ (
    /** @type {unknown} */ ({
      id: "svc_1",
      name: "orders",
      kind: "POSTGRESQL",
      version: "16",
      tier: { tier: "STANDARD", name: "Standard", memoryMib: 512, cpus: 1, storageMib: 5120 },
      storage: { usedMib: 500, limitMib: 1000, enforcement: "GUARDED" },
      upgradesTo: ["17"],
      replaced: null,
      restartPending: false,
      state: "RUNNING",
      operation: null,
      error: null,
      viewerActions: ["UPGRADE"],
      ...given,
    })
  );
const sample = (/** @type {number | null} */ storageMib) => /** @type {import("../src/dashboard/usage").Sample} */ ({ storageMib, storageLimitMib: 1000 });
const stored = (/** @type {number | null} */ usedMib, given = {}) => service({ storage: { usedMib, limitMib: 1000, enforcement: "GUARDED" }, ...given });

test("storage is what was measured, or else what was noted last", () => {
  assert.deepEqual(filling(service(), sample(750)), { usedMib: 750, limitMib: 1000, share: 0.75 });
  assert.deepEqual(filling(service(), sample(null)), { usedMib: 500, limitMib: 1000, share: 0.5 });
  assert.deepEqual(filling(service(), null), { usedMib: 500, limitMib: 1000, share: 0.5 });
  const larger = service({ storage: { usedMib: 500, limitMib: 2000, enforcement: "GUARDED" } });
  assert.deepEqual(filling(larger, sample(null)), { usedMib: 500, limitMib: 2000, share: 0.25 }, "each with its own limit");
  assert.deepEqual(filling(stored(null), null), { usedMib: null, limitMib: 1000, share: null });
});

test("how storage is enforced is said, and warned of from 80 and from 90 % on", () => {
  const hard = service({ storage: { usedMib: 0, limitMib: 1000, enforcement: "HARD" } });
  assert.equal(prospectOf(service(), 0.5).text, "It takes no more writes at 100 %.");
  assert.equal(prospectOf(hard, 0.5).text, "It takes no more writes at 100 %, and its file system ends a quarter above.");
  const warnings = [null, 0, 0.79, 0.8, 0.89, 0.9, 0.999, 1, 1.2].map((share) => prospectOf(service(), share).warning?.slice(0, 18) ?? null);
  assert.deepEqual(warnings, [null, null, null, "It fills up: think", "It fills up: think", "It is almost full:", "It is almost full:", "It is full.", "It is full."]);
  assert.deepEqual([null, 0.79, 0.8, 0.9].map((share) => level(share, 0.9)), ["", "", "high", "full"]);
  assert.equal(level(0.9, 0.95), "high", "other figures are marked later");
});

test("all of a limit is said to be taken only when it is", () => {
  assert.deepEqual([0, 0.504, 0.996, 0.9999, 1, 1.151].map(percent), [0, 50, 99, 99, 100, 115]);
});

test("a list marks what is almost full, unless an error tells of it", () => {
  assert.equal(alarm(stored(899)), null);
  assert.equal(alarm(stored(900)), 90);
  assert.equal(alarm(stored(999)), 99);
  assert.equal(alarm(stored(null)), null);
  assert.equal(alarm(stored(990, { error: { code: "STORAGE_FULL" } })), null);
  assert.equal(alarm(stored(990, { state: "DESTROYED" })), null);
});

test("what is full says what helps, by what there is too much of", () => {
  const full = (/** @type {number | null} */ usedMib, given = {}) => stored(usedMib, { error: { code: "STORAGE_FULL" }, ...given });
  const said = (/** @type {number | null} */ usedMib, given = {}) => remedy(full(usedMib, given), "STORAGE_FULL");
  assert.equal(titleOf("STORAGE_FULL"), "There is no room left for its data");
  for (const used of [950, 1000, 1099]) assert.equal(said(used), "It can be read. It takes writes again below 95 %: delete data, or give it a larger size.");
  assert.match(said(1100), /stopped again ten minutes after its start, unless data is deleted/);
  for (const used of [null, 300, 949]) assert.match(said(used), /Delete data that is not needed, and tell whoever runs the platform\.$/, "its host is full");
  assert.equal(said(1150, { state: "ERROR" }), "Start it to delete data within ten minutes, or give it a larger size.");
  assert.equal(health(full(1000)), "Takes no writes");
  assert.equal(health(full(1150, { state: "ERROR" })), "Not serving");
  assert.deepEqual(waysOut(full(1000), "STORAGE_FULL"), ["START", "RESIZE"]);
  assert.deepEqual(waysOut(full(300), "STORAGE_FULL"), [], "a larger size does not help its host");
  assert.deepEqual(waysOut(full(300, { state: "ERROR" }), "STORAGE_FULL"), ["START", "RESIZE"]);
  assert.deepEqual(waysOut(service(), "CREDENTIALS_REFUSED"), ["REPAIR"]);
  assert.deepEqual(waysOut(service(), "CRASH_LOOP"), []);
});

test("what failed beside a service that goes on says so", () => {
  assert.equal(remedy(service(), "UPGRADE_FAILED"), "It goes on in version 16, with all its data.");
  assert.equal(remedy(service(), "PULL_FAILED"), "It runs on from the image that it has.");
  assert.equal(titleOf("RESTORE_FAILED"), "Its data could not be brought in");
  assert.match(remedy(service({ state: "ERROR", viewerActions: ["START"] }), "RESTORE_FAILED"), /^Restore the backup once more/);
  assert.equal(remedy(service({ state: "RUNNING" }), "RESTORE_FAILED"), "It goes on as it was, with all its data.", "in place");
  for (const code of ["UPGRADE_FAILED", "PULL_FAILED"]) assert.match(remedy(service({ state: "ERROR", viewerActions: ["START"] }), code), /^“Start” tries again/);
});

test("an upgrade says what happens, step by step", () => {
  const steps = course(service(), "17");
  assert.equal(steps.length, 4);
  assert.match(steps[1] ?? "", /version 16 can be read and takes no writes/);
  assert.match(steps[2] ?? "", /^Version 17 takes over/);
  assert.match(steps[3] ?? "", /^Version 16 is kept .* without what was written after/);
});

test("a service that can’t be upgraded any more says why", () => {
  const is = (/** @type {object} */ given) => obstacle(service({ viewerActions: ["STOP"], ...given }));
  assert.equal(obstacle(service()), null);
  assert.equal(is({ operation: { kind: "UPGRADE" } }), "It is being upgraded already.");
  assert.equal(is({ operation: { kind: "STOP" } }), "Something else is being done about it. Wait until that is over.");
  assert.equal(is({ version: "17", upgradesTo: [] }), "Version 17, which it has now, is the newest.");
  assert.equal(is({ state: "STOPPED" }), "It is stopped now, and can’t be upgraded.");
  assert.equal(is({ viewerActions: [] }), "You may not upgrade it any more.");
  assert.equal(is({ viewerActions: [], state: "DESTROYING" }), "It is being destroyed now, and can’t be upgraded.");
});

test("only what waits for a restart that nobody has asked for is said to wait", () => {
  assert.equal(waits(service({ restartPending: true })), true);
  assert.equal(waits(service()), false);
  assert.equal(waits(service({ restartPending: true, operation: { kind: "RESTART" } })), false);
});

test("the end of what leaves the state as it is is told once, also of what began before", () => {
  const event = (/** @type {string | null} */ kind, state = "RUNNING", serviceId = "svc_1") =>
    /** @type {import("../src/dashboard/generated").EventFragment} */ (/** @type {unknown} */ ({ serviceId, state, operation: kind && { kind } }));
  const endings = new Endings();
  assert.equal(endings.endedBy(event(null)), null);
  for (const kind of ["RESIZE", "UPGRADE", "REVERT", "UPDATE_IMAGE", "REPAIR"]) {
    assert.deepEqual([event(kind), event(kind, "STOPPED"), event(null), event(null)].map((event) => endings.endedBy(event)), [null, null, kind, null]);
    endings.begin([service({ operation: { kind } }), service({ id: "svc_2" })]);
    assert.equal(endings.endedBy(event(null, "RUNNING", "svc_2")), null);
    assert.equal(endings.endedBy(event(null)), kind);
    for (const otherwise of [event("DESTROY"), event(null, "ERROR")]) {
      endings.endedBy(event(kind));
      assert.equal(endings.endedBy(otherwise), null);
      assert.equal(endings.endedBy(event(null)), null);
    }
  }
  endings.endedBy(event("START"));
  assert.equal(endings.endedBy(event(null)), null, "its state tells");
  endings.endedBy(event("UPGRADE"));
  endings.endedBy(event("REVERT"));
  assert.equal(endings.endedBy(event(null)), "REVERT", "the latest");
});

test("an end is said in words, and an upgrade that failed in the server’s", () => {
  const message = "orders could not be upgraded, and goes on in version 16.";
  const said = (/** @type {any} */ kind, given = {}) => saidOf(kind, { service: service(given), message });
  assert.deepEqual(said("UPGRADE", { version: "17" }), { text: "orders runs version 17 now.", bad: false });
  assert.deepEqual(said("UPGRADE", { error: { code: "UPGRADE_FAILED" } }), { text: message, bad: true });
  assert.equal(said("UPDATE_IMAGE", { error: { code: "PULL_FAILED" } })?.bad, true);
  assert.deepEqual(said("UPDATE_IMAGE"), { text: "orders runs from its newest image now.", bad: false });
  assert.deepEqual(said("REVERT"), { text: "orders is back at version 16.", bad: false });
  assert.deepEqual(said("REVERT", { replaced: { version: "16" } }), { text: "orders is what it was before.", bad: false }, "from a restore");
  assert.deepEqual(said("RESIZE", { error: { code: "STORAGE_FULL" } }), { text: "orders has the size Standard now.", bad: false });
  assert.deepEqual(said("REPAIR"), { text: "orders is repaired.", bad: false });
  assert.equal(said("START"), null);
});

// What is said about backups, and what can be done about them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { runnerImport } from "vite";

/** @template T @param {string} path @returns {Promise<T>} */
const load = async (path) => /** @type {T} */ ((await runnerImport(path)).module);
/** @type {typeof import("../src/dashboard/service/backups/telling")} */
const { answered, bytes, course, durationOf, misfit, news, obstacle, possible, sizeOf, taken, troubleOf } = await load("./src/dashboard/service/backups/telling.ts");
/** @type {typeof import("../src/dashboard/service/endings")} */
const { Endings, saidOf } = await load("./src/dashboard/service/endings.ts");

const MIB = 2 ** 20;

/** @param {object} given */
const backup = (given = {}) =>
  /** @type {import("../src/dashboard/service/backups/telling").Backup} */ (
    /** @type {unknown} */ ({
      id: "bkp_1",
      revision: 5,
      serviceName: "orders",
      kind: "POSTGRESQL",
      version: "17",
      state: "AVAILABLE",
      phase: null,
      contentBytes: 62 * MIB,
      storedBytes: 9 * MIB,
      verification: null,
      error: null,
      createdAt: "2026-01-31T12:00:00Z",
      begunAt: "2026-01-31T12:00:02Z",
      endedAt: "2026-01-31T12:01:07Z",
      ...given,
    })
  );
/** @param {object} given */
const service = (given = {}) =>
  /** @type {import("../src/dashboard/state").Service} */ (/** @type {unknown} */ ({ id: "svc_1", name: "orders", state: "RUNNING", operation: null, error: null, viewerActions: [], ...given }));
const error = (code = "STORE_FULL", occurredAt = "2026-01-31T12:02:00Z") => ({ code, message: "There is no room left.", occurredAt });

test("sizes are written as large as they are", () => {
  assert.deepEqual([0, 900, 2048, 62 * MIB, 1.5 * 1024 * MIB].map(bytes), ["0 B", "900 B", "2 KiB", "62 MiB", "1.5 GiB"]);
  assert.equal(sizeOf(backup()), "62 MiB, stored in 9 MiB");
  assert.equal(sizeOf(backup({ state: "RUNNING", storedBytes: null })), "62 MiB so far");
  assert.equal(sizeOf(backup({ state: "PENDING", storedBytes: null, contentBytes: 0 })), null);
  assert.equal(sizeOf(backup({ state: "FAILED", storedBytes: null })), null, "nothing is kept of it");
});

test("how long it took is said once it is over", () => {
  assert.equal(durationOf(backup()), "taken in 1 min 05 s");
  assert.equal(durationOf(backup({ endedAt: "2026-01-31T12:00:02.400Z" })), "taken in less than 1 s");
  assert.equal(durationOf(backup({ endedAt: null })), null);
});

test("only what is whole is restored, and nothing is offered on what only a newer server knows", () => {
  const all = { verify: true, restore: true, delete: true };
  assert.deepEqual(possible(backup()), all);
  assert.deepEqual(possible(backup({ state: "VERIFIED" })), all);
  assert.deepEqual(possible(backup({ phase: "READING" })), { ...all, verify: false }, "it is being verified");
  assert.deepEqual(possible(backup({ state: "RUNNING", phase: "COPYING", endedAt: null })), { verify: false, restore: false, delete: true });
  assert.deepEqual(possible(backup({ state: "FAILED", endedAt: null })), { verify: false, restore: false, delete: true });
  assert.deepEqual(possible(backup({ state: "FAILED" })), { verify: true, restore: false, delete: true }, "it is kept, and may be tried again");
  for (const state of ["DELETING", "UNKNOWN"]) assert.deepEqual(possible(backup({ state })), { verify: false, restore: false, delete: false });
});

test("a service that can’t be backed up says why", () => {
  assert.equal(obstacle(service({ viewerActions: ["CREATE_BACKUP"] }), true), null);
  assert.match(obstacle(service({ state: "STOPPED" }), true) ?? "", /only while the service runs; it is stopped/);
  assert.match(obstacle(service({ state: "DESTROYED" }), true) ?? "", /can be restored into a new one/);
  assert.match(obstacle(service({ operation: { kind: "STOP" } }), true) ?? "", /Wait a moment/);
  assert.match(obstacle(service(), true) ?? "", /This kind/);
  assert.match(obstacle(service({ state: "STOPPED" }), false) ?? "", /you need the permission/);
});

test("what is wrong is told by what the backup is", () => {
  assert.equal(troubleOf(backup()), null);
  assert.deepEqual(troubleOf(backup({ state: "FAILED", endedAt: null, error: error() })), { title: "It could not be taken.", final: true });
  assert.deepEqual(troubleOf(backup({ state: "FAILED", error: error() })), { title: "It could not be restored.", final: true });
  assert.deepEqual(troubleOf(backup({ state: "RUNNING", phase: "QUEUED", error: error() })), { title: "It has to wait.", final: false });
  assert.deepEqual(troubleOf(backup({ error: error() })), { title: "It could not be verified.", final: false });
  assert.deepEqual(troubleOf(backup({ state: "DELETING", error: error() })), { title: "It can’t be deleted yet.", final: false });
});

test("an end is said once, and nothing is said of what was there before", () => {
  const running = backup({ state: "RUNNING", phase: "COPYING" });
  const verified = backup({ state: "VERIFIED", verification: { verifiedAt: "2026-01-31T12:05:00Z", facts: [] } });
  assert.equal(news(undefined, backup()), null);
  assert.equal(news(running, { ...running, contentBytes: 1 }), null);
  assert.equal(news(running, backup()), "The backup of orders is complete.");
  assert.equal(news(backup(), backup()), null);
  assert.equal(news(backup(), verified), "The backup of orders is verified.");
  assert.equal(news(verified, verified), null);
  const failed = backup({ state: "FAILED", endedAt: null, error: error() });
  assert.equal(news(running, failed), "The backup of orders: It could not be taken. There is no room left.");
  assert.equal(news(failed, failed), null);
});

test("of two looks at a backup the later counts, in whatever order they come", () => {
  const older = backup({ revision: 4 });
  const newer = backup({ revision: 6, state: "DELETING" });
  assert.deepEqual(taken([newer], [older]), [newer]);
  assert.deepEqual(taken([older], [newer]), [newer]);
  assert.deepEqual(taken([newer], []), [], "what is gone is gone");
  assert.deepEqual(answered([older], newer), [newer]);
  assert.deepEqual(answered([newer], older), [newer]);
  const another = backup({ id: "bkp_2" });
  assert.deepEqual(answered([older], another), [another, older], "a new one stands first");
});

test("a restore says what happens, and which size is too small for it", () => {
  const [made, filled, , stays] = course(backup(), "PostgreSQL", service());
  assert.match(made ?? "", /PostgreSQL 17 and a password and an address of its own/);
  assert.match(filled ?? "", /62 MiB .* same user and database/);
  assert.equal(stays, "orders stays as it is.");
  assert.equal(course(backup({ kind: "REDIS" }), "Redis", service({ state: "DESTROYED" })).join(" ").match(/user|stays/), null);
  assert.equal(misfit(backup(), { storageMib: 62 }), null);
  assert.equal(misfit(backup(), { storageMib: 61 }), "Too small: the backup holds 62 MiB.");
});

test("the end of a restore is told", () => {
  const endings = new Endings();
  const operation = /** @type {const} */ ({ kind: "RESTORE", phase: "RESTORING" });
  assert.equal(endings.endedBy({ serviceId: "svc_1", operation, state: "PROVISIONING" }), null);
  assert.equal(endings.endedBy({ serviceId: "svc_1", operation: null, state: "RUNNING" }), "RESTORE");
  assert.deepEqual(saidOf("RESTORE", { service: service(), message: "orders is running." }), { text: "orders is restored.", bad: false });
});

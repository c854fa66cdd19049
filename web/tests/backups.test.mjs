// What is said about backups, and what can be done about them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { runnerImport } from "vite";

/** @template T @param {string} path @returns {Promise<T>} */
const load = async (path) => /** @type {T} */ ((await runnerImport(path)).module);
/** @type {typeof import("../src/dashboard/service/backups/telling")} */
const { answered, bytes, course, courseInPlace, durationOf, fateOf, hindrance, misfit, news, obstacle, possible, sizeOf, taken, troubleOf } = await load("./src/dashboard/service/backups/telling.ts");
/** @type {typeof import("../src/dashboard/service/backups/rhythm")} */
const { formOf, inputOf, keptOf, offersMoments, problemOf, remainsOf, rhythmOf, scheduleOf, turnOf } = await load("./src/dashboard/service/backups/rhythm.ts");
/** @type {typeof import("../src/dashboard/service/backups/moments")} */
const { boundsOf, lagOf, problemOf: problemWith, soonest, timeIn } = await load("./src/dashboard/service/backups/moments.ts");
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

test("a restore in place says what happens, and why there can’t be one", () => {
  const usual = { version: "17", tier: { storageMib: 1024 }, viewerActions: ["RESTORE"] };
  const [brought, begun, kept, ...more] = courseInPlace(backup(), service(usual));
  assert.match(brought ?? "", /^The 62 MiB .* orders goes on meanwhile\.$/);
  assert.match(begun ?? "", /loses its connection for a moment\. Its address, user and password stay/);
  assert.match(kept ?? "", /kept for a while/);
  assert.deepEqual(more, []);
  const then = courseInPlace(backup({ version: "16" }), service({ ...usual, state: "ERROR" }));
  assert.doesNotMatch(then[0] ?? "", /goes on/);
  assert.match(then[2] ?? "", /^It has version 16 again, .* not 17 any more/);
  const lost = courseInPlace(backup(), service({ ...usual, state: "ERROR", error: { code: "VOLUME_LOST" } }));
  assert.equal(lost.at(-1), "Of what it was nothing is there to be kept.");
  assert.equal(hindrance(backup(), service(usual)), null);
  assert.match(hindrance(backup(), service({ ...usual, tier: { storageMib: 61 } })) ?? "", /^Too small: .* larger size first/);
  assert.match(hindrance(backup(), service({ ...usual, viewerActions: [], operation: { kind: "STOP" } })) ?? "", /Wait/);
  assert.equal(hindrance(backup(), service({ ...usual, viewerActions: [], state: "STOPPED" })), "The service is stopped now, and can’t be restored.");
  const failed = { text: "It could not be restored, and is what it was.", bad: true };
  assert.deepEqual(saidOf("RESTORE", { service: service({ error: { code: "RESTORE_FAILED" } }), message: failed.text }), failed);
});

test("a final backup says what comes of it", () => {
  const final = (/** @type {object} */ given) => backup({ origin: "FINAL", ...given });
  assert.match(fateOf(final({ state: "RUNNING", phase: "COPYING" }), service()) ?? "", /^orders is destroyed once this is verified\. To keep it, delete/);
  assert.match(fateOf(final({ state: "PENDING", phase: null }), service()) ?? "", /^orders is destroyed/);
  assert.match(fateOf(final({ phase: "QUEUED" }), service()) ?? "", /^orders is destroyed/, "it waits to be verified");
  for (const given of [{ state: "VERIFIED" }, { state: "DELETING", phase: null }]) assert.equal(fateOf(final(given), service()), null);
  assert.equal(fateOf(final({ phase: "READING" }), service({ state: "DESTROYED" })), null);
  assert.equal(fateOf(backup({ origin: "MANUAL", phase: "QUEUED" }), service()), null);
  // From then on it is one like any other.
  const failed = backup({ state: "FAILED", origin: "MANUAL", endedAt: null, error: error() });
  assert.match(news(final({ state: "RUNNING", phase: "COPYING" }), failed) ?? "", /no room left\. The service stays\.$/);
});

test("a schedule is said in plain words where it is a simple one", () => {
  /** @type {[string, string | null][]} */
  const all = [
    ["0 3 * * *", "Every day at 03:00 UTC"],
    ["30 04 * * *", "Every day at 04:30 UTC"],
    ["0 0 * * 0-6", "Every day at 00:00 UTC"],
    ["0 * * * *", "Every hour, on the hour"],
    ["15 */1 * * *", "Every hour, at 15 min past"],
    ["5 */6 * * *", "Every 6 hours from 00:05 UTC on"],
    ["*/15 * * * *", "Every 15 minutes"],
    ["0 3 * * 0", "Every Sunday at 03:00 UTC"],
    ["0 3 * * 7", "Every Sunday at 03:00 UTC"],
    ["0 3 * * sun,MON", "Every Monday and Sunday at 03:00 UTC"],
    ["0 3 * * 1-5", "Monday to Friday at 03:00 UTC"],
    ["0 3 * * MON,WED,FRI", "Every Monday, Wednesday and Friday at 03:00 UTC"],
    ["0 3 1 * *", "On day 1 of every month at 03:00 UTC"],
    ["0 3 31 * *", "On day 31 of every month that has it at 03:00 UTC"],
    ["  0   3 * * *  ", "Every day at 03:00 UTC"],
    // Not so simple, or none at all.
    ...["0 3 1,15 * *", "0 3 1 * MON", "0 3 * 6 *", "0 3,15 * * *", "0 */5 * * *", "*/25 * * * *", "*/15 3 * * *", "0 3 * * MON#1", "0 3 * * 5-1", "0 3 L * *", "0 3 0 * *", "0 24 * * *", "60 3 * * *", "0 * * * 1", "0 */0 * * *", "0 3 * * 8", "0 3 * *", "0 0 3 * * *", "@daily", ""].map(
      (text) => /** @type {[string, null]} */ ([text, null]),
    ),
  ];
  for (const [schedule, words] of all) assert.equal(rhythmOf(schedule), words, schedule);
});

const keep = { keepLast: 3, keepDaily: 7, keepWeekly: 4, keepMonthly: 0 };
const policy = { schedule: "0 3 * * *", ...keep, verify: true, pointInTime: true, pointInTimeAwaitsRestart: false, nextRunAt: "2026-02-01T03:12:00Z" };

test("what a policy keeps is said, and when it comes next", () => {
  const none = { keepLast: 0, keepDaily: 0, keepWeekly: 0, keepMonthly: 0 };
  const rest = " kept, and in any case the newest that is verified.";
  assert.equal(keptOf(keep), `The newest 3, 7 daily and 4 weekly are${rest}`);
  assert.equal(keptOf({ ...none, keepLast: 1 }), `The newest is${rest}`);
  assert.equal(keptOf({ ...none, keepLast: 1, keepMonthly: 12 }), `The newest and 12 monthly are${rest}`);
  assert.equal(keptOf({ ...none, keepDaily: 1 }), `1 daily is${rest}`);
  assert.equal(keptOf(none), null);
  assert.equal(remainsOf({ ...none, keepLast: 9 }), "Of the backups by schedule the newest that is verified stays until somebody deletes it.");
  assert.match(remainsOf(keep), /, and others for up to 28 days\.$/);
  assert.match(remainsOf({ ...none, keepDaily: 1 }), / 1 day\.$/);
  const before = Date.parse("2026-02-01T03:00:00Z");
  const after = Date.parse("2026-02-01T03:30:00Z");
  assert.deepEqual(turnOf(policy, service(), before), ["Next: ", "."]);
  assert.deepEqual(turnOf(policy, service({ state: "STOPPED" }), after), ["Due since ", "; it is taken once the service runs."]);
  assert.deepEqual(turnOf(policy, service(), after), ["Due since ", "; its turn comes shortly."]);
  assert.equal(turnOf({ ...policy, nextRunAt: null }, service(), after), null);
});

test("a form comes back to the policy that filled it", () => {
  for (const [schedule, rhythm] of /** @type {const} */ ([
    ["0 * * * *", "HOURLY"],
    ["0 3 * * *", "DAILY"],
    ["0 23 * * 0", "WEEKLY"],
    ["30 3 * * *", "CUSTOM"],
    ["0 3 * * MON", "CUSTOM"],
  ])) {
    const form = formOf({ ...policy, schedule });
    assert.equal(form.rhythm, rhythm);
    const { nextRunAt, pointInTimeAwaitsRestart, ...same } = { ...policy, schedule };
    assert.deepEqual(inputOf("svc_1", form), { id: "svc_1", ...same });
  }
  const first = formOf(null);
  assert.deepEqual(inputOf("svc_1", first), { id: "svc_1", schedule: "0 3 * * *", ...keep, verify: true, pointInTime: false });
  // Whatever else is changed, what is written in between is kept as before.
  for (const pointInTime of [true, false]) {
    for (const rhythm of /** @type {const} */ (["HOURLY", "DAILY", "WEEKLY", "CUSTOM"])) {
      assert.equal(inputOf("svc_1", { ...formOf({ ...policy, pointInTime }), rhythm }).pointInTime, pointInTime, rhythm);
    }
  }
  assert.deepEqual(inputOf("svc_1", { ...first, rhythm: "OFF" }), { id: "svc_1", schedule: null });
  assert.equal(scheduleOf({ ...formOf({ ...policy, schedule: "0 5 * * 7" }) }), "0 5 * * 0");
  assert.equal(scheduleOf({ ...first, rhythm: "CUSTOM", custom: " 0 4 * * * " }), "0 4 * * *");
});

test("a form says what is wrong with it, at its field", () => {
  const form = formOf(policy);
  const field = (/** @type {object} */ given) => problemOf({ ...form, ...given })?.field ?? null;
  const none = { keepLast: "0", keepDaily: "0", keepWeekly: "0", keepMonthly: "0" };
  assert.equal(field({}), null);
  assert.equal(field({ rhythm: "CUSTOM", custom: " " }), "schedule");
  for (const text of ["", "1001", "-1", "1.5", "many"]) assert.equal(field({ keep: { ...form.keep, keepWeekly: text } }), "keepWeekly", text);
  assert.equal(field({ keep: none }), "keepLast");
  assert.equal(field({ keep: { ...none, keepMonthly: " 1 " } }), null);
  assert.equal(field({ rhythm: "OFF", keep: none }), null, "nothing is asked for");
});

test("what is written in between is kept of the kinds that can, and can be taken back of all", () => {
  assert.equal(offersMoments({ kind: "POSTGRESQL", backupPolicy: null }), true);
  assert.equal(offersMoments({ kind: "REDIS", backupPolicy: { ...policy, pointInTime: false } }), false);
  assert.equal(offersMoments({ kind: "REDIS", backupPolicy: policy }), true);
});

const window = { earliest: "2026-01-31T12:00:00.250Z", latest: "2026-01-31T13:00:59.750Z", gaps: [{ from: "2026-01-31T12:10:00Z", to: "2026-01-31T12:20:00Z" }] };

test("a moment is chosen in the browser's time zone, and asked for in UTC", (t) => {
  const zone = process.env.TZ;
  t.after(() => (zone === undefined ? delete process.env.TZ : (process.env.TZ = zone)));
  for (const [TZ, min, max] of /** @type {const} */ ([
    ["UTC", "2026-01-31T12:00:01", "2026-01-31T13:00:59"],
    ["Asia/Kathmandu", "2026-01-31T17:45:01", "2026-01-31T18:45:59"],
    ["America/New_York", "2026-01-31T07:00:01", "2026-01-31T08:00:59"],
  ])) {
    process.env.TZ = TZ;
    assert.deepEqual(boundsOf(window), { min, max }, "whole seconds within it");
    assert.equal(timeIn(min), "2026-01-31T12:00:01.000Z");
    assert.equal(problemWith(min, window), null);
    assert.equal(problemWith(max, window), null);
  }
  process.env.TZ = "UTC";
  assert.equal(timeIn("2026-01-31T12:00"), "2026-01-31T12:00:00.000Z", "the seconds are left out where they are none");
  assert.equal(timeIn(""), null);
  assert.equal(soonest(Date.parse("2026-01-31T12:00:30Z")), "2026-01-31T12:01:00");
});

test("a moment that there is none of says why", () => {
  const at = (/** @type {string} */ time) => problemWith(time, window);
  assert.match(at("") ?? "", /^Write day and time/);
  assert.match(at("2026-01-31T12:00:00Z") ?? "", /^It can be brought back to any moment from /);
  assert.match(at("2026-01-31T13:01:00Z") ?? "", /^It can be brought back to any moment from /);
  assert.match(at("2026-01-31T12:15:00Z") ?? "", /^It can’t be brought back to a moment between /);
  for (const edge of ["2026-01-31T12:10:00Z", "2026-01-31T12:20:00Z"]) assert.equal(at(edge), null, "both ends of a gap are there");
});

test("a window that stays behind says so", () => {
  const after = (/** @type {number} */ seconds) => Date.parse(window.latest) + 1000 * seconds;
  const running = service({ backupPolicy: policy });
  assert.equal(lagOf(window, running, after(100)), null);
  assert.match(lagOf(window, running, after(600)) ?? "", /^It is 10 min 00 s behind: /);
  assert.equal(lagOf(window, service({ backupPolicy: policy, state: "STOPPED" }), after(600)), null, "nothing is written");
  assert.equal(lagOf(window, service({ backupPolicy: null }), after(600)), null, "nothing more is to be kept");
});

test("a restore of a moment says what happens", () => {
  const [made, filled, , stays] = course(null, "PostgreSQL", service({ kind: "POSTGRESQL" }));
  assert.match(made ?? "", /PostgreSQL in the version that it had then and a password/);
  assert.match(filled ?? "", /what orders held at that moment, with the same user and database/);
  assert.equal(stays, "orders stays as it is.");
  const usual = { version: "17", tier: { storageMib: 1024 }, viewerActions: ["RESTORE"] };
  const [brought, , version, kept] = courseInPlace(null, service(usual));
  assert.match(brought ?? "", /^What it held at that moment is brought in .* orders goes on meanwhile\.$/);
  assert.match(version ?? "", /the version that it had then, also where that is not 17/);
  assert.match(kept ?? "", /kept for a while/);
  assert.equal(hindrance(null, service(usual)), null);
});

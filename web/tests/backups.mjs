// Backups of a service: taken, also by a schedule and before its end, verified, restored and deleted, and what is said meanwhile. The API is played. It wants the
// server's address in ORIGIN, a token for the project demo in TOKEN, and in PICTURES a directory to leave screenshots in.

import assert from "node:assert/strict";
import { accessible, browser, origin, pictured, run } from "./browser.mjs";
import { moments } from "./moments.mjs";
import { Dashboard } from "./page.mjs";
import { listed, play, service } from "./played.mjs";

const { TOKEN: token = "" } = process.env;

const ago = (/** @type {number} */ seconds) => new Date(Date.now() - 1000 * seconds).toISOString();
const MIB = 2 ** 20;
const LATER = ago(60);

const usual = ["STOP", "RESTART", "RESIZE", "DESTROY"];
/** @typedef {Omit<ReturnType<typeof service>, "operation" | "backupPolicy" | "replaced" | "error"> & { operation: object | null, backupPolicy: object | null, replaced: object | null, error: object | null }} Service */
const orders = service(2, { name: "orders", viewerActions: [...usual, "CREATE_BACKUP"] });
const sessions = service(1, { name: "sessions", state: "STOPPED", viewerActions: ["START", "DESTROY"] });
const keep = { keepLast: 3, keepDaily: 7, keepWeekly: 4, keepMonthly: 0 };
const daily = { schedule: "0 3 * * *", ...keep, verify: true, pointInTime: false, pointInTimeAwaitsRestart: false, nextRunAt: ago(-7200) };
const former = service(4, { name: "former", state: "DESTROYED", viewerActions: [], backupPolicy: daily });

/** @param {number} number @param {object} given */
const backup = (number, given = {}) => ({
  id: `bkp_${number}`,
  revision: 1,
  serviceName: "orders",
  kind: "POSTGRESQL",
  version: "17",
  tier: { tier: "DEV", storageMib: 1024 },
  state: "AVAILABLE",
  phase: null,
  origin: "MANUAL",
  note: null,
  contentBytes: 62 * MIB,
  storedBytes: 9 * MIB,
  verification: null,
  error: null,
  createdAt: ago(3600 * number + 14),
  begunAt: ago(3600 * number + 12),
  endedAt: ago(3600 * number),
  ...given,
});
/** @typedef {Omit<ReturnType<typeof backup>, "phase" | "note" | "verification" | "error"> & Record<"phase" | "note" | "verification" | "error", any>} Backup */

const FACTS = [
  { name: "rows of orders.public.customers", value: "1204" },
  { name: "rows of orders.public.the_longest_name_that_a_table_may_have_in_such_a_database", value: "88120" },
];
const verified = backup(2, { state: "VERIFIED", origin: "SCHEDULED", verification: { verifiedAt: ago(7000), facts: FACTS } });
const failed = backup(3, {
  state: "FAILED",
  contentBytes: 3 * MIB,
  storedBytes: null,
  endedAt: null,
  error: { code: "STORE_FULL", message: "Where backups are kept there is no room left.", occurredAt: ago(10_000) },
});
const final = backup(5, { serviceName: "former", origin: "FINAL", contentBytes: 1500 * MIB });

/** @type {Record<string, Backup[]>} */
const kept = { svc_1: [], svc_2: [backup(1, { note: "Before the migration" }), verified, failed], svc_4: [final] };

async function walk() {
  const page = new Dashboard(await browser.newPage());
  /** @type {[string, any][]} */
  const asked = [];
  /** @type {Record<string, (variables: any) => object>} */
  const answers = {};
  const asks = (/** @type {string} */ name) => (/** @type {any} */ variables) => {
    asked.push([name, variables]);
    return answers[name]?.(variables) ?? { errors: [{ message: "Nobody plays this.", extensions: { code: "UNAVAILABLE" } }] };
  };
  const send = await play(
    page.page,
    {
      Services: (variables) => listed([sessions, orders], variables),
      OneService: () => ({ data: { service: former } }),
      History: () => ({ data: { service: { events: { nodes: [], pageInfo: { hasPreviousPage: false, startCursor: null } } } } }),
      Backups: ({ id, after }) => {
        asked.push(["Backups", { id, after }]);
        const from = Number(after ?? 0);
        const all = kept[id] ?? [];
        const pageInfo = { hasNextPage: from + 20 < all.length, endCursor: String(from + 20) };
        return { data: { service: { backups: { nodes: all.slice(from, from + 20), pageInfo } } } };
      },
      ...Object.fromEntries(["CreateBackup", "SetBackupPolicy", "VerifyBackup", "DeleteBackup", "RestoreService", "DestroyService"].map((name) => [name, asks(name)])),
    },
    { serviceMetrics: () => [] },
  );
  let cursor = 5000;
  /** Something happens to a service, of which only the event tells. @param {Service} now @param {string} message */
  const happens = (now, message) =>
    send([{ cursor: String(++cursor), serviceId: now.id, previousState: now.state, state: now.state, operation: now.operation, message, actor: null, occurredAt: ago(0), service: now }]);
  await page.page.goto(`${origin}/?project=demo`);
  await page.signIn(token);
  await page.sees("Live");
  await takes(page, happens, asked, answers);
  await verifies(page, happens, asked, answers);
  await deletes(page, happens, asked, answers);
  await restores(page, happens, asked, answers);
  await schedules(page, happens, asked, answers);
  await putsBack(page, happens, asked, answers);
  await ends(page, happens, asked, answers);
  await many(page);
  await elsewhere(page);
  await page.page.close();
  await forbidden();
  await moments(token);
}

/** @typedef {(now: Service, message: string) => void} Happens */
/** @typedef {Record<string, (variables: any) => object>} Answers */

/** The place of a backup in the list, by what stands there. @param {Dashboard} page @param {string} text */
const entry = (page, text) => page.page.getByRole("list", { name: "Backups, newest first" }).getByRole("listitem").filter({ hasText: text });

/** One is taken, and is shown as it becomes. @param {Dashboard} page @param {Happens} happens @param {[string, any][]} asked @param {Answers} answers */
async function takes(page, happens, asked, answers) {
  await page.show("orders");
  await page.tab("Backups");
  await page.sees("62 MiB, stored in 9 MiB");
  await entry(page, "Before the migration").getByText("Available").waitFor();
  await entry(page, "By schedule").getByText("Verified").waitFor();
  await entry(page, "Failed").getByText("Where backups are kept there is no room left.").waitFor();
  await entry(page, "Before the migration").getByText("taken in 12 s").waitFor();
  assert.equal(await entry(page, "Failed").getByRole("button", { name: /^(Verify|Restore)/ }).count(), 0, "nothing is there to restore");
  await page.page.getByText("Restored and read").click();
  await page.page.getByText("rows of orders.public.customers").waitFor();
  await pictured(page.page, "backups");

  /** @type {Backup} */
  let fresh = backup(0, { id: "bkp_9", state: "PENDING", phase: "QUEUED", note: "Friday", contentBytes: 0, storedBytes: null, createdAt: LATER, begunAt: null, endedAt: null });
  answers.CreateBackup = () => ({ data: { createBackup: { backup: fresh } } });
  await page.page.getByLabel("Note").fill("  Friday ");
  await page.page.keyboard.press("Enter");
  await entry(page, "Friday").getByText("Waiting for its turn").waitFor();
  assert.deepEqual(asked.filter(([name]) => name === "CreateBackup"), [["CreateBackup", { input: { id: "svc_2", note: "Friday" } }]]);
  assert.equal(await page.page.getByLabel("Note").inputValue(), "");
  await page.sees("A backup is under way; another can follow it.");
  assert.equal(await page.button("Back up now").getAttribute("aria-disabled"), "true");

  fresh = { ...fresh, revision: 2, state: "RUNNING", phase: "COPYING", contentBytes: 31 * MIB, begunAt: ago(4) };
  kept.svc_2?.unshift(fresh);
  happens(orders, "The backup of orders is being taken: 31 MiB so far.");
  await entry(page, "Friday").getByText("31 MiB so far").waitFor();
  await entry(page, "Friday").getByText("Taking its content").waitFor();
  await pictured(page.page, "backup-running");

  // Many events are read together.
  const before = asked.filter(([name]) => name === "Backups").length;
  kept.svc_2?.splice(0, 1, { ...fresh, revision: 9, state: "AVAILABLE", phase: null, contentBytes: 64 * MIB, storedBytes: 10 * MIB, endedAt: ago(0) });
  for (let number = 0; number < 20; number++) happens(orders, `The backup of orders is being taken: ${number} MiB so far.`);
  await entry(page, "Friday").getByText("64 MiB, stored in 10 MiB").waitFor();
  await page.says("The backup of orders is complete.");
  assert.ok(asked.filter(([name]) => name === "Backups").length - before <= 3, "not each event is a request");
  // Where nobody looks at them they are not read.
  await page.tab("Overview");
  const read = asked.length;
  happens(orders, "orders is as it was.");
  await page.page.waitForTimeout(500);
  assert.equal(asked.length, read, "nothing is asked for");
  await page.tab("Backups");
}

/** It is restored where nobody reaches it. @param {Dashboard} page @param {Happens} happens @param {[string, any][]} asked @param {Answers} answers */
async function verifies(page, happens, asked, answers) {
  const place = entry(page, "Friday");
  await place.getByRole("button", { name: /^Verify the backup of/ }).click();
  await place.getByRole("alert").getByText("Nobody plays this.").waitFor();
  const now = /** @type {Backup} */ (kept.svc_2?.[0]);
  const verifying = { ...now, revision: 10, phase: "QUEUED" };
  answers.VerifyBackup = () => ({ data: { verifyBackup: { backup: verifying } } });
  await place.getByRole("button", { name: /^Verify the backup of/ }).click();
  await place.getByText("Waiting for its turn").waitFor();
  assert.deepEqual(asked.findLast(([name]) => name === "VerifyBackup"), ["VerifyBackup", { id: "bkp_9" }]);
  await place.getByRole("button", { name: /^Verify/ }).waitFor({ state: "detached" });
  await page.keepsFocus();
  kept.svc_2?.splice(0, 1, { ...verifying, revision: 11, phase: "RESTORING" });
  happens(orders, "The backup of orders is being restored, to see that it can be.");
  await place.getByText("Restoring it, to see that it can be").waitFor();
  kept.svc_2?.splice(0, 1, { ...verifying, revision: 12, state: "VERIFIED", phase: null, verification: { verifiedAt: ago(0), facts: FACTS } });
  happens(orders, "The backup of orders is verified: it was restored and read.");
  await place.getByText("Verified", { exact: true }).waitFor();
  await page.says("The backup of orders is verified.");

  const broken = { code: "RESTORE_FAILED", message: "What is kept could not be restored.", occurredAt: ago(0) };
  kept.svc_2?.splice(0, 1, { ...verifying, revision: 13, state: "FAILED", phase: null, error: broken });
  happens(orders, "The backup of orders has failed: What is kept could not be restored.");
  await place.getByText("It could not be restored.").waitFor();
  await place.getByRole("button", { name: /^Verify/ }).waitFor();
  assert.equal(await place.getByRole("button", { name: /^Restore/ }).count(), 0);
}

/** Only who means it. @param {Dashboard} page @param {Happens} happens @param {[string, any][]} asked @param {Answers} answers */
async function deletes(page, happens, asked, answers) {
  const place = entry(page, "Friday");
  await place.getByRole("button", { name: /^Delete…/ }).click();
  const dialog = page.page.getByRole("dialog", { name: "Delete this backup?" });
  await dialog.getByRole("button", { name: "Cancel" }).and(page.page.locator(":focus")).waitFor();
  await pictured(page.page, "delete-backup");
  await dialog.getByRole("button", { name: "Delete for good" }).click();
  await dialog.getByRole("alert").getByText("Nobody plays this.").waitFor();
  const now = /** @type {Backup} */ (kept.svc_2?.[0]);
  answers.DeleteBackup = () => ({ data: { deleteBackup: { backup: { ...now, revision: 14, state: "DELETING", phase: null, error: null } } } });
  await dialog.getByRole("button", { name: "Delete for good" }).click();
  await dialog.waitFor({ state: "detached" });
  assert.deepEqual(asked.findLast(([name]) => name === "DeleteBackup"), ["DeleteBackup", { id: "bkp_9" }]);
  await place.getByText("Being deleted").waitFor();
  await page.keepsFocus();
  kept.svc_2?.shift();
  happens(orders, "The backup of orders is removed.");
  await place.waitFor({ state: "detached" });
  await page.keepsFocus();
}

/** A new service is made of it, and is shown. @param {Dashboard} page @param {Happens} happens @param {[string, any][]} asked @param {Answers} answers */
async function restores(page, happens, asked, answers) {
  const place = entry(page, "Before the migration");
  await place.getByRole("button", { name: /^Restore…/ }).click();
  const dialog = page.page.getByRole("dialog", { name: "Restore a backup of orders" });
  await dialog.getByLabel("Name").and(page.page.locator(":focus")).waitFor();
  await dialog.getByText("with PostgreSQL 17 and a password and an address of its own").waitFor();
  await dialog.getByText("with the same user and database").waitFor();
  await dialog.getByText("orders stays as it is.").waitFor();
  assert.equal(await dialog.getByRole("radio", { name: /^Dev/ }).isChecked(), true, "as large as the service was");
  await pictured(page.page, "restore");
  await dialog.getByLabel("Name").fill("sessions");
  await dialog.getByRole("button", { name: "Restore into a new service" }).click();
  await dialog.getByRole("alert").getByText("already has a service called “sessions”").waitFor();
  await accessible(page.page, "a name that is taken");
  await dialog.getByLabel("Name").fill("orders-2");
  answers.RestoreService = () => ({ errors: [{ message: "What the backup holds needs 62 MiB.", extensions: { code: "CONFLICT", field: "tier" } }] });
  await dialog.getByRole("button", { name: "Restore into a new service" }).click();
  await dialog.getByRole("alert").getByText("What the backup holds needs 62 MiB.").waitFor();
  await dialog.getByRole("radio", { name: /^Standard/ }).check();
  const operation = { kind: "RESTORE", phase: "RESTORING", progressPercent: 40, startedAt: ago(2) };
  const restored = service(6, { name: "orders-2", revision: 1, state: "PROVISIONING", operation, viewerActions: ["DESTROY"] });
  answers.RestoreService = () => ({ data: { restoreService: { service: restored } } });
  await dialog.getByRole("button", { name: "Restore into a new service" }).click();
  await page.page.getByRole("heading", { name: "orders-2" }).and(page.page.locator(":focus")).waitFor();
  const input = asked.findLast(([name]) => name === "RestoreService")?.[1].input;
  const { idempotencyKey, ...wanted } = input.into.newService;
  assert.equal(input.backupId, "bkp_1");
  assert.deepEqual(wanted, { projectId: "demo", name: "orders-2", tier: "STANDARD" });
  assert.match(idempotencyKey, /^[\w-]{20,}$/);
  await page.sees("Restoring: bringing in what the backup holds");
  await pictured(page.page, "restoring");
  happens({ ...restored, revision: 2 }, "orders-2 has the data of the backup of orders.");
  happens({ ...restored, revision: 3, state: "RUNNING", operation: null }, "orders-2 is running and answers its health check.");
  await page.says("orders-2 is restored.");
}

/** How often `orders` has changed. */
let revision = 100;
const now = (/** @type {object} */ given = {}) => /** @type {Service} */ ({ ...orders, revision: ++revision, ...given });

/** It is backed up by itself, as somebody wants it and sees at once. @param {Dashboard} page @param {Happens} happens @param {[string, any][]} asked @param {Answers} answers */
async function schedules(page, happens, asked, answers) {
  await page.page.evaluate(() => (location.hash = "svc_2/backups"));
  await page.sees("It is not backed up by itself.");
  await page.button("Back up by schedule…").click();
  const dialog = page.page.getByRole("dialog", { name: "When orders is backed up" });
  const save = dialog.getByRole("button", { name: "Save" });
  await dialog.getByRole("radio", { name: "Every day", checked: true }).and(page.page.locator(":focus")).waitFor();
  await dialog.getByText("a moment of its own within the half hour after that").waitFor();
  await pictured(page.page, "schedule");

  const weeks = dialog.getByLabel("Weekly", { exact: true });
  await weeks.fill("many");
  await save.click();
  await dialog.getByRole("alert").getByText("Write a number from 0 to 1000.").waitFor();
  await weeks.and(page.page.locator(":focus")).waitFor();
  assert.equal(await weeks.getAttribute("aria-invalid"), "true");
  await accessible(page.page, "a number that is none");
  await weeks.fill("4");
  const refusal = (/** @type {string} */ field, /** @type {string} */ message) => () => ({ errors: [{ message, extensions: { code: "BAD_USER_INPUT", field } }] });
  answers.SetBackupPolicy = refusal("keepDaily", "It is a number from 0 to 1000.");
  await save.click();
  await dialog.getByRole("alert").getByText("It is a number from 0 to 1000.").waitFor();
  await dialog.getByLabel("Daily", { exact: true }).and(page.page.locator(":focus")).waitFor();

  // By the arrow keys, as radio buttons go.
  await dialog.getByRole("radio", { name: "Every day" }).focus();
  await page.page.keyboard.press("ArrowDown");
  await dialog.getByRole("radio", { name: "Every week", checked: true }).waitFor();
  await dialog.getByRole("combobox", { name: "On" }).selectOption("Sunday");
  await dialog.getByRole("combobox", { name: "At" }).selectOption("04:00 UTC");
  answers.SetBackupPolicy = refusal("schedule", "It never comes round.");
  await save.click();
  await dialog.getByRole("alert").getByText("It never comes round.").waitFor();
  await dialog.getByRole("radio", { name: "Every week" }).and(page.page.locator(":focus")).waitFor();
  await dialog.getByRole("radio", { name: "By a cron expression" }).check();
  const cron = dialog.getByLabel("Cron expression", { exact: true });
  await cron.fill("* * * * *");
  await dialog.getByText("Minute, hour, day, month and weekday, in UTC").waitFor();
  answers.SetBackupPolicy = refusal("schedule", "It comes round more often than every 15 minutes.");
  await save.click();
  await dialog.getByRole("alert").getByText("more often than every 15 minutes").waitFor();
  await cron.and(page.page.locator(":focus")).waitFor();
  await pictured(page.page, "schedule-refused");
  await cron.fill("30 4 * * 1-5");
  await dialog.getByText("Monday to Friday at 04:30 UTC.").waitFor();
  answers.SetBackupPolicy = ({ input: { id: _, ...policy } }) => ({ data: { setBackupPolicy: { service: now({ backupPolicy: { ...policy, nextRunAt: ago(-7200) } }) } } });
  await save.click();
  await dialog.waitFor({ state: "detached" });
  await page.keepsFocus();
  assert.deepEqual(asked.findLast(([name]) => name === "SetBackupPolicy"), ["SetBackupPolicy", { input: { id: "svc_2", schedule: "30 4 * * 1-5", ...keep, verify: true, pointInTime: false } }]);
  await page.sees("Monday to Friday at 04:30 UTC, and each is verified.");
  await page.sees("The newest 3, 7 daily and 4 weekly are kept, and in any case the newest that is verified.");
  await page.page.getByText(/^Next: /).waitFor();
  await page.says("orders has a new schedule.");
  await pictured(page.page, "scheduled");

  // Somebody else changes it, and time goes by.
  happens(now({ backupPolicy: { ...daily, verify: false, nextRunAt: ago(60) } }), "orders is backed up by the schedule 0 3 * * * from now on.");
  await page.sees("Every day at 03:00 UTC. They are not verified.");
  await page.page.getByText(/^Due since .*its turn comes shortly\.$/).waitFor();
  happens(now({ state: "STOPPED", viewerActions: ["START"], backupPolicy: { ...daily, schedule: "0 3 1,15 * *", nextRunAt: ago(60) } }), "orders is stopped.");
  await page.page.getByText(/^Due since .*it is taken once the service runs\.$/).waitFor();
  await page.page.getByText("By 0 3 1,15 * * in UTC, and each is verified.").waitFor();
  happens(now({ backupPolicy: daily }), "orders is running and answers its health check.");
  await page.sees("Every day at 03:00 UTC, and each is verified.");

  await page.button("Change the schedule…").click();
  await dialog.getByRole("radio", { name: "Not by itself" }).check();
  assert.equal(await dialog.getByLabel("Weekly", { exact: true }).count(), 0);
  await pictured(page.page, "schedule-off");
  answers.SetBackupPolicy = () => ({ data: { setBackupPolicy: { service: now({ backupPolicy: null }) } } });
  await save.click();
  await page.sees("It is not backed up by itself.");
  assert.deepEqual(asked.findLast(([name]) => name === "SetBackupPolicy"), ["SetBackupPolicy", { input: { id: "svc_2", schedule: null } }]);
  await page.keepsFocus();
}

/** It is brought back into the service itself. @param {Dashboard} page @param {Happens} happens @param {[string, any][]} asked @param {Answers} answers */
async function putsBack(page, happens, asked, answers) {
  const able = { viewerActions: [...usual, "CREATE_BACKUP", "RESTORE"] };
  const replaced = { version: "17", replacedAt: ago(3600), keptUntil: ago(-500_000) };
  happens(now({ ...able, replaced }), "orders is as it was.");
  const dialog = page.page.getByRole("dialog", { name: "Restore a backup of orders" });
  const restore = dialog.getByRole("button", { name: "Restore orders" });
  const open = async () => {
    await entry(page, "Before the migration").getByRole("button", { name: /^Restore…/ }).click();
    await dialog.getByRole("radio", { name: /^A new service/, checked: true }).and(page.page.locator(":focus")).waitFor();
    await page.page.keyboard.press("ArrowDown");
    await dialog.getByRole("radio", { name: /^This service/, checked: true }).and(page.page.locator(":focus")).waitFor();
  };
  await open();
  await dialog.getByText(/^What was written to orders since .* is not in it any more$/).waitFor();
  assert.equal(await restore.isDisabled(), true, "only who means it");
  await pictured(page.page, "restore-in-place");
  // Meanwhile something else begins.
  happens(now({ viewerActions: ["DESTROY"], operation: { kind: "RESTART", phase: "STOPPING", progressPercent: null, startedAt: ago(0) } }), "orders is being shut down.");
  await dialog.getByRole("status").getByText("Wait until that is over.").waitFor();
  await dialog.getByLabel("Type orders to confirm").fill("orders");
  assert.equal(await restore.isDisabled(), true, "it would be refused");
  happens(now({ ...able, replaced }), "orders is running and answers its health check.");
  await page.page.waitForFunction(() => !document.querySelector("dialog .wrong"));
  answers.RestoreService = () => ({ errors: [{ message: "The backup's key does not open.", extensions: { code: "CONFLICT", field: "backupId" } }] });
  await restore.click();
  await dialog.getByRole("alert").getByText("The backup's key does not open.").waitFor();
  const operation = { kind: "RESTORE", phase: "RESTORING", progressPercent: 40, startedAt: ago(2) };
  answers.RestoreService = () => ({ data: { restoreService: { service: now({ viewerActions: ["STOP", "RESTART"], operation }) } } });
  await restore.click();
  await dialog.waitFor({ state: "detached" });
  assert.deepEqual(asked.findLast(([name]) => name === "RestoreService"), ["RestoreService", { input: { backupId: "bkp_1", into: { inPlace: true } } }]);
  await page.says("orders is being restored.");
  await page.sees("Restoring: bringing in what the backup holds");
  await page.keepsFocus();
  happens(now({ viewerActions: ["STOP", "RESTART"], operation }), "orders is to be restored in place from its backup.");
  const failed = "It could not be restored, and is what it was: The backup is not there any more.";
  happens(now({ ...able, error: { code: "RESTORE_FAILED", message: failed, occurredAt: ago(0) } }), failed);
  await page.says(failed);
  await page.tab("Overview");
  await page.sees("It goes on as it was, with all its data.");
  await page.tab("Backups");

  await open();
  await dialog.getByLabel("Type orders to confirm").fill("orders");
  answers.RestoreService = () => ({ data: { restoreService: { service: now({ viewerActions: ["STOP", "RESTART"], operation }) } } });
  await page.page.keyboard.press("Enter");
  await dialog.waitFor({ state: "detached" });
  happens(now({ viewerActions: ["STOP", "RESTART"], operation }), "The data of orders is being restored: 40 %.");
  happens(now({ state: "PROVISIONING", operation: { ...operation, phase: "STARTING", progressPercent: null } }), "orders has the data of its backup again.");
  happens(now({ ...able, viewerActions: [...able.viewerActions, "REVERT"], replaced }), "orders is running and answers its health check.");
  await page.says("orders is restored.");
  await page.tab("Overview");
  await page.sees(/^What it was is kept until .+\d/);
  await page.button("Go back to what it was…").first().click();
  await page.page.getByRole("dialog", { name: "Take orders back to what it was?" }).getByText("stays only with what it is now").waitFor();
  await pictured(page.page, "back-from-restore");
  await page.page.keyboard.press("Escape");
  await page.tab("Backups");
}

/** It is backed up once more before its end. @param {Dashboard} page @param {Happens} happens @param {[string, any][]} asked @param {Answers} answers */
async function ends(page, happens, asked, answers) {
  await page.button("Destroy…").click();
  const dialog = page.page.getByRole("dialog", { name: "Destroy orders?" });
  await dialog.getByLabel("Type orders to confirm").and(page.page.locator(":focus")).waitFor();
  await dialog.getByRole("checkbox", { name: /^Back it up once more first/ }).check();
  await dialog.getByLabel("Type orders to confirm").fill("orders");
  await pictured(page.page, "destroy-after-backup");
  const then = dialog.getByRole("button", { name: "Back up, then destroy" });
  answers.DestroyService = () => ({ errors: [{ message: "A backup of it is under way; ask again once that has ended.", extensions: { code: "CONFLICT", field: "finalBackup" } }] });
  await then.click();
  await dialog.getByRole("alert").getByText("ask again once that has ended").waitFor();
  // What was ticked is not left out when it can't be done any more.
  happens(now({ state: "STOPPED", viewerActions: ["START", "DESTROY"] }), "orders is stopped.");
  await dialog.getByText("It can’t be backed up now.").waitFor();
  assert.equal(await dialog.getByRole("button", { name: "Destroy for good" }).isDisabled(), true);
  happens(now(), "orders is running and answers its health check.");
  answers.DestroyService = () => ({ data: { destroyService: { service: now() } } });
  await then.click();
  await dialog.waitFor({ state: "detached" });
  assert.deepEqual(asked.findLast(([name]) => name === "DestroyService"), ["DestroyService", { id: "svc_2", finalBackup: true }]);
  const toasts = page.page.getByRole("region", { name: "Notifications" });
  await toasts.getByText("orders is destroyed once its final backup is verified.").waitFor();

  const last = backup(0, { id: "bkp_8", state: "RUNNING", phase: "COPYING", origin: "FINAL", storedBytes: null, endedAt: null });
  kept.svc_2?.unshift(last);
  happens(now(), "The backup of orders is being taken.");
  await entry(page, "Final backup").getByText("orders is destroyed once this is verified. To keep it, delete this backup.").waitFor();
  await pictured(page.page, "final-backup");
  // Where it fails it is one like any other.
  const error = { code: "STORE_FULL", message: "Where backups are kept there is no room left.", occurredAt: ago(0) };
  kept.svc_2?.splice(0, 1, { ...last, revision: 2, state: "FAILED", phase: null, origin: "MANUAL", error });
  happens(now(), "The backup of orders has failed.");
  await page.says("no room left. The service stays.");
  await page.page.getByText("is destroyed once this is verified").waitFor({ state: "detached" });
  kept.svc_2?.shift();

  // Nobody is offered what would be refused.
  await page.page.evaluate(() => (location.hash = "svc_1/backups"));
  await page.button("Destroy…").click();
  await page.page.getByRole("dialog", { name: "Destroy sessions?" }).getByLabel("Type sessions to confirm").waitFor();
  assert.equal(await page.page.getByRole("checkbox").count(), 0);
  await page.page.keyboard.press("Escape");
}

/** More than a page of them. @param {Dashboard} page */
async function many(page) {
  kept.svc_2 = Array.from({ length: 23 }, (_, number) => backup(number + 1, { note: `Number ${number}.` }));
  await page.page.evaluate(() => (location.hash = "svc_2/backups"));
  await page.sees("Number 19.");
  assert.equal(await page.page.getByText("Number 20.").count(), 0);
  await page.button("Show earlier backups").click();
  await page.sees("Number 22.");
  await page.keepsFocus();
}

/** Of what does not run, and of what is destroyed. @param {Dashboard} page */
async function elsewhere(page) {
  await page.page.evaluate(() => (location.hash = "svc_1/backups"));
  await page.sees("A backup can be taken only while the service runs; it is stopped.");
  await page.sees("No backups yet");
  await pictured(page.page, "backups-none");
  await page.page.evaluate(() => (location.hash = "svc_4/backups"));
  await page.sees("Its backups are kept, and can be restored into a new one.");
  await page.sees("Final backup");
  await page.sees("others for up to 28 days.");
  await page.button(/^Restore…/).click();
  const dialog = page.page.getByRole("dialog", { name: "Restore a backup of former" });
  await dialog.getByRole("radio", { name: /^Dev.*Too small: the backup holds 1.5 GiB/ }).waitFor();
  assert.equal(await dialog.getByRole("radio", { name: /^Standard/ }).isChecked(), true, "the smallest that it fits");
  assert.equal(await dialog.getByText("stays as it is").count(), 0);
  await page.page.keyboard.press("Escape");
}

/** Who may only look, and is offered nothing that would be refused. */
async function forbidden() {
  const page = new Dashboard(await browser.newPage());
  await play(page.page, {
    Services: (variables) => listed([{ ...orders, viewerActions: [], backupPolicy: daily }], variables),
    Backups: () => ({ data: { service: { backups: { nodes: [verified], pageInfo: { hasNextPage: false, endCursor: null } } } } }),
  });
  await page.page.route("**/graphql", async (route) => {
    if (!route.request().postDataJSON().query.startsWith("query Start")) return route.fallback();
    const answer = await (await route.fetch()).json();
    answer.data.viewer.permissions = [];
    return route.fulfill({ json: answer });
  });
  await page.page.goto(`${origin}/?project=demo#svc_2/backups`);
  await page.signIn(token);
  await page.sees("To take backups and to restore them you need the permission");
  await page.sees("62 MiB, stored in 9 MiB");
  await page.sees("Every day at 03:00 UTC, and each is verified.");
  assert.equal(await page.page.locator(".backups button").count(), 0, "no button that would be refused");
  await pictured(page.page, "backups-forbidden");
  await page.page.close();
}

await run(walk);

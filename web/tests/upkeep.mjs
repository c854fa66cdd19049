// Storage that is full, versions, and what is put right: what is said before, while and after. The API is played. It wants the
// server's address in ORIGIN, a token for the project demo in TOKEN, and in PICTURES a directory to leave screenshots in.

import assert from "node:assert/strict";
import { accessible, browser, origin, picture, pictured, run } from "./browser.mjs";
import { Dashboard } from "./page.mjs";
import { listed, play, service } from "./played.mjs";

const { TOKEN: token = "" } = process.env;

const ago = (/** @type {number} */ seconds) => new Date(Date.now() - 1000 * seconds).toISOString();
const ahead = (/** @type {number} */ days) => ago(-86_400 * days);

const DEV = { tier: "DEV", name: "Dev", memoryMib: 256, cpus: 0.5, storageMib: 1024 };
const STANDARD = { tier: "STANDARD", name: "Standard", memoryMib: 512, cpus: 1, storageMib: 5120 };
const usual = ["STOP", "RESTART", "RESIZE", "DESTROY"];
const all = [...usual, "UPGRADE", "UPDATE_IMAGE", "REPAIR"];
const stored = (/** @type {number | null} */ usedMib, limitMib = 1024, enforcement = "GUARDED") => ({ usedMib, limitMib, enforcement });
const fault = (/** @type {string} */ code, /** @type {string} */ message) => ({ code, message, occurredAt: ago(90) });

const READ_ONLY = "orders holds 1031 of 1024 MiB, and takes no more writes.";
const STOPPED = "billing was stopped: it held 1180 MiB, and its size has 1024 MiB.";
const REFUSED = "The server of users runs, and refuses the password that it should have.";

/** @typedef {Omit<ReturnType<typeof service>, "operation"> & { operation: object | null }} Service */
const sessions = service(1, { name: "sessions", storage: stored(425, 512), viewerActions: usual });
const orders = service(2, { name: "orders", tier: DEV, storage: stored(1031), error: fault("STORAGE_FULL", READ_ONLY), viewerActions: [...usual, "UPDATE_IMAGE", "REPAIR"] });
const jobs = service(3, { name: "jobs", storage: stored(476, 512, "HARD"), viewerActions: usual });
const billing = service(4, { name: "billing", tier: DEV, state: "ERROR", storage: stored(1180), error: fault("STORAGE_FULL", STOPPED), viewerActions: ["START", "RESIZE", "DESTROY"] });
const users = service(6, { name: "users", tier: DEV, state: "ERROR", storage: stored(300), error: fault("CREDENTIALS_REFUSED", REFUSED), viewerActions: ["RESTART", "STOP", "REPAIR", "DESTROY"] });
const shop = service(8, { name: "shop", version: "15", tier: DEV, storage: stored(300), upgradesTo: ["17", "16"], viewerActions: all });

const sample = {
  measuredAt: new Date().toISOString(),
  cpuMillis: 110,
  cpuLimitMillis: 500,
  memoryMib: 91.5,
  memoryLimitMib: 256,
  connections: 7,
  connectionsLimit: 50,
};

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
  /** @type {number | null} */
  let storageMib = null;
  const send = await play(
    page.page,
    {
      Services: (variables) => listed([sessions, orders, jobs, billing, users, shop], variables),
      History: () => ({ data: { service: { events: { nodes: [], pageInfo: { hasPreviousPage: false, startCursor: null } } } } }),
      ...Object.fromEntries(["StartService", "ResizeService", "UpgradeService", "RevertService", "UpdateImage", "RepairService"].map((name) => [name, asks(name)])),
    },
    { serviceMetrics: () => [{ ...sample, storageMib, storageLimitMib: 1024 }] },
  );
  let cursor = 4000;
  let revision = 10;
  /** @param {Service} before @param {object} change @param {string} message */
  const happens = (before, change, message) => {
    const now = { ...before, revision: ++revision, updatedAt: new Date().toISOString(), ...change };
    const { id, state, operation, updatedAt } = now;
    send([{ cursor: String(++cursor), serviceId: id, previousState: before.state, state, operation, message, actor: null, occurredAt: updatedAt, service: now }]);
    return now;
  };
  await page.page.goto(`${origin}/?project=demo`);
  await page.signIn(token);
  await page.sees("Live");
  await fullness(page, happens, asked, answers);
  storageMib = 300;
  await repairs(page, happens, asked, answers);
  await upgrades(page, happens, asked, answers);
  await page.page.close();
}

/** @typedef {(before: Service, change: object, message: string) => Service} Happens */
/** @typedef {Record<string, (variables: any) => object>} Answers */

/** How full a storage is, what comes of it, and what helps. @param {Dashboard} page @param {Happens} happens @param {[string, any][]} asked @param {Answers} answers */
async function fullness(page, happens, asked, answers) {
  await page.row("jobs").getByText("Storage 93 % full").waitFor();
  await page.row("orders").getByText("Takes no writes").waitFor();
  await page.row("billing").getByText("There is no room left for its data.").waitFor();
  // Until it is measured it is known as it was noted last.
  await page.row("sessions").getByText("83 %").waitFor();
  assert.equal(await page.row("sessions").getByText(/Storage \d+ % full/).count(), 0, "it only fills up");
  await pictured(page.page, "upkeep-list");

  // What it does not take any more, and the two ways out.
  await page.show("orders");
  await page.sees(READ_ONLY);
  await page.sees("It is full.");
  await page.sees("It takes no more writes at 100 %.");
  assert.equal(await page.page.getByRole("meter", { name: "Storage" }).getAttribute("aria-valuenow"), "100");
  await page.button("Copy the statement").click();
  assert.equal(await page.page.evaluate(() => navigator.clipboard.readText()), "SET default_transaction_read_only = off;");
  await pictured(page.page, "storage-full");
  // The dialog itself comes only now, or it says that it does not, and once more when it is asked to.
  await page.page.route("**/assets/dialogs-*.js", (route) => route.abort());
  await page.page.locator(".failure").getByRole("button", { name: "Change size…" }).click();
  const late = page.page.getByRole("dialog", { name: "orders" });
  await late.getByText("This part of the page could not be loaded.").waitFor();
  await accessible(page.page, "a dialog that could not be loaded");
  await page.page.unroute("**/assets/dialogs-*.js");
  await late.getByRole("button", { name: "Try again" }).click();
  const sizes = page.page.getByRole("dialog", { name: "Change the size of orders" });
  await sizes.getByRole("radio", { name: /^Dev.*Its size now/ }).and(page.page.locator(":focus")).waitFor();
  await page.page.keyboard.press("Escape");
  await page.page.locator(".failure").getByRole("button", { name: "Change size…" }).and(page.page.locator(":focus")).waitFor();
  await page.page.keyboard.press("Enter");
  await sizes.getByRole("radio", { name: /^Standard/ }).check();
  await sizes.getByRole("radio", { name: /^Now, with a restart/ }).check();
  const resizing = { tier: STANDARD, operation: { kind: "RESIZE", phase: "STOPPING", progressPercent: null, startedAt: ago(0) }, viewerActions: ["DESTROY"] };
  answers.ResizeService = () => ({ data: { resizeService: { service: { ...orders, ...resizing, revision: 2 } } } });
  await sizes.getByRole("button", { name: "Change to Standard" }).click();
  await sizes.waitFor({ state: "detached" });
  assert.deepEqual(asked.pop(), ["ResizeService", { input: { id: "svc_2", tier: "STANDARD", apply: "NOW" } }]);
  const now = happens(orders, resizing, "orders is to have the size Standard.");
  happens(now, { error: null, operation: null, storage: stored(1031, 5120), viewerActions: all }, "orders is running and answers its health check.");
  await page.says("orders has the size Standard now.");
  await page.page.getByText(READ_ONLY).waitFor({ state: "detached" });
  await page.keepsFocus();
  await page.isHealthy();

  // One that was stopped for it can be started to be cleaned up.
  await page.show("billing");
  await page.sees("Start it to delete data within ten minutes, or give it a larger size.");
  await page.sees("1.2 GiB of 1 GiB");
  assert.equal(await page.page.getByRole("meter").count(), 1, "of what does not run only the storage is known");
  await pictured(page.page, "storage-stopped");
  assert.equal(await page.page.locator(".failure").getByRole("button", { name: "Start", exact: true }).count(), 1);
  assert.equal(await page.page.getByText("default_transaction_read_only").count(), 0, "nobody can connect to it");

  await page.show("jobs");
  await page.sees("It takes no more writes at 100 %, and its file system ends a quarter above.");
}

/** What was changed by hand is put back, and an image is updated. @param {Dashboard} page @param {Happens} happens @param {[string, any][]} asked @param {Answers} answers */
async function repairs(page, happens, asked, answers) {
  await page.show("users");
  await page.sees(REFUSED);
  const told = page.page.locator(".failure");
  await told.getByRole("button", { name: "Repair…" }).click();
  const sure = page.page.getByRole("dialog", { name: "Repair users?" });
  await sure.getByText("The data is left alone. Connections may be cut.").waitFor();
  await sure.getByRole("button", { name: "Cancel" }).and(page.page.locator(":focus")).waitFor();
  await accessible(page.page, "a repair that is asked about");
  const repairing = { operation: { kind: "REPAIR", phase: "REPAIRING", progressPercent: null, startedAt: ago(1) }, viewerActions: ["DESTROY"] };
  answers.RepairService = () => ({ data: { repairService: { service: { ...users, ...repairing, revision: 2 } } } });
  await page.confirm("Repair");
  assert.deepEqual(asked.pop(), ["RepairService", { id: "svc_6" }]);
  await page.sees("Repairing: putting things right");
  await page.keepsFocus();
  const now = happens(users, repairing, "users is to be repaired.");
  happens(now, { state: "RUNNING", error: null, operation: null, viewerActions: all, upgradesTo: ["18"] }, "users is running and answers its health check.");
  await page.says("users is repaired.");
  await page.isHealthy();

  // The same and more by the menu, with the keyboard; what is refused is said where it was asked for.
  const more = page.button("More for users");
  await more.focus();
  await page.page.keyboard.press("Enter");
  await page.page.getByRole("menuitem", { name: "Upgrade…" }).and(page.page.locator(":focus")).waitFor();
  await pictured(page.page, "menu-more");
  // A page that changes its width takes the menu away.
  if (!(await page.page.getByRole("menuitem", { name: "Update the image…" }).isVisible())) await more.click();
  await page.page.getByRole("menuitem", { name: "Update the image…" }).click();
  await page.page.getByRole("dialog", { name: "Update the image of users?" }).getByText("If there is a newer image of version 17").waitFor();
  await accessible(page.page, "updating an image");
  await page.confirm("Update the image");
  assert.deepEqual(asked.pop(), ["UpdateImage", { id: "svc_6" }]);
  await page.page.getByRole("alert").getByText("Nobody plays this.").first().waitFor();
}

/** A newer version, while something else happens, and the way back. @param {Dashboard} page @param {Happens} happens @param {[string, any][]} asked @param {Answers} answers */
async function upgrades(page, happens, asked, answers) {
  await page.show("shop");
  await page.sees("There is 17.");
  await page.button("Upgrade…").click();
  const dialog = page.page.getByRole("dialog", { name: "Upgrade shop" });
  await dialog.getByRole("radio", { name: "PostgreSQL 17" }).and(page.page.locator(":focus")).waitFor();
  await dialog.getByText("version 15 can be read and takes no writes").waitFor();
  await dialog.getByText("Version 15 is kept for a while").waitFor();
  await pictured(page.page, "upgrade");
  await page.page.keyboard.press("ArrowDown");
  await dialog.getByText("Version 16 is made ready beside version 15").waitFor();
  answers.UpgradeService = () => ({ errors: [{ message: "16 is none of the versions that shop can be upgraded to.", extensions: { code: "BAD_USER_INPUT", field: "version" } }] });
  await dialog.getByRole("button", { name: "Upgrade to 16" }).click();
  await dialog.getByRole("alert").getByText("16 is none of the versions").waitFor();
  await dialog.getByRole("radio", { name: "PostgreSQL 16" }).and(page.page.locator(":focus")).waitFor();
  await accessible(page.page, "an upgrade that is refused");
  await page.page.keyboard.press("ArrowUp");
  assert.equal(await dialog.getByRole("alert").count(), 0, "it is about the other version");

  // Somebody else is faster.
  const startedAt = ago(3);
  const during = (/** @type {string} */ phase) => ({ operation: { kind: "UPGRADE", phase, progressPercent: null, startedAt }, viewerActions: ["DESTROY"] });
  let now = happens(shop, during("QUEUED"), "shop is to be upgraded to version 17.");
  await dialog.getByText("It is being upgraded already.").waitFor();
  assert.equal(await dialog.getByRole("button", { name: "Upgrade to 17" }).isDisabled(), true);
  await accessible(page.page, "an upgrade that is under way already");
  now = happens(now, { operation: null, viewerActions: all }, "shop goes on in version 15.");
  await dialog.getByText("It is being upgraded already.").waitFor({ state: "detached" });
  answers.UpgradeService = () => ({ data: { upgradeService: { service: { ...now, ...during("QUEUED"), revision: 100 } } } });
  await dialog.getByRole("button", { name: "Upgrade to 17" }).click();
  await dialog.waitFor({ state: "detached" });
  assert.deepEqual(asked.pop(), ["UpgradeService", { input: { id: "svc_8", version: "17" } }]);
  await page.keepsFocus();

  // On its way: what is done stays done, whatever else is told.
  const way = page.page.getByRole("list", { name: "Upgrading" });
  const steps = /** @type {const} */ ([["PREPARING", "Prepare"], ["COPYING_DATA", "Copy"], ["COMPARING", "Compare"], ["WAITING_FOR_READY", "Compare"], ["SWITCHING", "Switch"]]);
  for (const [phase, step] of steps) {
    now = happens(now, { revision: 200 + steps.findIndex(([name]) => name === phase), ...during(phase) }, "shop is being upgraded.");
    await way.locator("[aria-current=step]").getByText(step).waitFor();
    if (phase === "COMPARING") await page.sees("Upgrading: comparing the copy");
    if (phase === "COPYING_DATA") await pictured(page.page, "upgrading");
  }
  const replaced = { version: "15", replacedAt: ago(2), keptUntil: ahead(7) };
  const upgraded = { revision: 300, operation: null, version: "17", upgradesTo: [], replaced, viewerActions: [...usual, "REVERT", "UPDATE_IMAGE", "REPAIR"] };
  now = happens(now, upgraded, "shop is running and answers its health check.");
  await page.says("shop runs version 17 now.");
  await page.sees(/^Version 15 is kept until .+\d/);
  await pictured(page.page, "upgraded");

  // Back again, which loses what was written since.
  await page.page.locator(".failure").getByRole("button", { name: "Go back to version 15…" }).click();
  const back = page.page.getByRole("dialog", { name: "Take shop back to version 15?" });
  await back.getByText("What was written since is lost to it").waitFor();
  await back.getByRole("button", { name: "Cancel" }).and(page.page.locator(":focus")).waitFor();
  await pictured(page.page, "revert");
  // What it was until now is kept in turn.
  const reverting = {
    state: "PROVISIONING",
    version: "15",
    upgradesTo: ["17", "16"],
    replaced: { version: "17", replacedAt: ago(0), keptUntil: ahead(7) },
    operation: { kind: "REVERT", phase: "WAITING_FOR_READY", progressPercent: null, startedAt: ago(0) },
    viewerActions: ["STOP", "RESTART", "DESTROY"],
  };
  answers.RevertService = () => ({ data: { revertService: { service: { ...now, ...reverting, revision: 400 } } } });
  await page.confirm("Go back to version 15");
  assert.deepEqual(asked.pop(), ["RevertService", { id: "svc_8" }]);
  await page.sees("Going back: waiting for it to answer");
  await picture(page.page, "dashboard-reverting");
  const before = { revision: 500, state: "RUNNING", operation: null, viewerActions: [...all, "REVERT"] };
  now = happens(now, { revision: 401, ...reverting }, "shop is to go back to version 15.");
  now = happens(now, before, "shop is running and answers its health check.");
  await page.says("shop is back at version 15.");
  await page.sees(/^Version 17 is kept until/);
  await page.sees("There is 17.");

  // One that fails leaves it as it was, and says so wherever somebody is.
  now = happens(now, { revision: 600, ...during("COMPARING") }, "shop is being upgraded.");
  await way.waitFor();
  await page.page.setViewportSize({ width: 800, height: 700 });
  await page.page.evaluate(() => (location.hash = "svc_1/history"));
  await page.page.getByRole("heading", { name: "sessions" }).waitFor();
  const failed = "shop could not be upgraded: the copy has fewer rows than version 15. It goes on in version 15.";
  happens(now, { revision: 700, operation: null, viewerActions: all, error: fault("UPGRADE_FAILED", failed) }, failed);
  const toasts = page.page.getByRole("region", { name: "Notifications" });
  await toasts.getByText("shop could not be upgraded").waitFor();
  await toasts.getByRole("link", { name: "Show" }).click();
  await page.sees("It goes on in version 15, with all its data.");
  await pictured(page.page, "upgrade-failed");
}

await run(walk);

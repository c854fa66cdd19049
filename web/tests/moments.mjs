// A service is brought back to a moment, and cloned: what is asked for, what is shown, and what is refused. The API is played.

import assert from "node:assert/strict";
import { accessible, browser, origin, pictured } from "./browser.mjs";
import { Dashboard } from "./page.mjs";
import { listed, play, service } from "./played.mjs";

const ago = (/** @type {number} */ seconds) => new Date(Date.now() - 1000 * seconds).toISOString();
/** As an input has it, in the time zone that the browser shares with this. @param {string} time */
const local = (time) => new Date(Date.parse(time) - 60_000 * new Date(time).getTimezoneOffset()).toISOString().slice(0, 19);

const usual = ["STOP", "RESTART", "DESTROY", "CREATE_BACKUP"];
const keep = { keepLast: 3, keepDaily: 7, keepWeekly: 4, keepMonthly: 0 };
const daily = { schedule: "0 3 * * *", ...keep, verify: true, pointInTime: false, pointInTimeAwaitsRestart: false, nextRunAt: ago(-7200) };
/** @typedef {Omit<ReturnType<typeof service>, "operation" | "backupPolicy"> & { operation: object | null, backupPolicy: object | null }} Service */
let revision = 1;
const orders = (/** @type {object} */ given = {}) =>
  /** @type {Service} */ (service(2, { name: "orders", revision: ++revision, viewerActions: [...usual, "RESTORE"], backupPolicy: daily, ...given }));
const sessions = service(1, { name: "sessions", viewerActions: usual, backupPolicy: daily });

const spans = { earliest: ago(7200.25), latest: ago(20), gaps: [{ from: ago(3600), to: ago(3000) }] };
const refusal = (/** @type {string} */ field, /** @type {string} */ message) => () => ({ errors: [{ message, extensions: { code: "BAD_USER_INPUT", field } }] });

/** What the played API knows of `orders`, and has been asked. */
class Stage {
  /** @type {object | null} */
  window = null;
  /** @type {[string, any][]} */
  asked = [];
  /** @type {Record<string, (variables: any) => object>} */
  answers = {};
  #cursor = 7000;
  /** @type {(events: object[]) => void} */
  #send = () => assert.fail("nobody plays");

  /** @param {import("playwright-core").Page} page @param {Service} first */
  async play(page, first) {
    const asks = (/** @type {string} */ name) => (/** @type {any} */ variables) => {
      this.asked.push([name, variables]);
      return this.answers[name]?.(variables) ?? assert.fail(`nobody plays ${name}`);
    };
    this.#send = await play(
      page,
      {
        Services: (variables) => listed([sessions, first], variables),
        Backups: ({ id }) => {
          const pageInfo = { hasNextPage: false, endCursor: null };
          return { data: { service: { recoveryWindow: id === "svc_2" ? this.window : null, backups: { nodes: [], pageInfo } } } };
        },
        ...Object.fromEntries(["SetBackupPolicy", "RestoreService", "CloneService"].map((name) => [name, asks(name)])),
      },
      { serviceMetrics: () => [] },
    );
  }

  /** @param {Service} now @param {string} message */
  happens(now, message) {
    this.#send([{ cursor: String(++this.#cursor), serviceId: now.id, previousState: now.state, state: now.state, operation: now.operation, message, actor: null, occurredAt: ago(0), service: now }]);
  }

  /** What was asked for last by this name. @param {string} name */
  last(name) {
    return this.asked.findLast(([asked]) => asked === name)?.[1].input;
  }
}

/** @param {string} token */
export async function moments(token) {
  const page = new Dashboard(await browser.newPage());
  const stage = new Stage();
  await stage.play(page.page, orders());
  await page.page.goto(`${origin}/?project=demo#svc_2/backups`);
  await page.signIn(token);
  await page.sees("Live");
  await keeps(page, stage);
  await restores(page, stage);
  await putsBack(page, stage);
  await clones(page, stage);
  await page.page.close();
  await permitted(token);
}

/** What is written in between is kept, and stays kept whatever else is changed. @param {Dashboard} page @param {Stage} stage */
async function keeps(page, stage) {
  await page.sees("No backups yet");
  assert.equal(await page.button("Restore a moment…").count(), 0, "there is none");
  const dialog = page.page.getByRole("dialog", { name: "When orders is backed up" });
  const any = dialog.getByRole("checkbox", { name: /^Any moment in between/ });
  const save = dialog.getByRole("button", { name: "Save" });
  await page.button("Change the schedule…").click();
  assert.equal(await any.isChecked(), false);
  await any.focus();
  await page.page.keyboard.press("Space");
  stage.answers.SetBackupPolicy = refusal("pointInTime", "Of it nothing but a backup can be brought back.");
  await save.click();
  await dialog.getByRole("alert").getByText("nothing but a backup").waitFor();
  await any.and(page.page.locator(":focus")).waitFor();
  await accessible(page.page, "moments that can't be kept");
  stage.answers.SetBackupPolicy = ({ input: { id: _, ...policy } }) => ({ data: { setBackupPolicy: { service: orders({ backupPolicy: { ...policy, nextRunAt: ago(-7200) } }) } } });
  await any.uncheck();
  await any.check();
  await pictured(page.page, "schedule-moments");
  await save.click();
  await dialog.waitFor({ state: "detached" });
  assert.deepEqual(stage.last("SetBackupPolicy"), { id: "svc_2", schedule: "0 3 * * *", ...keep, verify: true, pointInTime: true });
  await page.sees("What is written in between is kept as well.");

  await page.button("Change the schedule…").click();
  assert.equal(await any.isChecked(), true);
  await dialog.getByRole("radio", { name: "Every hour" }).check();
  await save.click();
  await dialog.waitFor({ state: "detached" });
  assert.equal(stage.last("SetBackupPolicy").pointInTime, true, "not turned off in silence");
  await page.sees("Every hour, on the hour, and each is verified.");

  // Of other kinds it is not offered.
  await page.page.evaluate(() => (location.hash = "svc_1/backups"));
  await page.button("Change the schedule…").click();
  await page.page.getByRole("checkbox", { name: /^Verify each/ }).waitFor();
  assert.equal(await page.page.getByRole("checkbox", { name: /^Any moment/ }).count(), 0);
  stage.answers.SetBackupPolicy = () => ({ data: { setBackupPolicy: { service: sessions } } });
  await page.button("Save").click();
  await page.page.getByRole("dialog").waitFor({ state: "detached" });
  assert.deepEqual(stage.last("SetBackupPolicy"), { id: "svc_1", schedule: "0 3 * * *", ...keep, verify: true, pointInTime: false });
  await page.page.evaluate(() => (location.hash = "svc_2/backups"));
}

const kept = { ...daily, pointInTime: true };

/** A new service is made of a moment. @param {Dashboard} page @param {Stage} stage */
async function restores(page, stage) {
  stage.window = { ...spans, latest: ago(900) };
  stage.happens(orders({ backupPolicy: kept }), "A backup of orders is complete.");
  await page.page.getByText(/^It can be brought back to any moment from .+ to .+, but for these:$/).waitFor();
  await page.page.getByText(/^It is 15 min .* behind: /).waitFor();
  const gaps = page.page.getByRole("list", { name: "What is missing in between" });
  await gaps.getByText(/^between .+ and .+$/).waitFor();
  await pictured(page.page, "moments");
  // It comes on without an event.
  stage.window = spans;
  await page.page.getByText(/^It is 15 min .* behind: /).waitFor({ state: "detached" });

  await page.button("Restore a moment…").click();
  const dialog = page.page.getByRole("dialog", { name: "Restore a moment of orders" });
  const moment = dialog.getByLabel("Moment");
  const restore = dialog.getByRole("button", { name: "Restore into a new service" });
  await dialog.getByRole("radio", { name: /^A new service/, checked: true }).and(page.page.locator(":focus")).waitFor();
  await dialog.getByText("In your own time zone; in UTC it is ").waitFor();
  assert.equal(new Date(await moment.inputValue()).getTime(), Math.floor(Date.parse(spans.latest) / 1000) * 1000, "the last of them");
  assert.equal(await moment.getAttribute("max"), local(spans.latest));
  assert.equal(await moment.getAttribute("min"), local(new Date(Date.parse(spans.earliest) + 999).toISOString()));
  await dialog.getByText("in the version that it had then").waitFor();
  await pictured(page.page, "restore-moment");
  /** @param {string} text */
  const refused = async (text) => {
    await restore.click();
    await dialog.getByRole("alert").getByText(text).waitFor();
    await moment.and(page.page.locator(":focus")).waitFor();
    assert.equal(await moment.getAttribute("aria-invalid"), "true");
  };
  await moment.fill("");
  await refused("Write day and time, to the second.");
  await moment.fill(local(ago(20_000)));
  await refused("It can be brought back to any moment from");
  await accessible(page.page, "a moment that there is none of");
  await moment.fill(local(ago(3300)));
  await refused("It can’t be brought back to a moment between");
  assert.equal(stage.last("RestoreService"), undefined, "nothing was asked for");
  const wanted = local(ago(1800));
  await moment.fill(wanted);
  stage.answers.RestoreService = refusal("at", "It can be brought back to any moment but that.");
  await refused("any moment but that");
  await dialog.getByLabel("Name").fill("orders-then");
  const operation = { kind: "RESTORE", phase: "RESTORING", progressPercent: 40, startedAt: ago(2) };
  const restored = service(6, { name: "orders-then", revision: 1, state: "PROVISIONING", operation, viewerActions: ["DESTROY"] });
  stage.answers.RestoreService = () => ({ data: { restoreService: { service: restored } } });
  await restore.click();
  await page.page.getByRole("heading", { name: "orders-then" }).and(page.page.locator(":focus")).waitFor();
  const { id, at, into, ...more } = stage.last("RestoreService");
  const { idempotencyKey, ...made } = into.newService;
  assert.deepEqual({ id, at, made, more }, { id: "svc_2", at: new Date(wanted).toISOString(), made: { projectId: "demo", name: "orders-then", tier: "DEV" }, more: {} });
  assert.match(idempotencyKey, /^[\w-]{20,}$/);
  await page.page.evaluate(() => (location.hash = "svc_2/backups"));
}

/** The service itself goes back to a moment, by the keyboard alone. @param {Dashboard} page @param {Stage} stage */
async function putsBack(page, stage) {
  await page.button("Restore a moment…").focus();
  await page.page.keyboard.press("Enter");
  const dialog = page.page.getByRole("dialog", { name: "Restore a moment of orders" });
  await dialog.getByRole("radio", { name: /^A new service/ }).and(page.page.locator(":focus")).waitFor();
  await page.page.keyboard.press("ArrowDown");
  await dialog.getByRole("radio", { name: /^This service/, checked: true }).and(page.page.locator(":focus")).waitFor();
  const wanted = local(ago(600));
  await dialog.getByLabel("Moment").fill(wanted);
  await dialog.getByText(/^What was written to orders since .* is not in it any more$/).waitFor();
  const restore = dialog.getByRole("button", { name: "Restore orders" });
  assert.equal(await restore.isDisabled(), true, "only who means it");
  await pictured(page.page, "restore-moment-in-place");
  await dialog.getByLabel("Type orders to confirm").fill("orders");
  stage.answers.RestoreService = refusal("at", "It can be brought back to any moment but that.");
  await page.page.keyboard.press("Enter");
  await dialog.getByRole("alert").getByText("any moment but that").waitFor();
  await dialog.getByLabel("Moment").and(page.page.locator(":focus")).waitFor();
  const operation = { kind: "RESTORE", phase: "RESTORING", progressPercent: 40, startedAt: ago(2) };
  stage.answers.RestoreService = () => ({ data: { restoreService: { service: orders({ viewerActions: ["STOP"], operation, backupPolicy: kept }) } } });
  await restore.click();
  await dialog.waitFor({ state: "detached" });
  assert.deepEqual(stage.last("RestoreService"), { id: "svc_2", at: new Date(wanted).toISOString(), into: { inPlace: true } });
  await page.says("orders is being restored.");
  await page.keepsFocus();
}

/** Another service has what this one holds now, for a while. @param {Dashboard} page @param {Stage} stage */
async function clones(page, stage) {
  assert.equal(await page.button("Clone…").count(), 0, "it would be refused now");
  stage.happens(orders({ backupPolicy: kept }), "orders is running and answers its health check.");
  await page.button("Clone…").click();
  const dialog = page.page.getByRole("dialog", { name: "Clone orders" });
  const make = dialog.getByRole("button", { name: "Make the clone" });
  await dialog.getByLabel("Name").and(page.page.locator(":focus")).waitFor();
  assert.equal(await dialog.getByRole("radio", { name: /^Dev/ }).isChecked(), true, "as large as its source");
  await pictured(page.page, "clone");
  await dialog.getByLabel("Name").fill("sessions");
  await make.click();
  await dialog.getByRole("alert").getByText("already has a service called “sessions”").waitFor();
  await dialog.getByLabel("Name").fill("preview-7");
  await dialog.getByRole("radio", { name: /^Standard/ }).check();
  const expiry = dialog.getByLabel("Destroy it by itself at");
  const wanted = local(ago(-86_400)).slice(0, 16);
  await expiry.fill(wanted);
  stage.answers.CloneService = refusal("expiresAt", "It has to be in the future.");
  await make.click();
  await dialog.getByRole("alert").getByText("It has to be in the future.").waitFor();
  await expiry.and(page.page.locator(":focus")).waitFor();
  await accessible(page.page, "an expiry that is refused");
  // A dialog that is open stays when its service stops.
  stage.happens(orders({ state: "STOPPED", viewerActions: ["START"], backupPolicy: kept }), "orders is stopped.");
  await page.sees("A backup can be taken only while the service runs; it is stopped.");
  stage.answers.CloneService = () => ({ errors: [{ message: "It does not run.", extensions: { code: "INVALID_STATE", state: "STOPPED", allowedStates: ["RUNNING"] } }] });
  await make.click();
  await dialog.getByRole("alert").getByText("only while it is running").waitFor();
  const operation = { kind: "CLONE", phase: "COPYING_DATA", progressPercent: 10, startedAt: ago(2) };
  const clone = service(8, { name: "preview-7", revision: 1, state: "PROVISIONING", operation, viewerActions: ["DESTROY"] });
  stage.answers.CloneService = () => ({ data: { cloneService: { service: clone } } });
  await make.click();
  await page.page.getByRole("heading", { name: "preview-7" }).and(page.page.locator(":focus")).waitFor();
  const { idempotencyKey, ...input } = stage.last("CloneService");
  assert.deepEqual(input, { id: "svc_2", projectId: "demo", name: "preview-7", tier: "STANDARD", expiresAt: new Date(wanted).toISOString() });
  assert.match(idempotencyKey, /^[\w-]{20,}$/);
  await page.sees("Cloning: copying its data");

  // Without an end it stays.
  stage.happens(orders({ backupPolicy: kept }), "orders is running and answers its health check.");
  await page.page.evaluate(() => (location.hash = "svc_2/backups"));
  await page.button("Clone…").click();
  await make.click();
  await dialog.waitFor({ state: "detached" });
  const { name, tier, expiresAt } = stage.last("CloneService");
  assert.deepEqual({ name, tier, expiresAt }, { name: null, tier: "DEV", expiresAt: null });
}

/** Everybody sees the moments; who may only destroy puts them in place, and who may only look does nothing. @param {string} token */
async function permitted(token) {
  for (const permissions of [["project:delete"], []]) {
    const page = new Dashboard(await browser.newPage());
    const stage = new Stage();
    stage.window = { ...spans, gaps: [] };
    await stage.play(page.page, orders({ backupPolicy: kept, viewerActions: permissions.length > 0 ? ["DESTROY", "RESTORE"] : [] }));
    await page.page.route("**/graphql", async (route) => {
      if (!route.request().postDataJSON().query.startsWith("query Start")) return route.fallback();
      const answer = await (await route.fetch()).json();
      answer.data.viewer.permissions = permissions;
      return route.fulfill({ json: answer });
    });
    await page.page.goto(`${origin}/?project=demo#svc_2/backups`);
    await page.signIn(token);
    await page.page.getByText(/^It can be brought back to any moment from .+ to .+\.$/).waitFor();
    assert.equal(await page.button("Clone…").count(), 0);
    assert.equal(await page.button("Restore a moment…").count(), permissions.length);
    if (permissions.length > 0) {
      await page.button("Restore a moment…").click();
      await page.page.getByRole("dialog").getByLabel("Moment").and(page.page.locator(":focus")).waitFor();
      assert.equal(await page.page.getByRole("radio").count(), 0, "no new service");
      await page.button("Restore orders").waitFor();
    }
    await page.page.close();
  }
}

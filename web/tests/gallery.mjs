// States that no engine shows on demand, played to the page. It wants the server's address in ORIGIN, a token for the project
// demo in TOKEN, and in PICTURES a directory to leave screenshots in.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { accessible, browser, origin, picture, pictured, run } from "./browser.mjs";
import { activity, endings, expiry, filters, keyboard } from "./habits.mjs";
import { Dashboard } from "./page.mjs";
import { listed, play, service } from "./played.mjs";

const { TOKEN: token = "" } = process.env;

const ago = (/** @type {number} */ seconds) => new Date(Date.now() - 1000 * seconds).toISOString();

const LOG = `orders-db could not be started: its server ended with exit code 1, five times in a row. The last lines of its log:
2026-01-31 12:00:00.120 UTC [1] LOG:  starting PostgreSQL 17.2 on x86_64-pc-linux-gnu, compiled by gcc (Debian 12.2.0-14) 12.2.0, 64-bit
2026-01-31 12:00:00.121 UTC [1] LOG:  listening on IPv4 address "0.0.0.0", port 5432
2026-01-31 12:00:00.131 UTC [29] LOG:  database system was interrupted; last known up at 2026-01-31 11:58:12 UTC
2026-01-31 12:00:00.190 UTC [29] PANIC:  could not locate a valid checkpoint record at 0/1528AC8
2026-01-31 12:00:00.412 UTC [1] LOG:  startup process (PID 29) was terminated by signal 6: Aborted
2026-01-31 12:00:00.412 UTC [1] LOG:  aborting startup due to startup process failure
2026-01-31 12:00:00.414 UTC [1] LOG:  database system is shut down`;

const pulling = { kind: "PROVISION", phase: "PULLING_IMAGE", progressPercent: 42, startedAt: ago(75) };
const SERVICES = [
  service(0, { name: "orders-db", state: "ERROR", error: { code: "CRASH_LOOP", message: LOG, occurredAt: ago(140) }, viewerActions: ["START", "DESTROY"] }),
  service(1, { name: "sessions" }),
  service(2, { name: "analytics", state: "PROVISIONING", operation: pulling, viewerActions: ["DESTROY"] }),
  service(3, { name: "rate-limits", state: "STOPPED", viewerActions: ["START", "DESTROY"] }),
  service(4, {
    name: "the-longest-name-that-a-service-may-bear",
    version: "16",
    tier: { tier: "PERFORMANCE", name: "Performance", memoryMib: 4096, cpus: 2, storageMib: 20480 },
    operation: { kind: "RECOVER", phase: "CREATING_CONTAINER", progressPercent: null, startedAt: ago(3) },
    state: "PROVISIONING",
  }),
  service(5, { name: "old-cache", state: "DESTROYING", operation: { kind: "DESTROY", phase: "REMOVING", progressPercent: null, startedAt: ago(9) }, viewerActions: [] }),
  service(6, { name: "billing", operation: { kind: "ROTATE_CREDENTIALS", phase: "CHANGING_PASSWORD", progressPercent: null, startedAt: ago(1) } }),
  service(7, {
    name: "jobs",
    state: "PENDING",
    operation: { kind: "PROVISION", phase: "QUEUED", progressPercent: null, startedAt: ago(31) },
    error: { code: "ENGINE_UNAVAILABLE", message: "The engine does not answer; it is tried again.", occurredAt: ago(20) },
    viewerActions: ["DESTROY"],
  }),
];

/** More than two pages of events. */
const EVENTS = Array.from({ length: 120 }, (_, number) => ({
  cursor: String(1000 + number),
  serviceId: "svc_1",
  previousState: number % 2 ? "STOPPED" : "RUNNING",
  state: number % 2 ? "RUNNING" : "STOPPED",
  operation: null,
  message: number % 2 ? `sessions is running and answers its health check, change ${number}.` : `sessions is stopped; its data is kept, change ${number}.`,
  actor: number % 3 ? null : "user-4711",
  occurredAt: ago(60 + 3600 * (120 - number)),
}));

const SAMPLES = Array.from({ length: 120 }, (_, number) => ({
  measuredAt: ago(120 - number),
  cpuMillis: Math.round(180 + 140 * Math.sin(number / 9) + 60 * Math.sin(number / 2)),
  cpuLimitMillis: 500,
  memoryMib: 60 + number / 3,
  memoryLimitMib: 128,
  storageMib: 470,
  storageLimitMib: 512,
  connections: 17,
  connectionsLimit: 50,
}));

const LINES = Array.from({ length: 300 }, (_, number) => ({
  occurredAt: ago(300 - number),
  stream: number % 7 ? "STDOUT" : "STDERR",
  text: number % 5 ? `1:M ${number} changes in 60 seconds. Saving...` : `1:M Background saving terminated with success, number ${number}`,
}));

async function walk() {
  await states();
  await filters(SERVICES, token);
  await keyboard(SERVICES, token);
  await endings(SERVICES, token);
  await activity(token);
  await expiry(SERVICES, token);
  await refusals();
}

/** What is said about a new service that can't be had stands in sight, on whatever screen. */
async function refusals() {
  const page = new Dashboard(await browser.newPage());
  const error = (/** @type {string} */ code, /** @type {string} */ message, more = {}) => ({ errors: [{ message, extensions: { code, ...more } }] });
  let answer = error("QUOTA_EXCEEDED", "The project has 100 services, which is the most; destroy one first.", { maximum: 100 });
  await play(page.page, { Services: (variables) => listed(SERVICES, variables), Provision: () => answer });
  await page.page.goto(`${origin}/?project=demo`);
  await page.signIn(token);
  await page.isListed("sessions", "Running");
  for (const [width, height] of /** @type {const} */ ([[1366, 650], [1280, 640], [360, 740]])) {
    await page.page.setViewportSize({ width, height });
    const dialog = page.page.getByRole("dialog", { name: "New service" });
    const create = async (/** @type {string} */ name, /** @type {RegExp} */ text) => {
      await page.button("New service").click();
      await dialog.getByLabel("Name").fill(name);
      await page.page.keyboard.press("Enter");
      const alert = dialog.getByRole("alert").filter({ hasText: text });
      await alert.waitFor();
      assert.ok(await inSight(alert), `${text} is in sight at ${width} × ${height}`);
      assert.ok(await inSight(dialog.getByRole("button", { name: /^Create/ })), "and so is the button");
      await accessible(page.page, `${text} at ${width}`);
      await page.page.keyboard.press("Escape");
      await dialog.waitFor({ state: "detached" });
    };
    await create("sessions", /already has a service called “sessions”/);
    await create("Sessions", /lower-case/);
    await create("more", /reached its limit of 100 services/);
    const quota = answer;
    answer = error("CONFLICT", "The project has a service named late already.");
    await create("late", /named late already/);
    answer = quota;
    if (width > 500) {
      await page.button("New service").click();
      const [tall, shown] = await dialog.locator(".body").evaluate((body) => [body.scrollHeight, body.clientHeight]);
      assert.ok(Number(tall) <= Number(shown), `the dialog fits ${height} pixels: ${tall} in ${shown}`);
      await page.page.keyboard.press("Escape");
    }
  }
  await page.page.close();
}

/** Whether all of an element can be seen and nothing lies over it. @param {import("playwright-core").Locator} locator */
function inSight(locator) {
  return locator.evaluate((element) => {
    const { top, bottom, left, right } = element.getBoundingClientRect();
    const at = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
    return top >= 0 && left >= 0 && bottom <= innerHeight && right <= innerWidth && element.contains(at);
  });
}

async function states() {
  const page = new Dashboard(await browser.newPage());
  const send = await play(
    page.page,
    {
      Services: (variables) => listed(SERVICES, variables),
      History: ({ before }) => {
        const end = before ? EVENTS.findIndex(({ cursor }) => cursor === before) : EVENTS.length;
        const nodes = EVENTS.slice(Math.max(0, end - 50), end);
        return { data: { service: { events: { nodes, pageInfo: { hasPreviousPage: end > 50, startCursor: nodes[0]?.cursor } } } } };
      },
      RestartService: () => ({
        errors: [{ message: "sessions is being stopped and can’t be restarted.", extensions: { code: "INVALID_STATE" } }],
      }),
    },
    { serviceMetrics: () => SAMPLES, serviceLogs: () => LINES },
  );
  await page.page.goto(`${origin}/?project=demo`);
  await page.signIn(token);
  await page.isListed("sessions", "Running");
  await pictured(page.page, "list");

  // An image that is being pulled, as it comes.
  await page.show("analytics");
  const progress = page.page.getByRole("progressbar").first();
  assert.equal(await progress.getAttribute("value"), "42");
  await page.sees(/\d min \d\d s/);
  const further = service(2, { ...SERVICES[2], operation: { ...pulling, progressPercent: 77 }, revision: 2, updatedAt: ago(0) });
  const said = { previousState: "PROVISIONING", state: "PROVISIONING", operation: { phase: "PULLING_IMAGE" }, message: "", actor: null };
  send([{ ...said, cursor: "2000", serviceId: "svc_2", occurredAt: ago(0), service: further }]);
  await page.page.locator(".service progress[value='77']").waitFor();
  await pictured(page.page, "pulling");

  await page.button("Back to the list").or(page.button("Close the details")).filter({ visible: true }).click();
  await page.row("analytics").getByRole("link").and(page.page.locator(":focus")).waitFor();
  await page.show("orders-db");
  await page.sees("database system is shut down");
  await pictured(page.page, "error");

  await page.show("the-longest-name-that-a-service-may-bear");
  await pictured(page.page, "long-name");

  await page.show("sessions");
  await page.tab("History");
  await page.sees("change 119");
  await page.button("Show earlier events").click();
  await page.sees("change 20.");
  await page.button("Show earlier events").click();
  await page.sees("change 0.");
  assert.equal(await page.page.getByRole("group", { name: "History" }).getByRole("listitem").count(), EVENTS.length);
  assert.equal(await page.button("Show earlier events").count(), 0, "there is nothing earlier");
  await pictured(page.page, "history-long");
  await page.tab("Logs");
  await page.sees("number 295");
  await pictured(page.page, "logs-long");
  const [saved] = await Promise.all([page.page.waitForEvent("download"), page.button("Download").click()]);
  assert.match(saved.suggestedFilename(), /^sessions-[\dT-]+\.log$/);
  const log = await readFile(await saved.path(), "utf8");
  assert.match(log, /^\S+Z 1:M Background saving terminated with success, number 0\n/, "a log as it was written");
  await page.page.getByRole("searchbox").fill("NUMBER 295");
  assert.deepEqual(await page.page.locator(".log mark").allTextContents(), ["number 295"]);
  await page.button("Full screen").click();
  await page.button("Leave full screen").waitFor();
  const covers = await page.page.locator(".logs").evaluate((logs) => logs.clientHeight >= innerHeight && logs.clientWidth >= innerWidth);
  assert.ok(covers, "the log fills the screen");
  await picture(page.page, "dashboard-logs-full");
  await page.page.keyboard.press("Escape");
  await page.button("Full screen").waitFor();

  await page.tab("Overview");
  await page.button("Restart…").click();
  await pictured(page.page, "restart");
  await page.confirm("Restart");
  await page.sees("can’t be restarted");
  await pictured(page.page, "refused");
  await page.page.close();
}

await run(walk);

// How somebody finds their way who uses the dashboard every day: filters, keys, word of what ended elsewhere, the project's
// activity. The API is played.

import assert from "node:assert/strict";
import { accessible, browser, origin, pictured } from "./browser.mjs";
import { Dashboard } from "./page.mjs";
import { listed, play, service } from "./played.mjs";

/** @typedef {ReturnType<typeof service>} Service */

/** @param {Service[]} services @param {string} token @param {Parameters<typeof play>[1]} operations */
async function open(services, token, operations = {}, hash = "") {
  const page = new Dashboard(await browser.newPage());
  const send = await play(page.page, {
    Services: (variables) => listed(services, variables),
    History: () => ({ data: { service: { events: { nodes: [], pageInfo: { hasPreviousPage: false, startCursor: null } } } } }),
    ...operations,
  });
  await page.page.goto(`${origin}/?project=demo${hash}`);
  await page.signIn(token);
  await page.sees("Live");
  return { page, send };
}

/** @param {Service} service @param {object} change @param {string} message */
function event(service, change, message, cursor = "3000") {
  const now = { ...service, revision: service.revision + 1, updatedAt: new Date().toISOString(), ...change };
  const { id, state, updatedAt } = now;
  return { cursor, serviceId: id, previousState: service.state, state, operation: null, message, actor: null, occurredAt: updatedAt, service: now };
}

/** The names in the list, in its order. @param {Dashboard} page */
const names = (page) => page.page.locator(".services [data-service]").evaluateAll((rows) => rows.map((row) => row.getAttribute("data-service")));

/** @param {Service[]} services @param {string} token */
export async function filters(services, token) {
  const gone = service(90, { name: "long-gone", state: "DESTROYED", viewerActions: [] });
  const { page } = await open(services, token, {
    Destroyed: () => ({ data: { services: { nodes: [gone], pageInfo: { hasPreviousPage: false, startCursor: null }, eventCursor: "0" } } }),
  });
  const by = (/** @type {string} */ name) => page.page.getByLabel(name, { exact: true });
  await by("State").selectOption({ label: "Stopped (1)" });
  assert.deepEqual(await names(page), ["rate-limits"]);
  await by("State").selectOption({ label: "Any state (8)" });
  await by("Kind").selectOption("Redis");
  await by("Order").selectOption("By name");
  assert.deepEqual(await names(page), ["jobs", "old-cache", "rate-limits", "sessions"]);
  await by("Kind").selectOption("Any kind");
  await by("Order").selectOption("By state");
  assert.equal((await names(page))[0], "orders-db", "what went wrong comes first");
  await by("State").selectOption("Destroyed");
  await page.isListed("long-gone", "Destroyed");
  assert.deepEqual(await names(page), ["long-gone"]);
  await pictured(page.page, "destroyed-list");
  await page.show("long-gone");
  await page.page.keyboard.press("Escape");
  await page.isListed("long-gone", "Destroyed");
  await by("State").selectOption({ index: 0 });
  await page.page.getByRole("searchbox").fill("no such thing");
  await page.sees("No service matches");
  await pictured(page.page, "no-match");
  await page.button("Show all").click();
  assert.equal((await names(page)).length, services.length);
  await page.page.close();
}

/** All of it without a mouse. @param {Service[]} services @param {string} token */
export async function keyboard(services, token) {
  const { page } = await open(services, token);
  const keys = page.page.keyboard;
  const focused = (/** @type {import("playwright-core").Locator} */ locator) => locator.and(page.page.locator(":focus")).waitFor();
  await keys.press("?");
  await page.page.getByRole("dialog", { name: "Keyboard shortcuts" }).waitFor();
  await pictured(page.page, "shortcuts");
  await keys.press("Escape");
  await page.page.getByRole("dialog").waitFor({ state: "detached" });
  await keys.press("/");
  await focused(page.page.getByRole("searchbox"));
  await keys.type("n?");
  assert.equal(await page.page.getByRole("dialog").count(), 0, "keys that are typed are no shortcuts");
  await page.page.getByRole("searchbox").fill("");
  await keys.press("Escape");
  await keys.press("n");
  await page.page.getByRole("dialog", { name: "New service" }).waitFor();
  await keys.press("Escape");

  await page.button("Actions for sessions").focus();
  await keys.press("Enter");
  await focused(page.page.getByRole("menuitem", { name: "Open" }));
  await pictured(page.page, "menu");
  await keys.press("s");
  await focused(page.page.getByRole("menuitem", { name: "Stop…" }));
  await keys.press("ArrowDown");
  await focused(page.page.getByRole("menuitem", { name: "Destroy…" }));
  await keys.press("ArrowDown");
  await focused(page.page.getByRole("menuitem", { name: "Open" }));
  await keys.press("Escape");
  await focused(page.button("Actions for sessions"));
  await keys.press("Enter");
  await focused(page.page.getByRole("menuitem", { name: "Open" }));
  await keys.press("s");
  await keys.press("Enter");
  const sure = page.page.getByRole("dialog", { name: "Stop sessions?" });
  await focused(sure.getByRole("button", { name: "Cancel" }));
  await keys.press("Enter");
  await sure.waitFor({ state: "detached" });
  await focused(page.button("Actions for sessions"));
  assert.ok(!page.operations.includes("StopService"), "nothing is stopped that nobody confirmed");

  await page.row("sessions").getByRole("link").focus();
  await keys.press("Enter");
  await page.page.getByRole("heading", { name: "sessions" }).waitFor();
  await keys.press("Escape");
  await focused(page.row("sessions").getByRole("link"));
  await page.page.close();
}

/** Word of what ends where nobody looks. @param {Service[]} services @param {string} token */
export async function endings(services, token) {
  const { page, send } = await open(services, token, {}, "#svc_1/history");
  const [, sessions, analytics, , , old] = services;
  assert.ok(sessions && analytics && old);
  await page.page.setViewportSize({ width: 800, height: 700 });
  const toasts = page.page.getByRole("region", { name: "Notifications" });
  send([event(analytics, { state: "RUNNING", operation: null }, "analytics is running and answers its health check.")]);
  await toasts.getByText("analytics is running").waitFor();
  await accessible(page.page, "a notification");
  await toasts.getByRole("link", { name: "Show" }).click();
  await page.page.getByRole("heading", { name: "analytics" }).waitFor();
  assert.equal(await toasts.getByText("analytics is running").count(), 0, "what was looked at is done with");
  send([event(old, { state: "DESTROYED", operation: null }, "old-cache is destroyed; its container and its data are gone.", "3001")]);
  await toasts.getByText("old-cache is destroyed").waitFor();
  await toasts.getByRole("button", { name: "Dismiss" }).click();

  // While it shuts down it is not healthy any more.
  const stopping = { kind: "STOP", phase: "STOPPING", progressPercent: null, startedAt: new Date().toISOString() };
  send([event(sessions, { operation: stopping }, "sessions is being stopped.", "3002")]);
  await page.page.evaluate(() => (location.hash = "svc_1"));
  await page.sees("Shutting down");
  assert.equal(await page.page.getByText("Healthy").count(), 0);
  await page.page.close();
}

/** What happened in all of the project, also in what is there no longer. @param {string} token */
export async function activity(token) {
  const at = (/** @type {number} */ minutes) => new Date(Date.now() - 60_000 * minutes).toISOString();
  const said = (/** @type {number} */ number) => ({
    cursor: String(9000 + number),
    serviceId: number % 5 ? "svc_1" : "svc_2",
    previousState: "STOPPED",
    state: "RUNNING",
    operation: null,
    message: `${number % 5 ? "sessions" : "orders"} did what it does, ${number}.`,
    actor: number % 2 ? "ada" : null,
    occurredAt: at(200 - number),
  });
  const all = Array.from({ length: 70 }, (_, number) => said(number));
  /** @type {(string | null)[]} */
  const asked = [];
  const { page: dashboard, send } = await open([service(1)], token, {
    Activity: ({ before }) => {
      asked.push(before);
      const end = before ? all.findIndex(({ cursor }) => cursor === before) : all.length;
      const nodes = all.slice(Math.max(0, end - 50), end);
      return { data: { project: { events: { nodes, pageInfo: { hasPreviousPage: end > 50, startCursor: nodes[0]?.cursor } } } } };
    },
  });
  await dashboard.page.getByRole("link", { name: "Activity" }).click();
  await dashboard.sees("sessions did what it does, 69.");
  assert.equal(await dashboard.page.getByText("did what it does, 19.").count(), 0, "what is older is read when it is asked for");
  const now = event(service(1), { state: "STOPPED" }, "service-001 is stopped; its data is kept.", "9999");
  send([now]);
  await dashboard.page.getByRole("listitem").first().getByText("service-001 is stopped").waitFor();
  await pictured(dashboard.page, "activity");
  await dashboard.button("Show earlier events").click();
  await dashboard.sees("orders did what it does, 0.");
  assert.equal(await dashboard.button("Show earlier events").count(), 0);
  assert.deepEqual(asked, [null, "9020"], "one page after the other");
  await dashboard.page.getByRole("searchbox").fill("ada");
  await dashboard.page.getByText("sessions did what it does, 68.").waitFor({ state: "detached" });
  await dashboard.page.getByRole("link", { name: "sessions did what it does, 69." }).click();
  await dashboard.page.getByRole("heading", { name: "service-001" }).waitFor();
  await dashboard.page.close();
}

/** A token that ends is renewed before a form is lost. @param {Service[]} services @param {string} token */
export async function expiry(services, token) {
  let lasts = 4 * 60_000;
  const viewer = () => ({ subject: "e2e", projects: ["demo"], permissions: ["project:settings"], expiresAt: new Date(Date.now() + lasts).toISOString() });
  const catalog = { kind: "REDIS", name: "Redis", description: "In-memory data store.", availability: "AVAILABLE", versions: ["7"], defaultVersion: "7", tiers: [{ tier: "DEV", name: "Dev", memoryMib: 128, cpus: 0.5, storageMib: 512 }], resizesLive: true, credentialKeys: ["REDIS_URL"] };
  const { page } = await open(services, token, {
    Start: () => ({ data: { viewer: viewer(), serviceCatalog: [catalog] } }),
    Usage: () => ({ data: { project: { usage: { services: services.length, servicesMaximum: services.length + 1 } } } }),
    Provision: () => ({ errors: [{ message: "Not authenticated: the token is expired.", extensions: { code: "UNAUTHENTICATED" } }] }),
  });
  await page.sees("Your token expires in 4 min.");
  await pictured(page.page, "token-ends");
  await page.button("New service").click();
  await page.sees(/This project has \d+ of at most \d+ services/);
  await page.page.getByRole("textbox", { name: "Name" }).fill("precious");
  await page.button("Create Redis").click();
  // It is refused, and asked for over the form.
  const again = page.page.getByRole("dialog", { name: "Your token has expired" });
  await again.waitFor();
  await accessible(page.page, "a token that has expired");
  lasts = 3_600_000;
  await again.getByLabel("Token").fill(`${token} `);
  await again.getByRole("button", { name: "Stay signed in" }).click();
  await again.waitFor({ state: "detached" });
  assert.equal(await page.page.getByRole("textbox", { name: "Name" }).inputValue(), "precious", "what was typed is still there");
  await page.page.getByText("Your token has expired").waitFor({ state: "detached" });
  await page.page.close();
}

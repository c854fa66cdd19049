// Another size for a service: what is said before, while and after it changes. The API is played.

import assert from "node:assert/strict";
import { accessible, browser, origin, picture, pictured } from "./browser.mjs";
import { Dashboard } from "./page.mjs";
import { listed, play, service } from "./played.mjs";

const tier = (/** @type {string} */ tier, /** @type {string} */ name, /** @type {number} */ memoryMib, /** @type {number} */ cpus, /** @type {number} */ storageMib) => ({ tier, name, memoryMib, cpus, storageMib });
const DEV = tier("DEV", "Dev", 256, 0.5, 1024);
const STANDARD = tier("STANDARD", "Standard", 512, 1, 5120);
const viewerActions = ["STOP", "RESTART", "RESIZE", "DESTROY"];

/** @typedef {ReturnType<typeof service>} Service */
const orders = service(2, { name: "orders", tier: STANDARD, viewerActions });
const billing = service(4, { name: "billing", tier: DEV, viewerActions });

const sample = {
  measuredAt: new Date().toISOString(),
  cpuMillis: 210,
  cpuLimitMillis: 1000,
  memoryMib: 211.5,
  memoryLimitMib: 512,
  storageMib: 1740,
  storageLimitMib: 5120,
  connections: 17,
  connectionsLimit: 100,
};

/** @param {string} token */
export async function sizes(token) {
  const page = new Dashboard(await browser.newPage());
  /** @type {any[]} */
  const asked = [];
  /** @type {(input: any) => object} */
  let answer = () => ({});
  const send = await play(
    page.page,
    {
      Services: (variables) => listed([service(1, { name: "sessions", viewerActions }), orders, billing], variables),
      History: () => ({ data: { service: { events: { nodes: [], pageInfo: { hasPreviousPage: false, startCursor: null } } } } }),
      ResizeService: ({ input }) => {
        asked.push(input);
        return answer(input);
      },
    },
    { serviceMetrics: () => [sample] },
  );
  let cursor = 3000;
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
  await live(page);
  await refused(page, (next) => (answer = next));
  assert.equal(asked.pop().tier, "DEV");
  await meanwhile(page, happens);
  await later(page, happens, asked, (next) => (answer = next));
  await unseen(page, happens);
  await page.page.close();
}

/** @param {Dashboard} page @param {string} name */
async function ask(page, name) {
  await page.button("Change size…").click();
  const dialog = page.page.getByRole("dialog", { name: `Change the size of ${name}` });
  await dialog.waitFor();
  return dialog;
}

/** By the keyboard, from the list. @param {Dashboard} page */
async function live(page) {
  await page.button("Actions for sessions").click();
  await pictured(page.page, "menu-resize");
  // A page that changes its width takes the menu away.
  const item = page.page.getByRole("menuitem", { name: "Change size…" });
  if (!(await item.isVisible())) await page.button("Actions for sessions").click();
  await item.click();
  const dialog = page.page.getByRole("dialog", { name: "Change the size of sessions" });
  await dialog.getByRole("radio", { name: /^Dev.*Its size now/ }).and(page.page.locator(":focus")).waitFor();
  assert.equal(await dialog.getByRole("button", { name: "Change size" }).isDisabled(), true, "nothing was chosen yet");
  await page.page.keyboard.press("ArrowDown");
  await dialog.getByText("Redis takes its new size while it runs: nobody loses a connection.").waitFor();
  assert.match((await dialog.locator(".from-to").textContent()) ?? "", /^Memory128 MiB.*256 MiBCPU0.5 CPU.*1 CPUStorage512 MiB.*2 GiB$/);
  assert.equal(await dialog.getByText("When", { exact: true }).count(), 0, "there is nothing to choose");
  await pictured(page.page, "resize-live");
  await page.page.keyboard.press("Escape");
  await page.button("Actions for sessions").and(page.page.locator(":focus")).waitFor();
}

/** A size that is too small says so before, and the server’s word on it stands at the choice. @param {Dashboard} page @param {(next: () => object) => void} answers */
async function refused(page, answers) {
  const message = "1740 MiB are on its volume, and Dev is meant for 1024 MiB.";
  answers(() => ({ errors: [{ message, extensions: { code: "CONFLICT", field: "tier" } }] }));
  await page.show("orders");
  await page.sees("1.7 GiB of 5 GiB");
  const dialog = await ask(page, "orders");
  await dialog.getByText("Likely to be refused: 1740 MiB are stored, and it holds 1024 MiB.").waitFor();
  await dialog.getByRole("radio", { name: /^Dev/ }).check();
  await dialog.getByText("CPU at once; memory and the rest").waitFor();
  await pictured(page.page, "resize-smaller");
  await dialog.getByRole("button", { name: "Change to Dev" }).click();
  await dialog.getByRole("alert").getByText(message).waitFor();
  await dialog.getByRole("radio", { name: /^Dev/ }).and(page.page.locator(":focus")).waitFor();
  await pictured(page.page, "resize-refused");
  await dialog.getByRole("radio", { name: /^Performance/ }).check();
  assert.equal(await dialog.getByRole("alert").count(), 0, "it is about the other size");
  await page.page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  assert.equal(await page.page.getByText(message).count(), 0, "it was about what stood there");
}

/** What happens to the service while somebody chooses. @param {Dashboard} page @param {(before: Service, change: object, message: string) => Service} happens */
async function meanwhile(page, happens) {
  const dialog = await ask(page, "orders");
  await dialog.getByRole("radio", { name: /^Performance/ }).check();
  let now = happens(orders, { tier: DEV }, "orders is to have the size Dev.");
  await dialog.getByText("Its size was changed to Dev in the meantime.").waitFor();
  await dialog.getByRole("radio", { name: /^Dev.*Its size now/ }).waitFor();
  await accessible(page.page, "a size that changed meanwhile");
  now = happens(now, { state: "STOPPED", viewerActions: ["START", "RESIZE", "DESTROY"] }, "orders is stopped; its data is kept.");
  await dialog.getByText("It is stopped, and has its new size from its next start on.").waitFor();
  await pictured(page.page, "resize-stopped");
  now = happens(now, { state: "DESTROYING", viewerActions: [], operation: { kind: "DESTROY", phase: "REMOVING", progressPercent: null, startedAt: new Date().toISOString() } }, "The removal of orders was requested.");
  await dialog.getByText("It is being destroyed now, and its size can’t be changed.").waitFor();
  assert.equal(await dialog.getByRole("button", { name: "Change to Performance" }).isDisabled(), true);
  await pictured(page.page, "resize-too-late");
  await page.page.keyboard.press("Escape");
  happens(now, { state: "RUNNING", viewerActions, operation: null, tier: STANDARD }, "orders is running and answers its health check.");
}

/** Some of it waits for a restart, and can be taken back until then. @param {Dashboard} page @param {(before: Service, change: object, message: string) => Service} happens @param {any[]} asked @param {(next: (input: any) => object) => void} answers */
async function later(page, happens, asked, answers) {
  let revision = 500;
  answers(({ tier }) => {
    const changed = { ...billing, revision: ++revision, tier: tier === "DEV" ? DEV : STANDARD, restartPending: tier !== "DEV" };
    return { data: { resizeService: { service: changed } } };
  });
  await page.show("billing");
  const toasts = page.page.getByRole("region", { name: "Notifications" });
  const dialog = await ask(page, "billing");
  await dialog.getByRole("radio", { name: /^Standard/ }).check();
  assert.equal(await dialog.getByRole("radio", { name: /^Without a restart/ }).isChecked(), true, "the harmless way comes first");
  await pictured(page.page, "resize-choice");
  await dialog.getByRole("button", { name: "Change to Standard" }).click();
  await dialog.waitFor({ state: "detached" });
  assert.deepEqual(asked.pop(), { id: "svc_4", tier: "STANDARD", apply: "AT_NEXT_RESTART" });
  await page.sees("Some of its new size, Standard, waits for a restart.");
  await toasts.getByText("billing has the rest of the size Standard after its next restart.").waitFor();
  await pictured(page.page, "restart-pending");
  await toasts.getByRole("button", { name: "Back to Dev" }).click();
  await toasts.getByText("billing keeps the size Dev.").waitFor();
  assert.deepEqual(asked.pop(), { id: "svc_4", tier: "DEV", apply: "AT_NEXT_RESTART" });
  await page.page.getByText("waits for a restart").waitFor({ state: "detached" });
  await page.keepsFocus();

  // Once it restarts there is nothing to take back.
  await ask(page, "billing");
  await dialog.getByRole("radio", { name: /^Standard/ }).check();
  await dialog.getByRole("button", { name: "Change to Standard" }).click();
  await toasts.getByRole("button", { name: "Back to Dev" }).waitFor();
  await page.page.keyboard.press("Escape");
  await page.row("billing").getByText("Restart pending").waitFor();
  await pictured(page.page, "list-restart-pending");
  const restart = { kind: "RESTART", phase: "STOPPING", progressPercent: null, startedAt: new Date().toISOString() };
  happens(billing, { revision: 600, tier: STANDARD, restartPending: true, operation: restart }, "billing is being shut down.");
  await toasts.getByRole("button", { name: "Back to Dev" }).waitFor({ state: "detached" });
  happens(billing, { revision: 601, tier: STANDARD }, "billing is running and answers its health check.");
  await page.row("billing").getByText("Restart pending").waitFor({ state: "detached" });

  await page.show("billing");
  await ask(page, "billing");
  await dialog.getByRole("radio", { name: /^Dev/ }).check();
  await dialog.getByRole("radio", { name: /^Now, with a restart/ }).check();
  await dialog.getByRole("button", { name: "Change to Dev" }).click();
  await dialog.waitFor({ state: "detached" });
  assert.deepEqual(asked.pop(), { id: "svc_4", tier: "DEV", apply: "NOW" });
}

/** It goes on, and ends where nobody looks. @param {Dashboard} page @param {(before: Service, change: object, message: string) => Service} happens */
async function unseen(page, happens) {
  const resizing = { kind: "RESIZE", phase: "RESIZING", progressPercent: null, startedAt: new Date().toISOString() };
  await page.page.evaluate(() => (location.hash = "svc_2"));
  await page.page.getByRole("heading", { name: "orders" }).waitFor();
  const now = happens(orders, { operation: resizing }, "orders is given its new size.");
  await page.sees("Changing the size: setting its new limits");
  await picture(page.page, "dashboard-resizing");
  await page.page.setViewportSize({ width: 800, height: 700 });
  await page.page.evaluate(() => (location.hash = "svc_1/history"));
  await page.page.getByRole("heading", { name: "sessions" }).waitFor();
  happens(now, { operation: null, tier: DEV }, "orders is running and answers its health check.");
  await page.page.getByRole("region", { name: "Notifications" }).getByText("orders has the size Dev now.").waitFor();
}

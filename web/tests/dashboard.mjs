// The dashboard as somebody meets it who has never seen it. It wants the server's address in ORIGIN; what its tokens are
// signed with in SECRET; and in PICTURES a directory to leave screenshots in. When it writes RESTART, whoever started it restarts the server and answers with a line.

import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { accessible, browser, origin, pictured, requested, run, within } from "./browser.mjs";
import { Dashboard } from "./page.mjs";
import { ask, tokenFor } from "./platform.mjs";
import { Redis } from "./redis.mjs";

/** How long a page shows credentials, and a bit. */
const IN_SIGHT = 61_000;

const token = tokenFor({});

const input = createInterface({ input: process.stdin });
// Whoever started it has given up.
input.once("close", () => process.exit(1));
const answers = input[Symbol.asyncIterator]();

async function restartServer() {
  console.log("RESTART");
  assert.equal((await within("the server’s restart", answers.next())).value, "RESTARTED");
}

async function walk() {
  const first = await Dashboard.open();
  await first.page.getByLabel("Token").and(first.page.locator(":focus")).waitFor();
  await pictured(first.page, "sign-in");
  await first.signIn("no token");
  await first.sees("This token is not valid");
  await accessible(first.page, "a refused token");
  await first.signIn(` Bearer ${token}\n`);
  await first.sees("No services yet");
  await pictured(first.page, "empty");

  // A mark that a reload would wipe away.
  await first.page.evaluate(() => Object.assign(window, { mark: true }));
  const second = await Dashboard.open(token);
  await provision(first);
  await second.isListed("cache", "Running");
  assert.equal(await first.page.evaluate(() => "mark" in window), true, "nothing was reloaded");

  await showAll(first);
  await agree(first, second);
  await grow(first, second);
  await breaks(first, second);
  await forbidden();
  await trouble();
  await destroy(first, second);
  await secrets(first);
}

/** @param {Dashboard} page */
async function provision(page) {
  await page.button("New service").click();
  const dialog = page.page.getByRole("dialog", { name: "New service" });
  const coming = dialog.getByRole("radio", { name: /Qdrant.*Coming soon/ });
  assert.equal(await coming.isDisabled(), true, "what is coming soon is shown and can't be chosen");
  await dialog.getByRole("radio", { name: /PostgreSQL/ }).and(page.page.locator(":focus")).waitFor();
  await page.page.keyboard.press("ArrowDown");
  assert.equal(await dialog.getByRole("radio", { name: /Redis/ }).isChecked(), true, "the keyboard chooses as well");
  await dialog.getByText("128 MiB memory").waitFor();
  await pictured(page.page, "new-service");
  await dialog.getByLabel("Name").fill("cache");
  await dialog.getByRole("button", { name: "Create Redis" }).click();
  await page.page.getByRole("heading", { name: "cache" }).and(page.page.locator(":focus")).waitFor();
  await page.isListed("cache", "Running");
  await page.says("cache is running and answers its health check.");

  await page.button("New service").click();
  await dialog.getByLabel("Name").fill("cache");
  await dialog.getByRole("button", { name: "Create PostgreSQL" }).click();
  await dialog.getByRole("alert").getByText("already has a service called “cache”").waitFor();
  assert.equal(await dialog.getByLabel("Name").getAttribute("aria-invalid"), "true");
  await accessible(page.page, "a name that is taken");
  await page.page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  await page.button("New service").and(page.page.locator(":focus")).waitFor();
}

/** @param {Dashboard} page */
async function showAll(page) {
  await page.sees("On the project’s network");
  await pictured(page.page, "overview");

  // With the keyboard.
  await page.page.getByRole("tab", { name: "Overview" }).focus();
  await page.page.keyboard.press("ArrowRight");
  await page.button("Reveal").waitFor();
  assert.match(await shownUrl(page), /^redis:\/\/:••••••••@cache-\w+:6379$/, "only the password is masked");
  await page.page.getByRole("tab", { name: "Django" }).click();
  await page.page.getByText("django.core.cache").waitFor();
  await page.page.getByRole("tab", { name: "redis-cli" }).click();
  await pictured(page.page, "credentials-masked");
  await page.page.clock.install();
  await reveal(page);
  await pictured(page.page, "credentials");
  await page.button("Copy REDIS_PASSWORD").click();
  const password = await page.page.evaluate(() => navigator.clipboard.readText());
  assert.match(password, /^[a-z2-7]{40}$/);
  await page.button("Copy as .env").click();
  const environment = await page.page.evaluate(() => navigator.clipboard.readText());
  assert.match(environment, new RegExp(`^REDIS_URL=redis://:${password}@[^\n]+\nREDIS_HOST=`));
  await page.page.getByRole("radio", { name: "Outside" }).check();
  assert.match(await shownUrl(page), new RegExp(`^redis://:${password}@127.0.0.1:\\d+$`));
  await page.button("Copy as .env").click();
  assert.match(await page.page.evaluate(() => navigator.clipboard.readText()), /^REDIS_HOST=127\.0\.0\.1$/m);
  await page.button("Copy the lines for redis-cli").click();
  const line = await page.page.evaluate(() => navigator.clipboard.readText());
  assert.match(line, new RegExp(`^redis-cli -u "redis://:${password}@127.0.0.1:\\d+"$`), "a ready line");
  await page.page.clock.fastForward(IN_SIGHT);
  await page.button("Reveal").waitFor();
  assert.equal(await page.page.getByText(password).count(), 0, "hidden again");
  await reveal(page);
  await page.page.evaluate(() => {
    Object.defineProperty(document, "hidden", { value: true, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
    Object.defineProperty(document, "hidden", { value: false });
  });
  await page.button("Reveal").waitFor();
  assert.equal(await page.page.getByText(password).count(), 0, "hidden with the tab");

  await reveal(page);
  const { services } = await ask('{ services(projectId: "demo") { nodes { id } } }');
  await ask("mutation($id: ID!) { rotateCredentials(input: {id: $id}) { service { id } } }", services.nodes[0]);
  // What is in sight is not what lets anybody in any more, whoever changed it; and not only when its time is over.
  await page.button("Reveal").waitFor({ timeout: 20_000 });
  await page.isHealthy();
  await page.button("Change the password…").click();
  await pictured(page.page, "change-password");
  await page.button("Change the password").click();
  await page.page.getByRole("dialog").waitFor({ state: "detached" });
  await page.keepsFocus();
  await page.isHealthy();
  await reveal(page);
  assert.equal(await page.page.getByText(password).count(), 0, "another password");

  await page.tab("History");
  await page.sees("The credentials of cache were revealed.");
  await page.sees("The password of cache was changed; the old one is no longer accepted.");
  await page.sees("cache was accepted and waits to be provisioned.");
  await pictured(page.page, "history");
  await page.tab("Logs");
  await page.sees("Ready to accept connections");
  await pictured(page.page, "logs");
  await page.tab("Metrics");
  await measured(page);
  await page.tab("Overview");
}

/** @param {Dashboard} page */
async function measured(page) {
  const memory = page.page.getByRole("slider", { name: "Memory over time" });
  await memory.waitFor();
  await page.page.locator("figcaption").filter({ hasText: "Memory" }).getByText("of 128 MiB").waitFor();
  await memory.focus();
  await page.page.keyboard.press("End");
  assert.match((await memory.getAttribute("aria-valuetext")) ?? "", /\d.*: [\d.]+ MiB$/, "a time and its value");
  await page.page.keyboard.press("Escape");
  await pictured(page.page, "metrics");
  for (const range of ["6 h", "24 h"]) {
    await page.page.getByRole("radio", { name: range }).check();
    // A longer step may not be over yet.
    await memory.or(page.page.getByText("Nothing was measured in this time")).waitFor();
  }
  await page.page.getByRole("radio", { name: "1 h" }).check();
  await page.button("Show as table").click();
  await page.page.getByRole("region", { name: "Measurements" }).getByRole("cell", { name: /MiB/ }).first().waitFor();
  await accessible(page.page, "measurements as a table");
}

/** The address as it is shown. @param {Dashboard} page */
async function shownUrl(page) {
  await page.page.locator(".credentials .url").getByText("redis://").waitFor();
  return (await page.page.locator(".credentials .url code").textContent())?.replace("hidden", "") ?? "";
}

/** @param {Dashboard} page */
async function reveal(page) {
  await page.button("Reveal").click();
  await page.page.getByText("Hidden again in").waitFor();
  await page.button("Hide").and(page.page.locator(":focus")).waitFor();
}

/** @param {Dashboard} first @param {Dashboard} second */
async function agree(first, second) {
  await second.act("cache", "Stop");
  await Promise.all([first.isListed("cache", "Stopped"), second.isListed("cache", "Stopped")]);
  await first.button("Start").click();
  await Promise.all([first.isListed("cache", "Running"), second.isListed("cache", "Running")]);
  await first.tab("Logs");
  await first.sees("Ready to accept connections");
  // Waited for before it comes, since it is soon over.
  await Promise.all([
    second.row("cache").getByText(/^Restarting/).waitFor(),
    first.sees("scheduling shutdown"),
    second.act("cache", "Restart"),
  ]);
  await first.tab("Overview");
  await second.isHealthy();
}

/** It gets more memory while it runs, and says so wherever it is looked at. @param {Dashboard} first @param {Dashboard} second */
async function grow(first, second) {
  const client = await Redis.open("cache");
  assert.match(await client.says("INFO memory"), /^maxmemory:83886080\r$/m, "80 of 128 MiB");
  await first.button("Change size…").click();
  const dialog = first.page.getByRole("dialog", { name: "Change the size of cache" });
  await dialog.getByRole("radio", { name: /^Standard.*256 MiB memory/ }).check();
  await dialog.getByText("nobody loses a connection").waitFor();
  await pictured(first.page, "change-size");
  await dialog.getByRole("button", { name: "Change to Standard" }).click();
  await dialog.waitFor({ state: "detached" });
  await first.says("cache has the size Standard now.");
  await second.isHealthy();
  await first.sees("256 MiB memory, 1 CPU");
  // What is measured says what its container may take.
  await first.page.getByRole("meter", { name: "Memory" }).and(first.page.locator("[aria-valuetext$='of 256 MiB']")).waitFor();
  await first.sees("cache is given its new size.");
  // On the connection that was open all the time.
  assert.match(await client.says("INFO memory"), /^maxmemory:167772160\r$/m, "160 of 256 MiB");
  client.end();
}

/** What happens while nothing can be heard is shown as soon as it can. @param {Dashboard} first @param {Dashboard} second */
async function breaks(first, second) {
  await Promise.all([first, second].map((page) => page.sees("Live")));
  const operations = first.operations.length;
  await restartServer();
  await Promise.all([first, second].map((page) => page.sees("Live")));
  await second.act("cache", "Stop");
  await Promise.all([first.isListed("cache", "Stopped"), second.isListed("cache", "Stopped")]);
  await second.keepsFocus();

  await browser.setOffline(true);
  await first.sees("Reconnecting");
  await second.act("cache", "Start");
  const unreached = second.row("cache").getByText("The server can’t be reached.");
  await unreached.waitFor();
  await pictured(first.page, "reconnecting");
  const { services } = await ask(`{ services(projectId: "demo") { nodes { id } } }`);
  await ask(`mutation ($id: ID!) { startService(input: { id: $id }) { service { id } } }`, services.nodes[0]);
  await ask(`mutation { provisionService(input: { projectId: "demo", kind: REDIS, name: "meanwhile" }) { service { id } } }`);
  // All of it is over before the pages can hear again: nothing that comes later tells.
  const settled = `{ services(projectId: "demo", filter: { states: [RUNNING] }) { totalCount } }`;
  const settle = async () => {
    while ((await ask(settled)).services.totalCount < 2) await new Promise((again) => setTimeout(again, 100));
  };
  await within("both services to run", settle());
  await browser.setOffline(false);
  await Promise.all([first, second].map((page) => page.isListed("cache", "Running")));
  await Promise.all([first, second].map((page) => page.isListed("meanwhile", "Running")));
  await unreached.waitFor({ state: "detached" });
  assert.equal(await first.page.evaluate(() => "mark" in window), true, "nothing was reloaded");
  assert.deepEqual(first.operations.slice(operations), [], "nothing was read again");
  resumed(first);
}

/** A page watches by one subscription, and after a break goes on from the last event that it has seen. @param {Dashboard} page */
function resumed(page) {
  let cursor = null;
  let subscribed = 0;
  for (const { sent, message } of page.frames) {
    if (message.type === "next") cursor = message.payload.data.serviceEvents?.cursor ?? cursor;
    if (!sent || message.type !== "subscribe" || !message.payload.query.includes("serviceEvents(")) continue;
    if (subscribed++ > 0) assert.equal(message.payload.variables.after, cursor, "it goes on where it was");
  }
  assert.ok(subscribed >= 3, `after each break it subscribes again: ${subscribed}`);
}

/** Who may only look. */
async function forbidden() {
  const page = await Dashboard.open(tokenFor({ permissions: [] }));
  await page.isListed("cache", "Running");
  await page.show("cache");
  const buttons = await page.page.getByRole("button").evaluateAll((all) => all.map((one) => one.ariaLabel ?? one.textContent));
  assert.deepEqual(
    buttons.filter((name) => !/^(Copy |Back to|Close|Keyboard)/.test(name ?? "")),
    [],
    "no button that would be refused",
  );
  await page.tab("Connect");
  await page.sees("To see the password you need the permission");
  await pictured(page.page, "credentials-forbidden");
  await page.tab("Logs");
  await page.sees("You can’t read this log");
  await pictured(page.page, "logs-forbidden");
  await page.tab("History");
  await page.sees("cache was accepted");
  assert.equal(await page.page.getByText("refused").count(), 0, "nothing was asked for that would be refused");
  await page.page.close();
}

/** What goes wrong, and what is said about it. */
async function trouble() {
  const elsewhere = await Dashboard.open(token, "/?project=other");
  await elsewhere.sees("You can’t see this project");
  await pictured(elsewhere.page, "not-yours");
  await elsewhere.button("Choose another project").click();
  await elsewhere.isListed("cache", "Running");
  await elsewhere.page.close();

  const page = await Dashboard.open();
  await page.page.route("**/graphql", (route) => route.abort());
  await page.signIn(token);
  await page.sees("The server can’t be reached.");
  await pictured(page.page, "unreachable");
  await page.page.unroute("**/graphql");
  let go = () => {};
  const gone = new Promise((resolve) => (go = () => resolve(null)));
  await page.page.route("**/graphql", async (route) => {
    await gone;
    await route.continue();
  });
  await page.button("Try again").click();
  await page.page.locator(".skeleton").first().waitFor();
  await pictured(page.page, "loading");
  go();
  await page.isListed("cache", "Running");
  await page.page.unroute("**/graphql");
  await lost(page);
  await page.page.goto(`${origin}/?project=demo#svc_00000000000000000000000000000000`);
  await page.page.reload();
  await page.signIn(token);
  await page.sees("There is no such service");
  await pictured(page.page, "no-such-service");
  await page.page.close();
}

/** Requests or their answers are lost, and somebody goes on elsewhere. @param {Dashboard} page */
async function lost(page) {
  await page.show("cache");
  await page.page.route("**/graphql", (route) => route.abort());
  await page.button("Restart…").click();
  await page.confirm("Restart");
  await page.page.getByRole("alert").getByText("The server can’t be reached").waitFor();
  await page.page.unroute("**/graphql");
  await page.show("meanwhile");
  assert.equal(await page.page.getByRole("alert").getByText("can’t be reached").count(), 0, "what befell one service is not told of another");
  await page.button("Destroy…").click();
  await page.page.getByRole("dialog", { name: "Destroy meanwhile?" }).waitFor();
  await page.page.goBack();
  await page.page.getByRole("heading", { name: "cache" }).waitFor();
  assert.equal(await page.page.getByRole("dialog").count(), 0, "a dialog is about one service");

  // The request arrives and its answer does not. What is asked for then is something else.
  await page.button("New service").click();
  const dialog = page.page.getByRole("dialog", { name: "New service" });
  await dialog.getByRole("radio", { name: /Redis/ }).check();
  await dialog.getByLabel("Name").fill("lost");
  await page.page.route("**/graphql", async (route) => {
    await route.fetch();
    await route.abort();
  });
  await dialog.getByRole("button", { name: "Create Redis" }).click();
  await dialog.getByText("can’t be reached").waitFor();
  // The new service has the page ask for something else meanwhile.
  await page.page.unrouteAll({ behavior: "wait" });
  await page.isListed("lost", "Running");
  await dialog.getByLabel("Name").fill("found");
  await dialog.getByRole("button", { name: "Create Redis" }).click();
  await page.isListed("found", "Running");
}

/** @param {Dashboard} first @param {Dashboard} second */
async function destroy(first, second) {
  await first.button("Destroy…").click();
  await first.page.getByLabel(/^Type/).and(first.page.locator(":focus")).waitFor();
  const sure = first.button("Destroy for good");
  assert.equal(await sure.isDisabled(), true, "destroying asks for the name");
  await first.page.getByLabel(/^Type/).fill("cach");
  assert.equal(await sure.isDisabled(), true, "all of the name");
  await first.page.getByLabel(/^Type/).fill("cache");
  await pictured(first.page, "destroy");
  await sure.click();
  await Promise.all([first, second].map((page) => page.row("cache").waitFor({ state: "detached" })));
  await first.tab("History");
  await first.sees("cache is destroyed");
  await pictured(first.page, "destroyed");
}

/** @param {Dashboard} page */
async function secrets(page) {
  const kept = JSON.stringify(await within("what is stored", browser.storageState({ indexedDB: true })));
  assert.ok(!kept.includes(token), "the token is not stored");
  assert.ok(requested.some((address) => address.startsWith("ws:")), "sockets are among the addresses");
  assert.ok(!requested.some((address) => address.includes(token)), "the token is in no address");
  assert.ok(!page.page.url().includes(token));
}

await run(walk);

// The dashboard as somebody meets it who has never seen it. It wants the server's address in ORIGIN; tokens for the project
// demo in TOKEN, and in VIEWER one that may only look; in PLATFORM an allowed origin on this machine to serve a page from
// that embeds it; and in PICTURES a directory to leave screenshots in. When it writes RESTART, whoever started it restarts
// the server and answers with a line.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { accessible, browser, faults, origin, picture, requested, run } from "./browser.mjs";

const { TOKEN: token = "", VIEWER: viewer = "", PLATFORM: platform = "" } = process.env;

/** How long a page shows credentials, and a bit. */
const IN_SIGHT = 61_000;

/** The dashboard in a browser's tab of its own. */
class Dashboard {
  /** @param {string} [token] */
  static async open(token, project = "demo") {
    const page = await browser.newPage();
    page.on("websocket", (socket) => requested.push(socket.url()));
    await page.goto(`${origin}/?project=${project}`);
    const dashboard = new Dashboard(page);
    if (token) await dashboard.signIn(token);
    return dashboard;
  }

  /** @param {import("playwright-core").Page} page */
  constructor(page) {
    this.page = page;
    this.frame = page.mainFrame();
  }

  /** @param {string} token */
  async signIn(token) {
    await this.page.getByLabel("Token").fill(token);
    await this.button("Show the services").click();
  }

  /** @param {string | RegExp} name */
  button(name) {
    return this.frame.getByRole("button", { name, exact: true });
  }

  /** @param {string} name */
  row(name) {
    return this.frame.locator(`[data-service="${name}"]`);
  }

  /** @param {string} text */
  async sees(text) {
    await this.frame.getByText(text).first().waitFor();
  }

  /** @param {string} name @param {string} state */
  async isListed(name, state) {
    await this.row(name).getByText(state, { exact: true }).waitFor();
  }

  /** @param {string} name */
  async tab(name) {
    await this.frame.getByRole("tab", { name }).click();
  }

  /** @param {string} name */
  async show(name) {
    await this.row(name).getByRole("link", { name }).click();
    await this.frame.getByRole("heading", { name }).waitFor();
  }
}

/** Sends a document to the API, apart from any page. @param {string} query @param {object} variables */
async function ask(query, variables = {}) {
  const response = await fetch(`${origin}/graphql`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
    body: JSON.stringify({ query, variables }),
  });
  const answer = /** @type {any} */ (await response.json());
  assert.equal(answer.errors, undefined);
  return answer.data;
}

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function restartServer() {
  console.log("RESTART");
  assert.equal((await answers.next()).value, "RESTARTED");
}

async function walk() {
  const first = await Dashboard.open();
  await first.page.getByLabel("Token").waitFor();
  await picture(first.page, "sign-in");
  await first.signIn("no token");
  await first.sees("This token is not valid");
  await accessible(first.page, "a refused token");
  await first.signIn(` Bearer ${token}\n`);
  await first.sees("No services yet");
  await picture(first.page, "empty");

  // A mark that a reload would wipe away.
  await first.page.evaluate(() => Object.assign(window, { mark: true }));
  const second = await Dashboard.open(token);
  await provision(first);
  await second.isListed("cache", "Running");
  assert.equal(await first.page.evaluate(() => "mark" in window), true, "nothing was reloaded");

  await showAll(first);
  await agree(first, second);
  await breaks(first, second);
  await forbidden();
  await embedding();
  await trouble();
  await destroy(first, second);
  await secrets(first);
}

/** @param {Dashboard} page */
async function provision(page) {
  await page.button("New service").click();
  const dialog = page.page.getByRole("dialog", { name: "New service" });
  const coming = dialog.getByRole("radio", { name: /MySQL.*Coming soon/ });
  assert.equal(await coming.isDisabled(), true, "what is coming soon is shown and can't be chosen");
  await dialog.getByRole("radio", { name: /Redis/ }).check();
  await dialog.getByText("128 MiB memory").waitFor();
  await picture(page.page, "new-service");
  await dialog.getByLabel("Name").fill("cache");
  await dialog.getByRole("button", { name: "Create Redis" }).click();
  await page.page.getByRole("heading", { name: "cache" }).waitFor();
  await page.isListed("cache", "Running");

  await page.button("New service").click();
  await dialog.getByLabel("Name").fill("cache");
  await dialog.getByRole("button", { name: "Create PostgreSQL" }).click();
  await dialog.getByText("CONFLICT").waitFor();
  await accessible(page.page, "a name that is taken");
  await page.page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
}

/** @param {Dashboard} page */
async function showAll(page) {
  await page.sees("For containers of the project");
  await picture(page.page, "overview");

  // With the keyboard.
  await page.page.getByRole("tab", { name: "Overview" }).focus();
  await page.page.keyboard.press("ArrowRight");
  await page.button("Reveal").waitFor();
  assert.equal(await page.page.getByText('"redis://:••••••••@').count(), 2, "lines to connect with, masked");
  await picture(page.page, "credentials-masked");
  await page.page.clock.install();
  await reveal(page);
  await picture(page.page, "credentials");
  await page.button("Copy REDIS_PASSWORD").click();
  const password = await page.page.evaluate(() => navigator.clipboard.readText());
  assert.match(password, /^[a-z2-7]{40}$/);
  await page.button("Copy as .env").click();
  const environment = await page.page.evaluate(() => navigator.clipboard.readText());
  assert.match(environment, new RegExp(`^REDIS_URL=redis://:${password}@[^\n]+\nREDIS_HOST=`));
  assert.equal(await page.page.getByText(`redis-cli -u "redis://:${password}@127.0.0.1`).count(), 1, "a ready line");
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

  await page.tab("History");
  await page.sees("The credentials of cache were revealed.");
  await page.sees("cache was accepted and waits to be provisioned.");
  await picture(page.page, "history");
  await page.tab("Logs");
  await page.sees("Ready to accept connections");
  await picture(page.page, "logs");
  await page.tab("Metrics");
  await page.page.getByRole("img", { name: /^Memory: .* of 128 MiB/ }).waitFor();
  await page.page.getByRole("img", { name: /^Storage: .* MiB/ }).waitFor();
  await picture(page.page, "metrics");
  await page.tab("Overview");
}

/** @param {Dashboard} page */
async function reveal(page) {
  await page.button("Reveal").click();
  await page.page.getByText("Hidden again in").waitFor();
}

/** @param {Dashboard} first @param {Dashboard} second */
async function agree(first, second) {
  await second.button("Stop cache").click();
  await Promise.all([first.isListed("cache", "Stopped"), second.isListed("cache", "Stopped")]);
  await first.button("Start").click();
  await Promise.all([first.isListed("cache", "Running"), second.isListed("cache", "Running")]);
  await second.button("Restart cache").click();
  await second.row("cache").getByText(/^Restarting/).waitFor();
  await second.row("cache").getByText("Healthy").waitFor();
}

/** What happens while nothing can be heard is shown as soon as it can. @param {Dashboard} first @param {Dashboard} second */
async function breaks(first, second) {
  await Promise.all([first, second].map((page) => page.sees("Live")));
  await restartServer();
  await Promise.all([first, second].map((page) => page.sees("Live")));
  await second.button("Stop cache").click();
  await Promise.all([first.isListed("cache", "Stopped"), second.isListed("cache", "Stopped")]);

  await browser.setOffline(true);
  await first.sees("Reconnecting");
  await picture(first.page, "reconnecting");
  const { services } = await ask(`{ services(projectId: "demo") { nodes { id } } }`);
  await ask(`mutation ($id: ID!) { startService(input: { id: $id }) { service { id } } }`, services.nodes[0]);
  await ask(`mutation { provisionService(input: { projectId: "demo", kind: REDIS, name: "meanwhile" }) { service { id } } }`);
  // All of it is over before the pages can hear again: nothing that comes later tells.
  const settled = `{ services(projectId: "demo", filter: { states: [RUNNING] }) { totalCount } }`;
  while ((await ask(settled)).services.totalCount < 2) await new Promise((again) => setTimeout(again, 100));
  await browser.setOffline(false);
  await Promise.all([first, second].map((page) => page.isListed("cache", "Running")));
  await Promise.all([first, second].map((page) => page.isListed("meanwhile", "Running")));
  assert.equal(await first.page.evaluate(() => "mark" in window), true, "nothing was reloaded");
}

/** Who may only look. */
async function forbidden() {
  const page = await Dashboard.open(viewer);
  await page.isListed("cache", "Running");
  await page.show("cache");
  const buttons = await page.page.getByRole("button").evaluateAll((all) => all.map((one) => one.ariaLabel ?? one.textContent));
  assert.deepEqual(
    buttons.filter((name) => !/^(Copy |Back to|Close)/.test(name ?? "")),
    [],
    "no button that would be refused",
  );
  await page.tab("Credentials");
  await page.sees("Your permissions do not include revealing these.");
  await picture(page.page, "credentials-forbidden");
  await page.tab("Logs");
  await page.sees("The log is not yours to read");
  await picture(page.page, "logs-forbidden");
  await page.page.close();
}

/** Within the platform's page, which alone can give it tokens. */
async function embedding() {
  const server = createServer((_, response) => {
    response.setHeader("Content-Type", "text/html");
    response.end(`<!doctype html><html lang="en"><title>Platform</title>
      <meta name="viewport" content="width=device-width">
      <main><h1>Project settings</h1>
      <iframe title="Services" src="${origin}/" style="width: 100%; height: 640px; border: 0"></iframe></main>
      <script>
        const told = [];
        addEventListener("message", ({ data, origin }) => told.push([origin, data.type]));
      </script></html>`);
  });
  await new Promise((done) => server.listen(Number(new URL(platform).port), "127.0.0.1", () => done(null)));
  const page = await browser.newPage();
  await page.goto(platform);
  const told = (/** @type {string} */ type) =>
    // @ts-expect-error: told is the page's.
    page.waitForFunction(([origin, type]) => told.some(([from, what]) => from === origin && what === type), [origin, type]);
  const give = (/** @type {object} */ message) =>
    page.evaluate(([origin, message]) => frames[0]?.postMessage(message, String(origin)), [origin, message]);
  await told("project-services:ready");
  const frame = page.frames()[1];
  assert.ok(frame);
  await frame.getByText("Signing you in").waitFor();
  // Anybody in the frame itself may post as well, and is not heard.
  await frame.evaluate((token) => window.postMessage({ type: "project-services:token", token, project: "demo" }), token);
  await give({ type: "project-services:token", token: "an old one", project: "demo" });
  await told("project-services:token-expired");
  await give({ type: "project-services:token", token, project: "demo" });
  await frame.locator('[data-service="cache"]').getByText("Running", { exact: true }).waitFor();
  await picture(page, "embedded");

  // From an origin that is not allowed, the same page is no page.
  const other = await browser.newPage();
  await other.goto(platform.replace("localhost", "127.0.0.1"));
  const refused = other.frames()[1];
  assert.ok(refused);
  await refused.waitForLoadState();
  assert.equal(await refused.getByText("Signing you in").count(), 0, "only allowed pages may embed it");
  assert.match(faults.pop() ?? "", /^Framing .* violates .* "frame-ancestors/);
  await Promise.all([page.close(), other.close()]);
  server.close();
  server.closeAllConnections();
}

/** What goes wrong, and what is said about it. */
async function trouble() {
  const elsewhere = await Dashboard.open(token, "other");
  await elsewhere.sees("This project is not yours to see");
  await picture(elsewhere.page, "not-yours");
  await elsewhere.page.close();

  const page = await Dashboard.open();
  await page.page.route("**/graphql", (route) => route.abort());
  await page.signIn(token);
  await page.sees("The server can’t be reached.");
  await picture(page.page, "unreachable");
  await page.page.unroute("**/graphql");
  let go = () => {};
  const gone = new Promise((resolve) => (go = () => resolve(null)));
  await page.page.route("**/graphql", async (route) => {
    await gone;
    await route.continue();
  });
  await page.button("Try again").click();
  await page.page.locator(".skeleton").first().waitFor();
  await picture(page.page, "loading");
  go();
  await page.isListed("cache", "Running");
  await page.page.goto(`${origin}/?project=demo#svc_00000000000000000000000000000000`);
  await page.page.reload();
  await page.signIn(token);
  await page.sees("There is no such service");
  await picture(page.page, "no-such-service");
  await page.page.close();
}

/** @param {Dashboard} first @param {Dashboard} second */
async function destroy(first, second) {
  await first.button("Destroy…").click();
  const sure = first.button("Destroy for good");
  assert.equal(await sure.isDisabled(), true, "destroying asks for the name");
  await first.page.getByLabel(/^Type/).fill("cach");
  assert.equal(await sure.isDisabled(), true, "all of the name");
  await first.page.getByLabel(/^Type/).fill("cache");
  await picture(first.page, "destroy");
  await sure.click();
  await Promise.all([first, second].map((page) => page.row("cache").waitFor({ state: "detached" })));
  await first.tab("History");
  await first.sees("cache is destroyed");
  await picture(first.page, "destroyed");
}

/** @param {Dashboard} page */
async function secrets(page) {
  const kept = JSON.stringify(await browser.storageState({ indexedDB: true }));
  assert.ok(!kept.includes(token), "the token is not stored");
  assert.ok(!requested.some((address) => address.includes(token)), "the token is in no address");
  assert.ok(!page.page.url().includes(token));
}

await run(walk, [origin, platform, platform.replace("localhost", "127.0.0.1")]);
// Otherwise it is waited for.
process.stdin.destroy();

// The dashboard within the platform's page, and what stands there without a token or a project. It wants the server's address in
// ORIGIN; what its tokens are signed with in SECRET; in PLATFORM an allowed origin on this machine to serve a page from that
// embeds it; and in PICTURES a directory to leave screenshots in.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { accessible, browser, faults, origin, pictured, run } from "./browser.mjs";
import { Dashboard } from "./page.mjs";
import { ask, LEEWAY, tokenFor } from "./platform.mjs";

const { PLATFORM: platform = "" } = process.env;

const token = tokenFor({});

async function walk() {
  await ask(`mutation { provisionService(input: { projectId: "demo", kind: REDIS, name: "cache" }) { service { id } } }`);
  await example();
  await tokens();
  await gates();
  const { services } = await ask(`{ services(projectId: "demo") { nodes { id } } }`);
  for (const { id } of services.nodes) await ask(`mutation ($id: ID!) { destroyService(input: { id: $id }) { service { id } } }`, { id });
}

/** Serves a page as the platform does. @param {string} html */
async function serve(html) {
  const server = createServer((_, response) => response.setHeader("Content-Type", "text/html").end(html));
  await new Promise((done) => server.listen(Number(new URL(platform).port), "127.0.0.1", () => done(null)));
  return server;
}

/** The example of the README, as whoever pastes it meets it. */
async function example() {
  const readme = await readFile(new URL("../../README.md", import.meta.url), "utf8");
  const [, html = ""] = /```html\n(.*?)```/s.exec(readme) ?? [];
  const server = await serve(html.replace("http://127.0.0.1:8080", origin));
  const page = await browser.newPage();
  page.on("dialog", (dialog) => dialog.accept(token));
  await page.goto(`${platform}/`);
  const list = page.frameLocator("iframe");
  await list.locator('[data-service="cache"]').getByText("Running", { exact: true }).waitFor();

  // The frame is as high as what is in it, and goes along with it.
  const fits = () =>
    page.waitForFunction(async () => {
      const frame = document.querySelector("iframe");
      await new Promise(requestAnimationFrame);
      return frame && frame.clientHeight > 150 && frame.clientHeight < 2000;
    });
  await fits();
  const frame = page.frames()[1];
  assert.ok(frame);
  const scrolls = () => frame.evaluate(() => document.documentElement.scrollHeight - innerHeight);
  await settled(scrolls, 0);
  await list.getByRole("button", { name: "New service" }).click();
  await list.getByRole("dialog", { name: "New service" }).waitFor();
  await settled(() => list.locator("dialog .body").evaluate((body) => body.scrollHeight - body.clientHeight), 0);
  await accessible(page, "a dialog in a frame");
  await page.keyboard.press("Escape");

  // The accent is the platform's, and can be read in either theme.
  for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
    await page.emulateMedia({ colorScheme });
    await accessible(page, `the platform’s accent, ${colorScheme}`);
  }
  const colours = () => frame.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await colours();
  const wear = (/** @type {object} */ look) => page.evaluate(([origin, look]) => frames[0]?.postMessage({ type: "project-services:theme", .../** @type {object} */ (look) }, String(origin)), [origin, look]);
  await wear({ theme: "light", variables: { accent: "#ffd60a", radius: "2px", "position": "fixed", "--quiet": "url(x)" } });
  await settled(async () => Number((await colours()) === dark), 0);
  await accessible(page, "an accent that is hard to read");
  await wear({ theme: "auto" });
  await settled(async () => Number((await colours()) === dark), 1);

  // Addresses go both ways.
  await list.getByRole("link", { name: "cache" }).click();
  await list.getByRole("tab", { name: "Logs" }).click();
  await page.waitForFunction(() => /^#svc_\w+\/logs$/.test(location.hash));
  await list.getByText("Ready to accept connections").waitFor();
  await pictured(page, "embedded-logs");
  await page.reload();
  await list.getByRole("tab", { name: "Logs", selected: true }).waitFor();
  await page.close();
  server.close();
  server.closeAllConnections();
}

/** Waits until a figure is what it should be. @param {() => Promise<number>} figure @param {number} wanted */
async function settled(figure, wanted) {
  for (let tries = 0; tries < 100; tries++) {
    if ((await figure()) === wanted) return;
    await new Promise((again) => setTimeout(again, 50));
  }
  assert.equal(await figure(), wanted);
}

/** Within the platform's page, which alone can give it tokens. */
async function tokens() {
  const server = await serve(`<!doctype html><html lang="en"><title>Platform</title>
      <meta name="viewport" content="width=device-width">
      <main><h1>Project settings</h1>
      <iframe title="Services" src="${origin}/" style="width: 100%; height: 640px; border: 0"></iframe></main>
      <script>
        const told = [];
        addEventListener("message", ({ data, origin }) => told.push([origin, data.type]));
      </script></html>`);
  const page = await browser.newPage();
  await page.goto(platform);
  const told = (/** @type {string} */ type, times = 1) =>
    page.waitForFunction(
      // @ts-expect-error: told is the page's.
      ([origin, type, times]) => told.filter(([from, what]) => from === origin && what === type).length === times,
      [origin, type, times],
    );
  const give = (/** @type {object} */ message) =>
    page.evaluate(([origin, message]) => frames[0]?.postMessage(message, String(origin)), [origin, message]);
  await told("project-services:ready");
  const frame = page.frames()[1];
  assert.ok(frame);
  await frame.getByText("Signing you in").waitFor();
  await frame.getByText("has not sent a token yet").waitFor();
  await pictured(page, "embedded-late");
  // Anybody in the frame itself may post as well, and is not heard.
  await frame.evaluate((token) => window.postMessage({ type: "project-services:token", token, project: "demo" }), token);
  await give({ type: "project-services:token", token: "an old one", project: "demo" });
  await told("project-services:token-expired");
  await give({ type: "project-services:token", token, project: "demo" });
  await frame.locator('[data-service="cache"]').getByText("Running", { exact: true }).waitFor();
  await pictured(page, "embedded");

  // A token that expires under an open page: the platform is asked for another, and what is shown stays.
  await give({ type: "project-services:token", token: tokenFor({ lasts: 3 - LEEWAY }), project: "demo" });
  await told("project-services:token-expired", 2);
  await frame.getByText("Signing you in again").waitFor();
  await pictured(page, "embedded-expired");
  const { services } = await ask(`{ services(projectId: "demo") { nodes { id name } } }`);
  const { id } = services.nodes.find((/** @type {any} */ { name }) => name === "cache");
  await ask(`mutation ($id: ID!) { stopService(input: { id: $id }) { service { id } } }`, { id });
  await give({ type: "project-services:token", token, project: "demo" });
  await frame.locator('[data-service="cache"]').getByText("Stopped", { exact: true }).waitFor();
  await frame.getByText("Live").waitFor();

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

/** What stands there without a token, or without a project. */
async function gates() {
  const alone = await browser.newPage();
  await alone.route(`${origin}/`, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: (await response.text()).replace('name="token-field" content="shown"', 'name="token-field" content=""') });
  });
  await alone.goto(`${origin}/`);
  await alone.getByText("Open this page from your platform").waitFor();
  await pictured(alone, "open-elsewhere");
  await alone.close();

  const choosing = await Dashboard.open(tokenFor({ projects: ["demo", "shop", "blog"] }), "/");
  await choosing.sees("Which project?");
  await pictured(choosing.page, "choose-project");
  await choosing.button("demo").click();
  await choosing.isListed("cache", "Stopped");
  // And switches from where it is.
  await choosing.page.getByLabel("Project").selectOption("shop");
  await choosing.sees("No services yet");
  assert.match(choosing.page.url(), /project=shop/);
  await pictured(choosing.page, "switch-project");
  await choosing.page.goBack();
  await choosing.isListed("cache", "Stopped");
  await choosing.page.close();

  const nobody = await Dashboard.open(tokenFor({ projects: [] }), "/");
  await nobody.sees("No project to show");
  await pictured(nobody.page, "no-project");
  await nobody.page.close();
}

await run(walk, [origin, platform, platform.replace("localhost", "127.0.0.1")]);

// GraphiQL as somebody meets it who follows its tabs. It wants the server's address in ORIGIN, a token for the project demo
// in TOKEN, and in PICTURES a directory to leave screenshots in; it fails with what is not as it should be.

import assert from "node:assert/strict";
import { accessible, browser, faults, origin, picture, run, within } from "./browser.mjs";

const { TOKEN: token = "" } = process.env;

/** The first message of each socket. @type {string[]} */
const greetings = [];

browser.on("requestfailed", (request) => {
  const why = request.failure()?.errorText;
  // The browser gives up what a page that is left still fetches.
  if (why !== "net::ERR_ABORTED") faults.push(`${request.url()}: ${why}`);
});

/** The page, in a browser's tab of its own. */
class GraphiQL {
  static async open() {
    const page = await browser.newPage();
    page.on("websocket", (socket) => socket.once("framesent", ({ payload }) => greetings.push(String(payload))));
    await page.goto(`${origin}/graphiql`);
    const graphiql = new GraphiQL(page);
    await graphiql.text("Operation Editor").filter({ hasText: "service" }).waitFor();
    await graphiql.text("Result Window").waitFor({ state: "attached" });
    return graphiql;
  }

  /** @param {import("playwright-core").Page} page */
  constructor(page) {
    this.page = page;
    this.token = page.getByLabel("Token");
    this.service = page.getByLabel("Service", { exact: true });
  }

  /** @param {string} name */
  async tab(name) {
    await this.page.getByRole("tab", { name }).click();
    // GraphiQL takes a moment to see which operation it would execute; then it keeps this.
    await this.page.waitForFunction((name) => localStorage.getItem("graphiql:query")?.includes(` ${name}`), name);
  }

  async execute() {
    await this.page.getByRole("button", { name: /^Execute query/ }).click();
  }

  /** Pastes JSON over what an editor holds. @param {string} editor @param {object} value */
  async write(editor, value) {
    await this.page.getByRole("region", { name: editor }).locator(".monaco-editor:visible").first().click();
    await this.page.keyboard.press("ControlOrMeta+A");
    await this.page.evaluate((text) => navigator.clipboard.writeText(text), JSON.stringify(value));
    await this.page.keyboard.press("ControlOrMeta+V");
  }

  /** Waits for a text in the answer, and gives back all that is shown of it without the lines' breaks. @param {string} text */
  async result(text) {
    const shown = this.text("Result Window");
    await shown.filter({ hasText: text }).waitFor().catch(async () => assert.fail(`${text} is not in ${await shown.innerText()}`));
    return (await shown.innerText()).replaceAll(/\s/g, "");
  }

  /** What an editor shows. @param {string} editor */
  text(editor) {
    return this.page.getByRole("region", { name: editor }).locator(".view-lines");
  }

  /** @param {string} name */
  async picture(name) {
    await picture(this.page, `graphiql-${name}`);
  }
}

async function walk() {
  const watching = await GraphiQL.open();
  const acting = await GraphiQL.open();
  await acting.execute();
  await acting.result("UNAUTHENTICATED");
  await acting.token.fill(token);
  await acting.execute();
  await acting.result("POSTGRESQL");
  await acting.page.getByRole("button", { name: "Show Documentation Explorer" }).click();
  await acting.page.getByRole("link", { name: "Mutation", exact: true }).click();
  await acting.page.getByText("Removes a service and its data for good.").waitFor();
  await acting.picture("light");
  await readable(acting.page, "GraphiQL");
  await acting.page.getByRole("button", { name: "Hide Documentation Explorer" }).click();

  await watching.tab("Watch");
  await watching.token.fill("no token");
  await watching.execute();
  await watching.result("Socket closed with event 4403");
  // As it is often copied.
  await watching.token.fill(` Bearer ${token}\n`);
  await watching.execute();
  await acting.tab("Provision");
  await acting.execute();
  const [id = ""] = (await acting.result("PENDING")).match(/svc_\w+/) ?? [];
  await watching.result('"state": "RUNNING"');
  assert.match(await watching.result("latestFirst"), /"events":[2-9]/, "all events are there, and not the latest alone");

  // The headers editor serves as well as the field, also for subscriptions.
  const heading = await GraphiQL.open();
  await heading.tab("Watch");
  await heading.page.getByRole("button", { name: "Headers" }).click();
  await heading.write("Headers", { authorization: `Bearer ${token}` });
  await heading.execute();

  // What was made is what the variables are about.
  await acting.page.waitForFunction((id) => [...document.querySelectorAll("select")].some(({ value }) => value === id), id);
  await acting.tab("Logs");
  await acting.execute();
  await acting.result("Ready to accept connections");
  await acting.tab("Reveal");
  await acting.execute();
  const [secret = ""] = (await acting.result("REDIS_PASSWORD")).match(/(?<=redis:\/\/:)[^@]+/) ?? [];
  assert.ok(secret.length >= 32);
  await heading.result("revealed");
  await acting.tab("Destroy");
  await acting.execute();
  await acting.result("DESTROYING");
  await watching.result('"state": "DESTROYED"');
  await heading.result('"state": "DESTROYED"');

  const init = (/** @type {object} */ payload) => JSON.stringify({ type: "connection_init", payload });
  const [refused, fromField, fromHeaders] = greetings;
  assert.equal(refused, init({ Authorization: "Bearer no token" }));
  assert.equal(fromField, init({ Authorization: `Bearer ${token}` }));
  assert.equal(fromHeaders, init({ authorization: `Bearer ${token}` }));
  assert.equal(greetings.length, 4, "a refused token is not tried again");

  const kept = JSON.stringify(await within("what is stored", browser.storageState({ indexedDB: true })));
  assert.ok(kept.includes("Reveal"), "the tabs are kept");
  assert.ok(!kept.includes(token) && !kept.includes(secret), "neither the token nor what it opens is kept");

  await watching.page.emulateMedia({ colorScheme: "dark" });
  await watching.page.reload();
  await watching.tab("Services");
  await watching.token.fill(token);
  await watching.execute();
  await watching.result("eventCursor");
  await watching.picture("dark");
  await readable(watching.page, "GraphiQL in the dark");
  await watching.page.setViewportSize({ width: 360, height: 740 });
  await watching.execute();
  await watching.result("eventCursor");
  await watching.picture("narrow");
  const width = await watching.page.evaluate(() => document.documentElement.scrollWidth);
  assert.equal(width, 360, "a phone shows all of it");
  await watching.page.getByRole("link", { name: "Dashboard" }).click();
  await watching.page.getByText("Project Services").waitFor();
  // GraphiQL shows a refused token, as it should, and forgets a promise over it.
  faults.splice(0, Infinity, ...faults.filter((fault) => !fault.includes("4403")));
}

/** Has axe look at the colours; the tabs within tabs are GraphiQL's. @param {import("playwright-core").Page} page @param {string} name */
async function readable(page, name) {
  await accessible(page, name, ["nested-interactive"]);
}

await run(walk);

// A look into services that run: how to connect, statements and keys; and one that gets a newer version and goes back. It wants the
// server's address in ORIGIN; what its tokens are signed with in SECRET; and in PICTURES a directory to leave screenshots in.

import assert from "node:assert/strict";
import { accessible, pictured, run } from "./browser.mjs";
import { Dashboard } from "./page.mjs";
import { ask, tokenFor } from "./platform.mjs";
import { Redis } from "./redis.mjs";

async function walk() {
  for (const [kind, name, version] of [["POSTGRESQL", "orders"], ["REDIS", "cache"], ["REDIS", "legacy", "6"]]) {
    await ask(
      `mutation ($name: String!, $version: String) { provisionService(input: { projectId: "demo", kind: ${kind}, name: $name, version: $version }) { service { id } } }`,
      { name, version },
    );
  }
  const page = await Dashboard.open(tokenFor({}));
  await page.isListed("orders", "Running");
  await page.isListed("cache", "Running");
  await page.isListed("legacy", "Running");
  await names(page);
  await statements(page);
  await keys(page);
  await versions(page);
  await page.page.close();
  await mayOnlyLook();
}

/** What is no secret is there without a reveal. @param {Dashboard} page */
async function names(page) {
  await page.show("orders");
  await page.tab("Connect");
  const value = (/** @type {string} */ key) => page.page.locator(".credentials > div").filter({ has: page.page.getByText(key, { exact: true }) }).locator("code");
  await value("DATABASE_URL").getByText("postgresql://").waitFor();
  const user = (await value("PGUSER").textContent()) ?? "";
  assert.match(user, /^\w+$/, "the user’s name");
  const url = (await value("DATABASE_URL").textContent())?.replace("hidden", "") ?? "";
  assert.match(url, new RegExp(`^postgresql://${user}:••••••••@orders-\\w+:5432/\\w+$`), "only the password is masked");
  await page.page.getByRole("tab", { name: "Django" }).click();
  await page.page.locator(".snippets").getByText(`PGUSER=${user}`).waitFor();
  await page.page.getByRole("tab", { name: ".env" }).click();
  await pictured(page.page, "inside-connect");
  await page.tab("History");
  await page.sees("orders was accepted");
  assert.equal(await page.page.getByText("credentials of orders were revealed").count(), 0, "nothing was revealed for it");
}

/** @param {Dashboard} page */
async function statements(page) {
  await page.tab("Console");
  const editor = page.page.getByRole("textbox", { name: "SQL statement" });
  const enter = async (/** @type {string} */ statement) => {
    await editor.click();
    await page.page.keyboard.press("Control+a");
    await page.page.keyboard.type(statement);
    await page.page.keyboard.press("Control+Enter");
  };
  await enter("select 1 as one, null as nothing");
  await page.page.getByRole("columnheader", { name: "nothing" }).waitFor();
  await page.page.getByRole("cell", { name: "1", exact: true }).waitFor();
  await page.page.getByRole("cell", { name: "NULL" }).waitFor();
  await pictured(page.page, "inside-sql");
  await enter("create table written (a int)");
  await page.page.getByRole("alert").getByText("This console only reads.").waitFor();
  await accessible(page.page, "a write that is refused");
  await enter("select * from generate_series(1, 1000)");
  await page.sees("The first 200 rows: there is more.");
  await page.page.getByText("Tables", { exact: true }).click();
  await page.sees("There is none yet.");
}

/** @param {Dashboard} page */
async function keys(page) {
  const redis = await Redis.open("cache");
  for (const command of ["SET greeting hello", "EXPIRE greeting 3000", "HSET user:17 name Ada", "RPUSH jobs first second"]) await redis.says(command);
  redis.end();
  await page.show("cache");
  await page.tab("Console");
  await page.sees("3 keys found, 3 in all.");
  await page.page.getByRole("searchbox").fill("greet");
  await page.page.keyboard.press("Enter");
  await page.sees("1 key found, 3 in all.");
  await page.page.getByRole("option", { name: /greeting/ }).focus();
  await page.page.keyboard.press("Enter");
  await page.page.getByRole("region", { name: "Value" }).getByText("hello").waitFor();
  await page.sees(/Expires in (49|50) min/);
  await pictured(page.page, "inside-keys");
}

/** A newer version keeps the data, and the one before is as it was. @param {Dashboard} page */
async function versions(page) {
  await says(["SET kept before"]);
  await page.show("legacy");
  await page.tab("Overview");
  await page.sees(/It takes no more writes at 100 %/);
  const storage = page.page.getByRole("meter", { name: "Storage" });
  await storage.and(page.page.locator("[aria-valuetext$='MiB of 512 MiB']")).waitFor();

  await page.button("Upgrade…").click();
  const dialog = page.page.getByRole("dialog", { name: "Upgrade legacy" });
  await dialog.getByRole("radio", { name: "Redis 8" }).and(page.page.locator(":focus")).waitFor();
  await dialog.getByRole("radio", { name: "Redis 7" }).check();
  await dialog.getByText("version 6 can be read and takes no writes").waitFor();
  await dialog.getByRole("button", { name: "Upgrade to 7" }).click();
  await dialog.waitFor({ state: "detached" });
  await page.sees(/^Version 6 is kept until/);
  const back = page.page.locator(".failure").getByRole("button", { name: "Go back to version 6…" });
  await back.waitFor();
  await page.isHealthy();
  await pictured(page.page, "inside-upgraded");
  assert.deepEqual(await says(["GET kept", "SET kept after"]), ["$6\r\nbefore\r\n", "+OK\r\n"]);

  await back.click();
  await page.page.getByRole("dialog", { name: "Take legacy back to version 6?" }).getByText("What was written since is lost to it").waitFor();
  await page.confirm("Go back to version 6");
  // What it was until now is kept in turn.
  await page.sees(/^Version 7 is kept until/);
  await page.button("Upgrade…").waitFor();
  await page.isHealthy();
  assert.deepEqual(await says(["GET kept", "SET kept again"]), ["$6\r\nbefore\r\n", "+OK\r\n"]);
  await page.tab("History");
  await page.sees("legacy was accepted");
  await accessible(page.page, "the history of an upgrade");
}

/** What the service that is upgraded answers to a client that has just connected. @param {string[]} commands */
async function says(commands) {
  const redis = await Redis.open("legacy");
  const answers = [];
  for (const command of commands) answers.push(await redis.says(command));
  redis.end();
  return answers;
}

/** Who may only look at the project sees no console. */
async function mayOnlyLook() {
  const page = await Dashboard.open(tokenFor({ permissions: [] }));
  await page.isListed("orders", "Running");
  await page.show("orders");
  await page.page.getByRole("tab", { name: "Metrics" }).waitFor();
  assert.equal(await page.page.getByRole("tab", { name: "Console" }).count(), 0);
  await page.page.close();
}

await run(walk);

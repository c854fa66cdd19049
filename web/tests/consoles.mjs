// A look into what services hold: statements and keys. The API is played.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { accessible, browser, origin, pictured, requested } from "./browser.mjs";
import { Dashboard } from "./page.mjs";
import { listed, play, service } from "./played.mjs";

const LOOKS = ["STOP", "RESTART", "DESTROY", "REVEAL_CREDENTIALS", "ROTATE_CREDENTIALS"];
const SERVICES = [
  service(0, { name: "orders", viewerActions: [...LOOKS, "RUN_SQL"] }),
  service(1, { name: "sessions", viewerActions: [...LOOKS, "BROWSE_KEYS"] }),
  service(2, { name: "archive", state: "STOPPED", viewerActions: ["START", "DESTROY"] }),
];

const LONG = `{"customer": 17, "lines": [${Array.from({ length: 40 }, (_, line) => `{"article": ${line}, "count": 1}`).join(", ")}]}`;
const refused = (/** @type {string} */ message) => ({ errors: [{ message, extensions: { code: "BAD_USER_INPUT", field: "statement" } }] });
const rows = (/** @type {string[]} */ columns, /** @type {(string | null)[][]} */ rows, truncated = false) => ({
  data: { runSql: { result: { columns, rows, truncated, durationMs: 3 } } },
});

/** @param {string} statement */
function database(statement) {
  if (/information_schema\.tables/.test(statement)) return rows(["table_schema", "table_name"], [["public", "orders"], ["audit", "the log"]]);
  if (/information_schema\.columns/.test(statement)) return rows(["column_name", "data_type"], [["id", "bigint"], ["placed_at", "timestamp with time zone"]]);
  if (/^create/i.test(statement)) return refused("Only statements that read can be run: SELECT, TABLE, VALUES, WITH, SHOW and EXPLAIN.");
  if (/^selec /i.test(statement)) return refused('syntax error at or near "selec"\nLINE 1: selec 1\n        ^');
  if (/from "orders"/i.test(statement)) {
    const all = Array.from({ length: 200 }, (_, number) => [String(number), `order ${number}`, number % 3 ? null : "", number % 2 ? "=1+1" : LONG, "2026-01-31 12:00:00+00"]);
    return rows(["id", "name", "note", "content", "placed_at"], all, true);
  }
  return rows(["one", "nothing"], [["1", null]]);
}

/** @param {string} token */
export async function consoles(token) {
  await statements(token);
  await keys(token);
}

/** @param {string} token */
async function statements(token) {
  const page = new Dashboard(await browser.newPage());
  /** @type {string[]} */
  const ran = [];
  const history = () => ({ data: { service: { events: { nodes: [], pageInfo: { hasPreviousPage: false, startCursor: null } } } } });
  await play(page.page, {
    Services: (variables) => listed(SERVICES, variables),
    History: history,
    RunSql: ({ input }) => {
      ran.push(input.statement);
      return database(input.statement);
    },
  });
  const loaded = () => requested.filter((address) => /\/sql-[^/]*\.js$/.test(address)).length;
  await page.page.goto(`${origin}/?project=demo#svc_0`);
  await page.signIn(token);
  await page.page.getByRole("heading", { name: "orders" }).waitFor();
  assert.equal(loaded(), 0, "the editor is not loaded before somebody wants it");
  await page.tab("Console");
  const editor = page.page.getByRole("textbox", { name: "SQL statement" });
  await editor.click();
  assert.equal(loaded(), 1);
  assert.deepEqual(ran, [], "nothing runs by itself");
  await page.page.keyboard.type("select 1 as one, null as nothing");
  await page.page.keyboard.press("Control+Enter");
  await page.page.getByRole("cell", { name: "NULL" }).waitFor();
  await page.sees("1 row.");
  await pictured(page.page, "console-sql");

  // The keyboard leads in and out, and Escape out of the editor before it leaves the service.
  await editor.focus();
  await page.page.keyboard.press("Tab");
  await page.button("Run").and(page.page.locator(":focus")).waitFor();
  await editor.focus();
  await page.page.keyboard.press("Escape");
  assert.match(page.page.url(), /svc_0\/console$/);

  const enter = async (/** @type {string} */ statement) => {
    await editor.click();
    await page.page.keyboard.press("Control+a");
    await page.page.keyboard.type(statement);
    await page.button("Run").click();
  };
  await enter("create table t (a int)");
  await page.page.getByRole("alert").getByText("This console only reads.").waitFor();
  await page.sees("Only statements that read can be run");
  await pictured(page.page, "console-refused");
  await enter("selec 1");
  await page.page.getByRole("alert").getByText("The database does not understand the statement.").waitFor();
  await pictured(page.page, "console-syntax");

  await page.page.setViewportSize({ width: 1280, height: 800 });
  await page.page.getByText("Tables", { exact: true }).click();
  await page.page.getByText("Columns of audit.the log").click();
  await page.sees("timestamp with time zone");
  await page.button("audit.the log").click();
  assert.match((await editor.textContent()) ?? "", /FROM "audit"\."the log"/);
  await page.button("orders").click();
  await editor.and(page.page.locator(":focus")).waitFor();
  await page.page.keyboard.press("Control+Enter");
  await page.sees("The first 200 rows: there is more.");
  await pictured(page.page, "console-rows");
  await page.button("Show all of content in row 1").click();
  await page.page.getByRole("dialog", { name: "content" }).getByText('"article": 39').waitFor();
  await accessible(page.page, "a long value");
  await page.page.keyboard.press("Escape");
  await page.button("Show all of content in row 1").and(page.page.locator(":focus")).waitFor();
  const [saved] = await Promise.all([page.page.waitForEvent("download"), page.button("Download as CSV").click()]);
  assert.match(saved.suggestedFilename(), /^orders-[\dT-]+\.csv$/);
  const text = await readFile(await saved.path(), "utf8");
  assert.match(text, /^id,name,note,content,placed_at\r\n0,order 0,"","\{""customer""/);
  assert.match(text, /\r\n1,order 1,,'=1\+1,/, "NULL is nothing, and no text is a formula");

  await page.tab("Overview");
  await page.tab("Console");
  await page.page.getByText("Earlier statements (4)").click();
  await page.page.getByRole("button", { name: "select 1 as one" }).click();
  assert.match((await editor.textContent()) ?? "", /select 1 as one/i, "what was run before is there again");
  await pictured(page.page, "console-earlier");
  const kept = await page.page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]));
  assert.equal(kept, "[{},{}]", "statements are not stored");

  await page.page.evaluate(() => (location.hash = "svc_2/console"));
  await page.sees("The console can’t be used now");
  await page.sees("The service is stopped");
  await pictured(page.page, "console-stopped");
  await page.page.close();
}

const key = (/** @type {string} */ name, /** @type {string} */ type, more = {}) => ({
  key: name,
  keyBase64: Buffer.from(name).toString("base64"),
  type,
  ttlSeconds: null,
  memoryBytes: 96,
  ...more,
});
const MANY = Array.from({ length: 240 }, (_, number) => key(`session:${number}`, "string", { ttlSeconds: 60 * number + 30 }));
const KINDS = [
  key("greeting", "string"),
  key("user:17", "hash"),
  key("jobs", "list"),
  key("tags", "set"),
  key("scores", "zset"),
  key("events", "stream", { memoryBytes: 5_000_000 }),
  key("gone", "string"),
];
const ALL = [...KINDS, ...MANY];
const entry = (/** @type {string} */ value, /** @type {string | null} */ field = null, /** @type {number | null} */ score = null) => ({ field, value, score });
/** @type {Record<string, ReturnType<typeof entry>[]>} */
const HELD = {
  greeting: [entry("hello,\nworld")],
  "user:17": [entry("Ada", "name"), entry("", "note")],
  jobs: [entry("first", "0"), entry("second", "1")],
  tags: [entry("blue"), entry("green")],
  scores: [entry("ada", null, 1.5), entry("bob", null, 2), entry("eve")],
  events: [entry('{"kind":"login"}', "1700000000000-0")],
};

/** @param {string} token */
async function keys(token) {
  const page = new Dashboard(await browser.newPage());
  /** @type {object[]} */
  const scans = [];
  await play(page.page, {
    Services: (variables) => listed(SERVICES, variables),
    ScanKeys: ({ input: { match, cursor, first } }) => {
      scans.push({ match, cursor });
      const pattern = new RegExp(`^${match.replaceAll("*", ".*")}$`);
      const from = Number(cursor ?? 0);
      const found = ALL.slice(from, from + first).filter(({ key }) => pattern.test(key));
      return { data: { scanKeys: { keys: found, nextCursor: from + first < ALL.length ? String(from + first) : null, total: ALL.length } } };
    },
    ReadKey: ({ input: { keyBase64 } }) => {
      const name = Buffer.from(keyBase64, "base64").toString();
      const held = HELD[name];
      const value = held && { key: ALL.find((key) => key.key === name), length: name === "events" ? 4000 : held.length, entries: held, truncated: name === "events" };
      return { data: { readKey: { value: value ?? null } } };
    },
  });
  await page.page.goto(`${origin}/?project=demo#svc_1/console`);
  await page.signIn(token);
  await page.sees("100 keys found so far, 247 in all.");
  const option = (/** @type {string} */ name) => page.page.getByRole("option", { name: new RegExp(`^${name}`) });
  await pictured(page.page, "console-keys");

  // With the keyboard.
  await option("greeting").focus();
  await page.page.keyboard.press("ArrowDown");
  await option("user:17").and(page.page.locator(":focus")).waitFor();
  await page.page.keyboard.press("Enter");
  await page.page.getByRole("heading", { name: "user:17" }).and(page.page.locator(":focus")).waitFor();
  await page.page.getByRole("rowheader", { name: "name" }).waitFor();
  await pictured(page.page, "console-hash");
  for (const [name, held] of /** @type {const} */ ([["greeting", "world"], ["jobs", "second"], ["tags", "green"], ["scores", "1.5"], ["events", "login"]])) {
    await option(name).click();
    await page.page.locator(".value").getByText(held).waitFor();
    await accessible(page.page, `the value of ${name}`);
  }
  await page.sees("Only 1 of 4,000 entries are shown.");
  await pictured(page.page, "console-stream");
  await option("gone").click();
  await page.sees("This key is gone");
  await accessible(page.page, "a key that is gone");

  await page.button("Load more").click();
  await page.sees("200 keys found so far");
  await page.button("Load more").click();
  await page.sees("247 keys found, 247 in all.");
  assert.equal(await page.button("Load more").count(), 0);
  await page.page.getByRole("searchbox").fill("session:23");
  await page.page.keyboard.press("Enter");
  await page.sees("11 keys found, 247 in all.");
  assert.deepEqual(scans.at(-1), { match: "*session:23*", cursor: "200" }, "pages with few matches are read over");
  await page.page.getByRole("searchbox").fill("nothing:*");
  await page.page.keyboard.press("Enter");
  await page.sees("No key matches.");
  await pictured(page.page, "console-no-key");
  await page.page.close();
}

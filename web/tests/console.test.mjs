// What the console decides by itself: how a result becomes a file, what is said of a refusal, and how keys are paged.

import assert from "node:assert/strict";
import { test } from "node:test";
import { runnerImport } from "vite";

/** @template T @param {string} path @returns {Promise<T>} */
const load = async (path) => /** @type {T} */ ((await runnerImport(path)).module);
/** @type {typeof import("../src/dashboard/console/sql/csv")} */
const { csv } = await load("./src/dashboard/console/sql/csv.ts");
/** @type {typeof import("../src/dashboard/console/sql/statements")} */
const { remember, workOn } = await load("./src/dashboard/console/sql/statements.ts");
/** @type {typeof import("../src/dashboard/console/sql/words")} */
const { literal, quoted, refusal, rowsIn } = await load("./src/dashboard/console/sql/words.ts");
/** @type {typeof import("../src/dashboard/console/keys/paging")} */
const { MOST_PAGES, PAGE, patternOf, readOn, withPage } = await load("./src/dashboard/console/keys/paging.ts");
/** @type {typeof import("../src/dashboard/console/keys/words")} */
const { bytes, shownOf } = await load("./src/dashboard/console/keys/words.ts");

test("a file tells NULL from an empty text, and keeps commas, quotes and line breaks", () => {
  assert.equal(csv(["a", "b"], [["1", null], ["", "x"]]), 'a,b\r\n1,\r\n"",x\r\n');
  assert.equal(csv(["a,b"], [['say "hi"'], ["two\nlines"], ["two\r\nlines"], [" edge"]]), '"a,b"\r\n"say ""hi"""\r\n"two\nlines"\r\n"two\r\nlines"\r\n" edge"\r\n');
  assert.equal(csv(["é"], [["名前"]]), "é\r\n名前\r\n");
});

test("nothing in a file is a formula for a spreadsheet, and numbers stay numbers", () => {
  assert.equal(csv(["a"], [["=1+1"], ["@SUM(A1)"], ["+1"], ["-cmd"], ["-1"], ["-1.5"]]), "a\r\n'=1+1\r\n'@SUM(A1)\r\n'+1\r\n'-cmd\r\n-1\r\n-1.5\r\n");
  assert.equal(csv(["a"], [['=HYPERLINK("x","y")']]), `a\r\n"'=HYPERLINK(""x"",""y"")"\r\n`);
});

test("a refusal has a title in words, and what the server says", () => {
  const title = (/** @type {string} */ message, /** @type {string | null} */ field = "statement", code = "BAD_USER_INPUT") => refusal(/** @type {any} */ ({ message, field, code })).title;
  assert.equal(title("Only statements that read can be run: SELECT, TABLE."), "This console only reads.");
  assert.equal(title("permission denied for table secrets"), "This console only reads.");
  assert.equal(title("INSERT command denied to user 'reader'@'localhost' for table 't'"), "This console only reads.");
  assert.equal(title("You have an error in your SQL syntax; check the manual"), "The database does not understand the statement.");
  assert.equal(title("Table 'db.t' doesn't exist"), "There is no such thing in the database.");
  assert.equal(title("The statement took longer than ten seconds."), "The statement was stopped.");
  assert.equal(title('syntax error at or near "selec"'), "The database does not understand the statement.");
  assert.equal(title("division by zero"), "The statement can’t be run as it is.");
  assert.equal(title("The server can’t be reached.", null, "OFFLINE"), "The server can’t be reached.");
});

test("a result says how many rows it has, and whether there are more", () => {
  const result = (/** @type {number} */ rows, truncated = false, columns = ["a"]) => rowsIn({ columns, rows: Array(rows).fill(["1"]), truncated, durationMs: 1 });
  assert.deepEqual([result(0), result(1), result(2), result(0, false, [])], ["No rows", "1 row", "2 rows", "No rows"]);
  assert.equal(result(200, true), "The first 200 rows: there is more");
  assert.equal(result(0, true), "The first row is larger than what can be shown");
});

test("names and texts of a database stay what they are within a statement", () => {
  assert.equal(quoted('a"b'), '"a""b"');
  assert.equal(quoted("a`b", "`"), "`a``b`");
  assert.equal(literal("o'clock; --"), "'o''clock; --'");
});

test("statements are remembered by service, the latest first and each once", () => {
  const work = workOn("svc_1");
  const ran = (/** @type {string} */ statement) => ({ statement, at: 0, outcome: "1 row", failed: false });
  for (const statement of ["select 1", "select 2", "select 1"]) remember(work, ran(statement));
  assert.deepEqual(work.ran.value.map(({ statement }) => statement), ["select 1", "select 2"]);
  for (let number = 0; number < 99; number++) remember(work, ran(`select ${number}`));
  assert.equal(work.ran.value.length, 50);
  assert.equal(workOn("svc_1"), work);
  assert.deepEqual(workOn("svc_2").ran.value, []);
});

const key = (/** @type {string | number} */ name) => ({ key: `k${name}`, keyBase64: btoa(`k${name}`), type: "string", ttlSeconds: null, memoryBytes: 64 });
const page = (/** @type {(string | number)[]} */ names, /** @type {string | null} */ nextCursor) => ({ keys: names.map(key), nextCursor, total: 500 });
const names = (/** @type {{ keys: readonly { key: string }[] } | null} */ found) => found?.keys.map(({ key }) => key);

test("a key that comes twice is shown once", () => {
  const first = withPage(null, page([1, 2, 2], "a"));
  assert.deepEqual(names(withPage(first, page([2, 3], null))), ["k1", "k2", "k3"]);
  assert.equal(withPage(first, page([], null)).cursor, null);
});

test("pages without a match are read over, up to a number of them", async () => {
  /** @type {(string | null)[]} */
  const asked = [];
  /** @type {import("../src/dashboard/console/keys/paging").Found | null} */
  let found = null;
  const tell = (/** @type {import("../src/dashboard/console/keys/paging").Found} */ now) => (found = now);
  await readOn(null, async (cursor) => (asked.push(cursor), page(asked.length < 3 ? [] : [7], asked.length < 3 ? `c${asked.length}` : null)), tell);
  assert.deepEqual(asked, [null, "c1", "c2"]);
  assert.deepEqual(names(found), ["k7"]);

  let pages = 0;
  await readOn(null, async () => page([], `c${pages++}`), tell);
  assert.equal(pages, MOST_PAGES, "somebody is asked before more is read");
});

test("a page that is full enough is shown before the next is read", async () => {
  let pages = 0;
  const scan = async () => page(Array.from({ length: PAGE }, (_, index) => `${pages}-${index}`), `c${pages++}`);
  /** @type {any} */
  let found = null;
  await readOn(null, scan, (now) => (found = now));
  assert.deepEqual([pages, found?.keys.length, found?.cursor], [1, PAGE, "c0"]);
  await readOn(found, scan, (now) => (found = now));
  assert.deepEqual([pages, found?.keys.length], [2, 2 * PAGE]);
});

test("words are looked for anywhere in a key, and patterns as they are", () => {
  assert.deepEqual(["", " user ", "user:*", "a?c", "[ab]*"].map(patternOf), ["*", "*user*", "user:*", "a?c", "[ab]*"]);
});

test("what is cut is said to be", () => {
  const value = (/** @type {object} */ given) => /** @type {any} */ ({ key: { ...key(1), type: "list" }, length: 3, entries: [{}, {}, {}], truncated: false, ...given });
  assert.equal(shownOf(value({})), "3 items");
  assert.equal(shownOf(value({ length: 5000, truncated: true })), "Only 3 of 5,000 items are shown");
  assert.equal(shownOf(value({ key: { type: "string" }, length: 2_000_000, truncated: true })), "Only its beginning is shown: it has 2,000,000 bytes");
  assert.deepEqual([500, 2048, 20_480, 5_242_880].map(bytes), ["500 B", "2.0 KiB", "20 KiB", "5.0 MiB"]);
});

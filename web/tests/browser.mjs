// What the walks through the pages share: a browser that notices what must not happen, and an end, whatever hangs.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

export const { ORIGIN: origin = "", PICTURES: pictures = tmpdir() } = process.env;

/** How long anything may take on a slow machine, and all of a walk, in milliseconds. */
const PATIENCE = 60_000;
const LONGEST = 240_000;

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What must not happen, and did. @type {string[]} */
export const faults = [];
/** The address of each request and socket. @type {string[]} */
export const requested = [];
/** The picture that was taken last. */
let reached = "its beginning";

mkdirSync(pictures, { recursive: true });
const profile = mkdtempSync(join(tmpdir(), "chromium-"));
export const browser = await chromium.launchPersistentContext(profile, {
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-sync"],
  permissions: ["clipboard-read", "clipboard-write"],
  viewport: { width: 1280, height: 800 },
  timeout: PATIENCE,
});
// After Playwright's own, which kills a browser that is left.
process.on("exit", () => rmSync(profile, { recursive: true, force: true, maxRetries: 9 }));
browser.setDefaultTimeout(PATIENCE);
browser.on("request", (request) => requested.push(request.url()));
browser.on("page", (page) => page.on("websocket", (socket) => requested.push(socket.url())));
browser.on("weberror", (event) => faults.push(String(event.error())));
// What the Content-Security-Policy forbids is among these, and a worker that could not be started.
browser.on("console", (message) => {
  if (!["error", "warning"].includes(message.type())) return;
  // The browser's own word on a server that is away, and on an answer that is an error, which the page shows.
  if (/WebSocket connection to|net::ERR_|Failed to load resource/.test(message.text())) return;
  faults.push(message.text());
});

/**
 * Waits for what has no patience of its own.
 * @template T @param {string} what @param {Promise<T>} promise @returns {Promise<T>}
 */
export async function within(what, promise, patience = PATIENCE) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Waited too long for ${what}, behind ${reached}.`)), patience);
  });
  try {
    return await /** @type {Promise<T>} */ (Promise.race([promise, late]));
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Runs a walk, and then sees whether anything came from elsewhere or went wrong. It ends the process.
 * @param {() => Promise<void>} walk @param {string[]} origins
 */
export async function run(walk, origins = [origin]) {
  const hosts = new Set(origins.map((origin) => new URL(origin).host));
  const failed = (/** @type {unknown} */ error) => {
    console.error(error);
    process.exitCode = 1;
  };
  try {
    await within("the end of the walk", walk(), LONGEST);
    const elsewhere = requested.filter((address) => !address.startsWith("data:") && !hosts.has(new URL(address).host));
    assert.deepEqual(elsewhere, [], "nothing comes from elsewhere");
    assert.deepEqual(faults, [], "the browser has nothing to complain about");
  } catch (error) {
    failed(error);
    for (const [number, page] of browser.pages().entries()) {
      await page.screenshot({ path: join(pictures, `failed-${number}.png`), timeout: 5_000 }).catch(() => {});
    }
  }
  await within("the browser to close", browser.close(), 15_000).catch(failed);
  // Whatever is still open would be waited for, such as the input of this process.
  process.exit();
}

/**
 * Has axe look at what is shown.
 * @param {import("playwright-core").Page} page @param {string} name @param {string[]} but rules that somebody else breaks
 */
export async function accessible(page, name, but = []) {
  await within(`axe on ${name}`, page.evaluate(axe));
  const looking = page.evaluate(async (but) => {
    // @ts-expect-error: axe is in the page only.
    const { violations } = await window.axe.run({ rules: Object.fromEntries(but.map((rule) => [rule, { enabled: false }])) });
    return violations.map((/** @type {any} */ { id, nodes }) => [id, ...nodes.map((/** @type {any} */ { html, any }) => `${html} ${any[0]?.message ?? ""}`)]);
  }, but);
  assert.deepEqual(await within(`axe on ${name}`, looking), [], `axe finds nothing on ${name}`);
}

/** Keeps a picture of what is shown. @param {import("playwright-core").Page} page @param {string} name */
export async function picture(page, name) {
  reached = name;
  await page.screenshot({ path: join(pictures, `${name}.png`) });
}

/**
 * Keeps pictures of what is shown, wide and on a phone, light and dark. It has to be accessible and to fit.
 * @param {import("playwright-core").Page} page @param {string} name
 */
export async function pictured(page, name) {
  for (const [form, width, height, colorScheme] of /** @type {const} */ ([
    ["phone-dark", 360, 740, "dark"],
    ["phone", 360, 740, "light"],
    ["dark", 1440, 900, "dark"],
    ["light", 1440, 900, "light"],
  ])) {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await picture(page, `dashboard-${name}-${form}`);
    // Two are enough for axe to see both layouts and both sets of colours.
    if (form === "phone-dark" || form === "light") await accessible(page, `${name}, ${form}`);
    const scroll = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(scroll <= width, `${name} fits ${width} pixels: ${scroll}`);
  }
  await page.emulateMedia({ reducedMotion: null });
}

// What the walks through the dashboard share: a browser that notices what must not happen.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

export const { ORIGIN: origin = "", PICTURES: pictures = "" } = process.env;

/** How long anything may take on a slow machine, in milliseconds. */
const PATIENCE = 90_000;

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What must not happen, and did. @type {string[]} */
export const faults = [];
/** The address of each request and socket. @type {string[]} */
export const requested = [];

const profile = await mkdtemp(join(tmpdir(), "chromium-"));
export const browser = await chromium.launchPersistentContext(profile, {
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-sync"],
  permissions: ["clipboard-read", "clipboard-write"],
  viewport: { width: 1280, height: 800 },
});
browser.setDefaultTimeout(PATIENCE);
browser.on("request", (request) => requested.push(request.url()));
browser.on("weberror", (event) => faults.push(String(event.error())));
// What the Content-Security-Policy forbids is among these.
browser.on("console", (message) => {
  if (!["error", "warning"].includes(message.type())) return;
  // The browser's own word on a server that is away, and on an answer that is an error, which the page shows.
  if (/WebSocket connection to|net::ERR_|Failed to load resource/.test(message.text())) return;
  faults.push(message.text());
});

/** Runs a walk, and then sees whether anything came from elsewhere or went wrong. @param {() => Promise<void>} walk @param {string[]} origins */
export async function run(walk, origins = [origin]) {
  try {
    await walk();
  } catch (error) {
    for (const [number, page] of browser.pages().entries()) {
      await page.screenshot({ path: join(pictures, `dashboard-failed-${number}.png`) }).catch(() => {});
    }
    throw error;
  } finally {
    await browser.close();
    await rm(profile, { recursive: true });
  }
  const hosts = new Set(origins.map((origin) => new URL(origin).host));
  const elsewhere = requested.filter((address) => !address.startsWith("data:") && !hosts.has(new URL(address).host));
  assert.deepEqual(elsewhere, [], "nothing comes from elsewhere");
  assert.deepEqual(faults, [], "the browser has nothing to complain about");
}

/** Has axe look at what is shown. @param {import("playwright-core").Page} page @param {string} name */
export async function accessible(page, name) {
  await page.evaluate(axe);
  const violations = await page.evaluate(async () => {
    // @ts-expect-error: axe is in the page only.
    const { violations } = await window.axe.run();
    return violations.map((/** @type {any} */ { id, nodes }) => [id, ...nodes.map((/** @type {any} */ { html, any }) => `${html} ${any[0]?.message ?? ""}`)]);
  });
  assert.deepEqual(violations, [], `axe finds nothing on ${name}`);
}

/**
 * Keeps pictures of what is shown, wide and on a phone, light and dark, all of which have to be accessible and to fit.
 * @param {import("playwright-core").Page} page @param {string} name
 */
export async function picture(page, name) {
  for (const [form, width, height, colorScheme] of /** @type {const} */ ([
    ["phone-dark", 360, 740, "dark"],
    ["phone", 360, 740, "light"],
    ["dark", 1280, 800, "dark"],
    ["light", 1280, 800, "light"],
  ])) {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.screenshot({ path: join(pictures, `dashboard-${name}-${form}.png`) });
    await accessible(page, `${name}, ${form}`);
    const scroll = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(scroll <= width, `${name} fits ${width} pixels: ${scroll}`);
  }
  await page.emulateMedia({ reducedMotion: null });
}

// What was measured of a service, over each range, by the keyboard and as a table. The API is played.

import assert from "node:assert/strict";
import { accessible, browser, origin, picture, pictured } from "./browser.mjs";
import { Dashboard } from "./page.mjs";
import { listed, play, service } from "./played.mjs";

const MINUTE = 60_000;
const STEPS = { HOUR: 1, SIX_HOURS: 2, DAY: 5 };
const SPAN = { HOUR: 60, SIX_HOURS: 360, DAY: 1440 };

/** A range as the API answers it, with a time in which the service was stopped. @param {keyof typeof STEPS} range */
function history(range) {
  const step = STEPS[range] * MINUTE;
  const span = SPAN[range] * MINUTE;
  const to = Math.floor(Date.now() / step) * step;
  const points = [];
  for (let at = to - span; at < to; at += step) {
    const share = (at - (to - span)) / span;
    if (share > 0.4 && share < 0.55) continue;
    const isCounted = Math.ceil(at / (5 * MINUTE)) * 5 * MINUTE < at + step;
    points.push({
      measuredAt: new Date(at).toISOString(),
      cpuMillis: Math.round(160 + 110 * Math.sin(share * 19) + 70 * Math.sin(share * 83)),
      memoryMib: 52 + 60 * share + 6 * Math.sin(share * 40),
      storageMib: isCounted ? 380 + 90 * share : null,
      connections: isCounted ? Math.round(12 + 9 * Math.sin(share * 12)) : null,
    });
  }
  const limits = { cpuLimitMillis: 500, memoryLimitMib: 128, storageLimitMib: 512, connectionsLimit: 50 };
  return { data: { serviceMetricsHistory: { from: new Date(to - span).toISOString(), to: new Date(to).toISOString(), stepSeconds: step / 1000, points, ...limits } } };
}

/** @param {string} token */
export async function figures(token) {
  /** @type {string[]} */
  const asked = [];
  const page = new Dashboard(await browser.newPage());
  const stopped = service(3, { name: "rate-limits", state: "STOPPED", viewerActions: ["START"] });
  // Two minutes ahead, so that the history, which is read again, never has this step.
  const sample = () => ({
    measuredAt: new Date(Date.now() + 2 * MINUTE).toISOString(),
    cpuMillis: 210,
    cpuLimitMillis: 500,
    memoryMib: 111.5,
    memoryLimitMib: 128,
    storageMib: 470,
    storageLimitMib: 512,
    connections: 17,
    connectionsLimit: 50,
  });
  await play(
    page.page,
    {
      Services: (variables) => listed([service(1, { name: "sessions" }), stopped], variables),
      MetricsHistory: ({ id, range }) => {
        asked.push(range);
        const answer = history(range);
        if (id === "svc_3") answer.data.serviceMetricsHistory.points = [];
        return answer;
      },
    },
    { serviceMetrics: () => [sample()] },
  );
  await page.page.goto(`${origin}/?project=demo#svc_1/metrics`);
  await page.signIn(token);
  const chart = (/** @type {string} */ name) => page.page.getByRole("slider", { name: `${name} over time` });
  const value = (/** @type {string} */ name) => chart(name).getAttribute("aria-valuetext");
  await chart("CPU").waitFor();
  await pictured(page.page, "metrics-hour");
  assert.match((await value("Connections")) ?? "", /^17$/, "what it is now, until a value is chosen");

  // With the keyboard.
  await chart("Memory").focus();
  await page.page.keyboard.press("Home");
  const oldest = await value("Memory");
  assert.match(oldest ?? "", /: \d+ MiB$/);
  await page.page.keyboard.press("ArrowRight");
  assert.notEqual(await value("Memory"), oldest, "another value");
  await page.page.locator(".reading").getByText("MiB").waitFor();
  await accessible(page.page, "a value that is read");
  await page.page.keyboard.press("End");
  assert.match((await value("Memory")) ?? "", /: 112 MiB$/, "what is measured now is the last");
  await picture(page.page, "dashboard-metrics-read");
  await page.page.keyboard.press("Escape");
  await page.page.locator(".reading").waitFor({ state: "detached" });
  assert.match(page.page.url(), /svc_1\/metrics$/, "Escape puts the value away, and leaves nothing else");

  // With the pointer.
  await chart("Storage").hover({ position: { x: 90, y: 60 } });
  await page.page.locator(".reading").getByText("MiB").waitFor();

  await page.page.getByRole("radio", { name: "6 h" }).check();
  await chart("CPU").waitFor();
  await pictured(page.page, "metrics-six-hours");
  await page.page.getByRole("radio", { name: "24 h" }).check();
  await page.page.getByRole("checkbox", { name: "Zoom to the values" }).check();
  await pictured(page.page, "metrics-day");
  assert.deepEqual([...new Set(asked)], ["HOUR", "SIX_HOURS", "DAY"]);
  await page.page.getByRole("radio", { name: "1 h" }).check();
  await page.button("Show as table").click();
  const table = page.page.getByRole("region", { name: "Measurements, newest first" });
  await table.getByRole("columnheader", { name: "Connections" }).waitFor();
  assert.match((await table.getByRole("row").nth(1).textContent()) ?? "", /0\.21 CPU112 MiB470 MiB17$/);
  await pictured(page.page, "metrics-table");

  await page.page.evaluate(() => (location.hash = "svc_3/metrics"));
  await page.sees("Nothing was measured in this time");
  await page.sees("The service is stopped");
  await pictured(page.page, "metrics-none");
  await page.page.close();
}

// What a chart makes of measurements: gaps, round marks, and one line of what was and what comes.

// A zone whose clocks change, for marks at round times of the viewer.
process.env.TZ = "America/New_York";

import assert from "node:assert/strict";
import { test } from "node:test";
import { runnerImport } from "vite";

/** @template T @param {string} path @returns {Promise<T>} */
const load = async (path) => /** @type {T} */ ((await runnerImport(path)).module);
/** @type {typeof import("../src/dashboard/charts/series")} */
const { figure, gaps, Live, nearest, runs } = await load("./src/dashboard/charts/series.ts");
/** @type {typeof import("../src/dashboard/charts/ranges")} */
const { pastOf, taken } = await load("./src/dashboard/charts/ranges.ts");
/** @type {typeof import("../src/dashboard/charts/ticks")} */
const { timeTicks, valueTicks } = await load("./src/dashboard/charts/ticks.ts");

const MINUTE = 60_000;
const points = (/** @type {number[]} */ ...minutes) => minutes.map((minute) => ({ at: minute * MINUTE, value: minute }));
const minutes = (/** @type {readonly { at: number }[]} */ points) => points.map(({ at }) => at / MINUTE);

test("a line is broken where nothing was measured, and not where a value is a little late", () => {
  assert.deepEqual(runs(points(0, 1, 2.4, 6, 7), MINUTE).map(minutes), [[0, 1, 2.4], [6, 7]]);
  assert.deepEqual(runs([], MINUTE), []);
});

test("what is missing is shaded: before the first value, between two, and behind the last", () => {
  const shaded = gaps(points(3, 4, 9, 10), 0, 20 * MINUTE, MINUTE).map((gap) => gap.map((at) => at / MINUTE));
  assert.deepEqual(shaded, [[0, 3], [5, 9], [11, 20]]);
  assert.deepEqual(gaps(points(0, 1, 2), 0, 3 * MINUTE, MINUTE), []);
  assert.deepEqual(gaps([], 0, 3 * MINUTE, MINUTE), [[0, 3 * MINUTE]]);
  assert.deepEqual(gaps(points(1, 2), 0, 4 * MINUTE, MINUTE), [], "at both ends a step may be under way");
});

test("a count that is only repeated by each sample is one count", () => {
  const noon = Date.parse("2026-01-01T12:00:00Z");
  const live = new Live(MINUTE);
  for (const [minute, connections] of [[1, 7], [2, 7], [3, 8], [4, 8], [7, 8], [8, 8]]) {
    const measuredAt = new Date(noon + Number(minute) * MINUTE).toISOString();
    live.add(/** @type {import("../src/dashboard/usage").Sample} */ ({ measuredAt, cpuMillis: 1, memoryMib: 1, storageMib: 5, connections }));
  }
  const before = { at: noon, cpuMillis: 1, memoryMib: 1, storageMib: 5, connections: 7 };
  const counts = figure(live.behind([before]), ({ connections }) => connections).map(({ at, value }) => [(at - noon) / MINUTE, value]);
  assert.deepEqual(counts, [[0, 7], [3, 8], [8, 8]]);
});

test("the nearest value is read", () => {
  assert.equal(nearest(points(0, 1, 9), 4 * MINUTE), 1);
  assert.equal(nearest(points(0, 1, 9), 6 * MINUTE), 2);
  assert.equal(nearest([], 0), -1);
});

test("what is measured while somebody looks goes on where the history ends", () => {
  const live = new Live(MINUTE);
  const sample = (/** @type {string} */ time, /** @type {number} */ cpuMillis) =>
    /** @type {import("../src/dashboard/usage").Sample} */ ({ measuredAt: `2026-01-01T12:${time}Z`, cpuMillis, memoryMib: cpuMillis / 10, storageMib: null, connections: 3 });
  const twice = sample("00:10", 100);
  for (const one of [twice, twice, sample("00:20", 300), sample("01:00", 500)]) live.add(one);
  const noon = Date.parse("2026-01-01T12:00:00Z");
  const steps = live.behind([]);
  assert.deepEqual(steps.map(({ at, cpuMillis, memoryMib }) => [(at - noon) / MINUTE, cpuMillis, memoryMib]), [[0, 200, 30], [1, 500, 50]]);
  const before = (/** @type {number} */ minute) => ({ at: noon + minute * MINUTE, cpuMillis: 1, memoryMib: 1, storageMib: 7, connections: 1 });
  const joined = live.behind([before(-1), before(0)]);
  assert.deepEqual(joined.map(({ cpuMillis }) => cpuMillis), [1, 200, 500], "each step is there once, the last of the history as it is seen here");
  assert.deepEqual(live.behind([before(0), before(1), before(2)]).map(({ cpuMillis }) => cpuMillis), [1, 1, 1]);
  assert.deepEqual(figure(steps, ({ storageMib }) => storageMib), [], "what was not counted is no value");
});

/** @typedef {import("../src/dashboard/charts/series").MetricsHistory} MetricsHistory */
const noon = Date.parse("2026-01-01T12:00:00Z");
const time = (/** @type {number} */ minute) => new Date(noon + minute * MINUTE).toISOString();
const limits = { cpuLimitMillis: 500, memoryLimitMib: 256, storageLimitMib: 1024, connectionsLimit: null };
const history = (/** @type {number} */ span, /** @type {number} */ step, /** @type {number[]} */ ...minutes) =>
  /** @type {MetricsHistory} */ ({
    ...limits,
    from: time(-span),
    to: time(0),
    stepSeconds: step * 60,
    points: minutes.map((minute) => ({ measuredAt: time(minute), cpuMillis: 1, memoryMib: 1, storageMib: null, connections: null })),
  });
const sample = /** @type {import("../src/dashboard/usage").Sample} */ ({ measuredAt: time(1.5), cpuMillis: 9, memoryMib: 9, storageMib: 5, connections: 2 });
const shown = (/** @type {ReturnType<typeof pastOf>} */ past) => past && { from: (past.from - noon) / MINUTE, to: (past.to - noon) / MINUTE, at: past.steps.map(({ at }) => (at - noon) / MINUTE) };

test("an hour goes on with each sample, and what is older than an hour leaves it", () => {
  const read = taken(null, "HOUR", history(60, 1, -60, -59, -58, -1));
  assert.deepEqual(shown(pastOf(read, "HOUR", null)), { from: -60, to: 0, at: [-60, -59, -58, -1] });
  assert.deepEqual(shown(pastOf(read, "HOUR", sample)), { from: -58, to: 2, at: [-58, -1, 1] });
});

test("a range is shown once it was read, and never another one in its place", () => {
  const hour = taken(null, "HOUR", history(60, 1, -2));
  assert.equal(pastOf(hour, "DAY", sample), null);
  const day = taken(hour, "DAY", history(1440, 5, -10, -5));
  assert.deepEqual(shown(pastOf(day, "DAY", sample)), { from: -1440, to: 0, at: [-10, -5] }, "a day is as it was read");
  assert.equal(pastOf(day, "HOUR", sample), null);
});

test("what was seen of an hour stays when it is read again, and goes with the range", () => {
  const first = taken(null, "HOUR", history(60, 1, -1));
  pastOf(first, "HOUR", sample);
  assert.deepEqual(shown(pastOf(taken(first, "HOUR", history(60, 1, -1, 0)), "HOUR", null))?.at, [-1, 0, 1]);
  const back = taken(taken(first, "DAY", history(1440, 5, -5)), "HOUR", history(60, 1, -1));
  assert.deepEqual(shown(pastOf(back, "HOUR", null))?.at, [-1]);
});

test("values have round marks in their unit", () => {
  assert.deepEqual(valueTicks(0.53, 4, "decimal"), [0, 0.2, 0.4]);
  assert.deepEqual(valueTicks(0.318, 4, "decimal"), [0, 0.1, 0.2, 0.3]);
  assert.deepEqual(valueTicks(271, 4, "binary"), [0, 128, 256]);
  assert.deepEqual(valueTicks(1085, 4, "binary"), [0, 512, 1024]);
  assert.deepEqual(valueTicks(2.1, 4, "whole"), [0, 1, 2], "nobody has half a connection");
  assert.deepEqual(valueTicks(106, 4, "whole"), [0, 50, 100]);
});

const clock = (/** @type {number[]} */ ticks) => ticks.map((at) => new Date(at).toTimeString().slice(0, 5));

test("times have round marks on the viewer’s clock", () => {
  const from = Date.parse("2026-01-01T17:03:20Z");
  assert.deepEqual(clock(timeTicks(from, from + 60 * MINUTE, 4)), ["12:15", "12:30", "12:45", "13:00"]);
  assert.deepEqual(clock(timeTicks(from, from + 360 * MINUTE, 6)), ["13:00", "14:00", "15:00", "16:00", "17:00", "18:00"]);
  assert.deepEqual(clock(timeTicks(from, from + 1440 * MINUTE, 4)), ["18:00", "00:00", "06:00", "12:00"]);
});

test("marks stay round on the day when clocks change", () => {
  const night = Date.parse("2026-03-08T00:30:00-05:00");
  assert.deepEqual(clock(timeTicks(night, night + 360 * MINUTE, 6)), ["01:00", "03:00", "04:00", "05:00", "06:00", "07:00"]);
  const autumn = Date.parse("2026-11-01T00:30:00-04:00");
  const ticks = timeTicks(autumn, autumn + 360 * MINUTE, 6);
  assert.deepEqual(ticks, ticks.toSorted((a, b) => a - b));
});

// What is said about another size, for each kind, direction and state.

import assert from "node:assert/strict";
import { test } from "node:test";
import { runnerImport } from "vite";

/** @type {{ module: typeof import("../src/dashboard/service/sizing") }} */
const { module } = await runnerImport("./src/dashboard/service/sizing.ts");
const { misfit, obstacle, prospect } = module;

const tier = (/** @type {any} */ tier, /** @type {number} */ memoryMib, /** @type {number} */ cpus, /** @type {number} */ storageMib) => ({ tier, name: tier, memoryMib, cpus, storageMib });
const DEV = tier("DEV", 256, 0.5, 1024);
const STANDARD = tier("STANDARD", 512, 1, 5120);
const PERFORMANCE = tier("PERFORMANCE", 1024, 2, 20480);

/** @param {object} given */
const service = (given = {}) =>
  /** @type {import("../src/dashboard/state").Service} */ ({
    id: "svc_1",
    kind: "POSTGRESQL",
    tier: STANDARD,
    state: "RUNNING",
    operation: null,
    storage: { usedMib: null, limitMib: 5120, enforcement: "GUARDED" },
    restartPending: false,
    viewerActions: ["RESIZE"],
    ...given,
  });
const LIVE = { name: "Redis", resizesLive: true };
const ANEW = { name: "PostgreSQL", resizesLive: false };
const sample = (/** @type {object} */ given) => /** @type {import("../src/dashboard/usage").Sample} */ ({ memoryMib: 0, storageMib: 0, ...given });
const texts = (/** @type {object} */ given, to = PERFORMANCE, kind = ANEW) => {
  const said = prospect(service(given), to, kind);
  return typeof said === "string" ? said : said.map(({ apply, text }) => `${apply}: ${text}`);
};

test("Redis takes a size while it runs, in both directions, and there is nothing to choose", () => {
  for (const to of [DEV, PERFORMANCE]) assert.equal(prospect(service({ kind: "REDIS" }), to, LIVE), "Redis takes its new size while it runs: nobody loses a connection.");
});

test("PostgreSQL is asked about, the harmless way first, and memory that shrinks waits", () => {
  const restart = "NOW: It restarts at once. That takes a few seconds and ends all connections.";
  assert.deepEqual(texts({}), [
    "AT_NEXT_RESTART: CPU and memory at once; the rest, such as its number of connections, at the next restart. Nobody loses a connection.",
    restart,
  ]);
  assert.deepEqual(texts({}, DEV), [
    "AT_NEXT_RESTART: CPU at once; memory and the rest, such as its number of connections, at the next restart. Nobody loses a connection.",
    restart,
  ]);
});

test("what does not run has its size from its next start on, whatever it is", () => {
  for (const kind of [LIVE, ANEW]) {
    const texts = (/** @type {object} */ given) => prospect(service(given), PERFORMANCE, kind);
    assert.equal(texts({ state: "STOPPED" }), "It is stopped, and has its new size from its next start on.");
    assert.equal(texts({ operation: { kind: "STOP" } }), "It is being stopped, and has its new size from its next start on.");
    assert.equal(texts({ state: "STOPPED", operation: { kind: "START" } }), "It is being started, and has its new size then.");
    assert.equal(texts({ state: "ERROR", operation: { kind: "RECOVER" } }), "It is being started, and has its new size then.");
    assert.equal(texts({ state: "ERROR" }), "It is not serving. It is started again in its new size, with the data it has.");
  }
});

test("a service that can’t be given another size any more says why", () => {
  assert.equal(obstacle(service()), null);
  assert.equal(obstacle(service({ viewerActions: [] })), "You may not change its size any more.");
  assert.equal(obstacle(service({ viewerActions: [], state: "DESTROYING" })), "It is being destroyed now, and its size can’t be changed.");
});

test("a smaller size than what is used is marked, with the figures, as the server counts them", () => {
  assert.equal(misfit(service(), DEV, ANEW, sample({ storageMib: 1025.9 })), "Likely to be refused: 1025 MiB are stored, and it holds 1024 MiB.");
  assert.equal(misfit(service(), DEV, ANEW, sample({ storageMib: 1024.9 })), null);
  assert.equal(misfit(service({ tier: DEV }), STANDARD, ANEW, sample({ storageMib: 9000 })), null, "one that is larger helps");
  assert.equal(misfit(service(), DEV, ANEW, sample({ storageMib: null })), null, "nothing was counted yet");
  assert.equal(misfit(service(), DEV, ANEW, null), null);
  const noted = service({ state: "STOPPED", storage: { usedMib: 1030, limitMib: 5120, enforcement: "GUARDED" } });
  assert.equal(misfit(noted, DEV, ANEW, null), "Likely to be refused: 1030 MiB are stored, and it holds 1024 MiB.", "as it was noted");
  assert.equal(misfit(service({ kind: "REDIS" }), DEV, LIVE, sample({ memoryMib: 300.5 })), "Likely to be refused: it takes 300 MiB of memory, and this has 256 MiB.");
  assert.equal(misfit(service(), DEV, ANEW, sample({ memoryMib: 300.5 })), null, "one that is started anew makes do");
});

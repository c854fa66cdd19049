// GraphQL over HTTP, by the graphql-http package: its audits of a server, and its client.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient, serverAudits } from 'graphql-http';
import { bearer, http, listen, newProject, provision } from './support.mjs';

// It asks for 400, as drafts did, for variables that are not valid; the release of September 2026 has 422.
const OUTDATED = '86EE';

test('every audit of graphql-http passes, but for one that the release has changed', async (t) => {
  const audits = serverAudits({ url: http });
  for (const audit of audits) {
    await t.test(audit.name, async () => {
      const result = await audit.fn();
      if (audit.id !== OUTDATED) return assert.equal(result.status, 'ok', result.reason);
      assert.deepEqual([result.status, result.response.status], ['warn', 422], result.reason);
    });
  }
  // Those of version 1.23.
  assert.ok(audits.length >= 61, `only ${audits.length} audits`);
  t.diagnostic(`${audits.length} audits`);
});

test("graphql-http's client runs queries and mutations", async () => {
  const project = newProject();
  const client = createClient({ url: http, headers: { authorization: bearer(project) } });
  const results = async (request) => {
    const { hear } = listen((sink) => client.subscribe(request, sink));
    return [await hear(), await hear()];
  };
  assert.deepEqual(await results({ query: '{ viewer { projects } }' }), [
    { result: { data: { viewer: { projects: [project] } } } },
    { complete: true },
  ]);
  const [{ result }] = await results({ query: provision, variables: { projectId: project } });
  assert.equal(result.data.provisionService.service.name, 'redis');
});

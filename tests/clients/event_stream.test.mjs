// GraphQL over server-sent events, by the graphql-sse package's client in distinct connections mode.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from 'graphql-sse';
import { run, streams } from './streams.mjs';
import * as server from './support.mjs';

const { bearer, newProject, newService } = server;

function connect(t, authorization, options) {
  const headers = authorization ? { authorization } : {};
  const client = createClient({ url: server.http, headers, retryAttempts: 0, ...options });
  t.after(() => client.dispose());
  return client;
}

streams(connect, (address, broken) => ({
  url: `http://${address}/graphql`,
  retryAttempts: 5,
  retry: async () => {},
  on: { connecting: (again) => again && broken() },
}));

test('errors are results and have codes', async (t) => {
  const code = async (client, query, variables) => {
    const stream = run(client, query, variables);
    const { result } = await stream.hear();
    assert.deepEqual(await stream.hear(), { complete: true });
    return result.errors[0].extensions.code;
  };
  const client = connect(t, bearer(newProject()));
  assert.equal(await code(client, '{ nonsense }'), 'GRAPHQL_VALIDATION_FAILED');
  assert.equal(await code(client, server.serviceEvents, { projectId: 'not-mine' }), 'NOT_FOUND');
  assert.equal(await code(connect(t), '{ viewer { subject } }'), 'UNAUTHENTICATED');
  assert.equal(await code(connect(t, 'Bearer nonsense'), server.serviceEvents, { projectId: 'demo' }), 'UNAUTHENTICATED');
});

test('what is no request, and a page that is not allowed, are refused by the status', async (t) => {
  const malformed = await run(connect(t, bearer('demo')), 7).hear();
  assert.equal(malformed.error.response.status, 400);
  const stranger = connect(t, undefined, { headers: { origin: 'https://evil.example' } });
  const refused = await run(stranger, '{ __typename }').hear();
  assert.equal(refused.error.response.status, 403);
});

test('a stream that the client ends is over', async (t) => {
  const { project, authorization, cursor, happen } = await newService();
  await happen();
  const stream = run(connect(t, authorization), server.serviceEvents, { projectId: project, after: cursor });
  assert.ok((await stream.hear()).result.data);
  stream.end();
  assert.deepEqual(await stream.hear(), { complete: true });
});

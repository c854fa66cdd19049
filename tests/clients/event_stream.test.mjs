// GraphQL over server-sent events, by the graphql-sse package's client in distinct connections mode.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from 'graphql-sse';
import * as server from './support.mjs';

const { bearer, listen, newProject, newService, resumable } = server;

function connect(t, authorization, options) {
  const headers = authorization ? { authorization } : {};
  const client = createClient({ url: server.http, headers, retryAttempts: 0, ...options });
  t.after(() => client.dispose());
  return client;
}

const run = (client, query, variables) => listen((sink) => client.subscribe({ query, variables }, sink));

test('queries and mutations have one result and an end', async (t) => {
  const project = newProject();
  const client = connect(t, bearer(project));
  const query = run(client, '{ viewer { subject projects } }');
  assert.deepEqual(await query.hear(), { result: { data: { viewer: { subject: 'ada', projects: [project] } } } });
  assert.deepEqual(await query.hear(), { complete: true });
  const mutation = run(client, server.provision, { projectId: project });
  const { result } = await mutation.hear();
  assert.equal(result.data.provisionService.service.name, 'redis');
  assert.deepEqual(await mutation.hear(), { complete: true });
});

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

test('events come as they happen, and after a lost connection from the last cursor on', async (t) => {
  const service = await newService();
  const { address, cut, close } = await server.network();
  t.after(close);
  const connecting = [];
  const client = connect(t, service.authorization, {
    url: `http://${address}/graphql`,
    retryAttempts: 5,
    retry: async () => {},
    on: { connecting: (again) => connecting.push(again) },
  });
  const events = resumable(client, service);
  const cursors = [service.cursor];
  const hear = async () => cursors.push((await events.hear()).result.data.serviceEvents.cursor);
  for (let n = 0; n < 2; n += 1) {
    await service.happen();
    await hear();
  }
  cut();
  await service.happen();
  await service.happen();
  await hear();
  await hear();
  await service.happen();
  await hear();
  assert.deepEqual(connecting.slice(0, 2), [false, true]);
  assert.equal(cursors.length, 6);
  assert.deepEqual(cursors, [...new Set(cursors)].sort());
  // None of them was missed: the log has no others.
  const all = run(client, server.serviceEvents, { projectId: service.project, after: service.cursor });
  for (const cursor of cursors.slice(1)) {
    assert.equal((await all.hear()).result.data.serviceEvents.cursor, cursor);
  }
});

test('a stream ends with its token', async (t) => {
  const { project, cursor } = await newService();
  const client = connect(t, bearer(project, 3));
  const stream = run(client, server.serviceEvents, { projectId: project, after: cursor });
  const { result } = await stream.hear();
  assert.equal(result.errors[0].extensions.code, 'UNAUTHENTICATED');
  assert.deepEqual(await stream.hear(), { complete: true });
});

test('a stream that the client ends is over', async (t) => {
  const { project, authorization, cursor, happen } = await newService();
  await happen();
  const stream = run(connect(t, authorization), server.serviceEvents, { projectId: project, after: cursor });
  assert.ok((await stream.hear()).result.data);
  stream.end();
  assert.deepEqual(await stream.hear(), { complete: true });
});

// The older graphql-ws protocol, by the subscriptions-transport-ws package's client.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SubscriptionClient } from 'subscriptions-transport-ws';
import WebSocket from 'ws';
import * as server from './support.mjs';

const { bearer, listen, newService, resumable } = server;

function connect(t, authorization, options) {
  const client = new SubscriptionClient(server.ws, { connectionParams: { authorization }, ...options }, WebSocket);
  t.after(() => client.close());
  return client;
}

const run = (client, query, variables) =>
  listen((sink) => client.request({ query, variables }).subscribe(sink).unsubscribe);

test('queries and mutations have one result and an end, errors have codes', async (t) => {
  const client = connect(t, bearer('demo'));
  const query = run(client, '{ viewer { subject } }');
  assert.deepEqual(await query.hear(), { result: { data: { viewer: { subject: 'ada' } } } });
  assert.deepEqual(await query.hear(), { complete: true });
  const { result } = await run(client, server.provision, { projectId: 'demo' }).hear();
  assert.equal(result.data.provisionService.service.name, 'redis');
  const invalid = await run(client, '{ nonsense }').hear();
  assert.equal(invalid.result.errors[0].extensions.code, 'GRAPHQL_VALIDATION_FAILED');
});

test('events come as they happen until the client wants no more', async (t) => {
  const service = await newService();
  const client = connect(t, service.authorization);
  const events = resumable({ subscribe: (request, sink) => client.request(request).subscribe(sink).unsubscribe }, service);
  for (let n = 0; n < 2; n += 1) {
    await service.happen();
    assert.ok((await events.hear()).result.data.serviceEvents.cursor);
  }
  events.end();
  await service.happen();
  // Had the stream gone on, it would be heard before this.
  assert.ok((await run(client, '{ viewer { subject } }').hear()).result.data.viewer);
});

test('a bad token is refused', async (t) => {
  const refused = await new Promise((resolve) => {
    const connectionCallback = (error) => error && resolve(error);
    connect(t, 'Bearer nonsense', { connectionCallback });
  });
  assert.deepEqual(refused, { message: 'the token is not valid' });
});

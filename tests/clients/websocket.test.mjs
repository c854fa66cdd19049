// The graphql-transport-ws protocol, by the graphql-ws package's client.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { run, streams } from './streams.mjs';
import * as server from './support.mjs';

const { bearer, newProject, newService } = server;

function connect(t, authorization, options) {
  const connectionParams = authorization && { Authorization: authorization };
  const client = createClient({ url: server.ws, webSocketImpl: WebSocket, connectionParams, retryAttempts: 0, ...options });
  t.after(() => client.dispose());
  return client;
}

streams(connect, (address, broken) => ({
  url: `ws://${address}/graphql`,
  retryAttempts: 5,
  retryWait: async () => {},
  shouldRetry: () => true,
  on: { closed: broken },
}));

test('errors have codes, whether or not anything was executed', async (t) => {
  const client = connect(t, bearer(newProject()));
  const { error } = await run(client, '{ nonsense }').hear();
  assert.equal(error[0].extensions.code, 'GRAPHQL_VALIDATION_FAILED');
  const { result } = await run(client, server.serviceEvents, { projectId: 'not-mine' }).hear();
  assert.equal(result.errors[0].extensions.code, 'NOT_FOUND');
  const anonymous = connect(t);
  const refused = await run(anonymous, '{ viewer { subject } }').hear();
  assert.equal(refused.result.errors[0].extensions.code, 'UNAUTHENTICATED');
});

test('a stream that the client completes is over, and its id free', async (t) => {
  const { project, authorization, cursor, happen } = await newService();
  await happen();
  const client = connect(t, authorization, { generateID: () => 'one', lazy: false });
  for (let n = 0; n < 3; n += 1) {
    const stream = run(client, server.serviceEvents, { projectId: project, after: cursor });
    assert.ok((await stream.hear()).result.data);
    stream.end();
    assert.deepEqual(await stream.hear(), { complete: true });
  }
});

test('pings are answered, with what they carry', { timeout: 20_000 }, async (t) => {
  const pongs = [];
  const heard = new Promise((resolve) => {
    const client = connect(t, undefined, {
      lazy: false,
      keepAlive: 20,
      on: {
        connected: (socket) => socket.send(JSON.stringify({ type: 'ping', payload: { round: 1 } })),
        pong: (received, payload) => received && pongs.push(payload) === 3 && resolve(client),
      },
    });
  });
  await heard;
  assert.deepEqual(pongs, [{ round: 1 }, undefined, undefined]);
});

// The client keeps to the protocol, so what it says is garbled on the way.
const garbled = (change) =>
  class extends WebSocket {
    send(text) {
      for (const message of change(JSON.parse(text))) super.send(typeof message === 'string' ? message : JSON.stringify(message));
    }
  };
const subscribe = { type: 'subscribe', id: '1', payload: { query: '{ __typename }' } };

const breaches = {
  'a message that is none closes with 4400': [4400, { webSocketImpl: garbled(() => ['nonsense']) }],
  'a message of an unknown type closes with 4400': [4400, { webSocketImpl: garbled(() => [{ type: 'surprise' }]) }],
  'subscribing before the acknowledgement closes with 4401': [4401, { webSocketImpl: garbled(() => [subscribe]) }],
  'a bad token closes with 4403': [4403, { connectionParams: { Authorization: 'Bearer nonsense' } }],
  'an expired token closes with 4403': [4403, { connectionParams: { Authorization: bearer('demo', -1) } }],
  'no subprotocol closes with 4406': [
    4406,
    {
      webSocketImpl: class extends WebSocket {
        constructor(url) {
          super(url);
        }
      },
    },
  ],
  'no introduction closes with 4408': [4408, { url: server.impatientWs, webSocketImpl: garbled(() => []) }],
  'an id that is taken closes with 4409': [
    4409,
    { webSocketImpl: garbled((message) => (message.type === 'subscribe' ? [message, message] : [message])) },
  ],
  'a second introduction closes with 4429': [4429, { webSocketImpl: garbled((message) => [message, message]) }],
};
for (const [name, [code, options]] of Object.entries(breaches)) {
  test(name, async (t) => {
    const { project, authorization } = await newService();
    const client = connect(t, authorization, options);
    const { error } = await run(client, server.serviceEvents, { projectId: project }).hear();
    assert.equal(error.code, code, error);
  });
}

// The package of clients/typescript, as its users have it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError, ConnectionError, ProjectServices, ProvisionServiceDocument, ServicesDocument, dotenv } from '../../clients/typescript/dist/index.js';
import * as server from './support.mjs';

const { bearer, newProject, newService } = server;

const connect = (authorization, address) =>
  new ProjectServices({
    url: address ? `http://${address}/graphql` : server.http,
    token: () => authorization.replace('Bearer ', ''),
  });

test('a service is provisioned and listed, and its credentials are an environment', async () => {
  const project = newProject();
  const client = connect(bearer(project));
  const input = { projectId: project, kind: 'REDIS', name: 'cache' };
  const { provisionService } = await client.request(ProvisionServiceDocument, { input });
  const { services } = await client.request(ServicesDocument, { projectId: project, orderBy: 'NAME_ASC' });
  assert.deepEqual(services.nodes, [provisionService.service]);
  const environment = await client.credentials(provisionService.service.id);
  assert.deepEqual(Object.keys(environment), ['REDIS_URL', 'REDIS_HOST', 'REDIS_PORT', 'REDIS_PASSWORD']);
  assert.equal(dotenv(environment).split('\n')[0], `REDIS_URL=${environment.REDIS_URL}`);
  assert.equal(dotenv({ A: 'b c"' }), 'A="b c\\""\n');
});

test('a refusal is an error with its code and field', async () => {
  const client = connect(bearer(newProject()));
  const refused = client.request(ServicesDocument, { projectId: 'a b' });
  await assert.rejects(refused, (error) => error instanceof ApiError && error.code === 'BAD_USER_INPUT' && error.field === 'projectId');
  await assert.rejects(client.serviceEvents('not-mine').next(), { code: 'NOT_FOUND' });
  const nobody = connect(bearer('demo'), '127.0.0.1:1');
  await assert.rejects(nobody.request(ServicesDocument, { projectId: 'demo' }), ConnectionError);
});

test('events are given once each, however often the connection is lost', async (t) => {
  const service = await newService();
  const { address, cut, close } = await server.network();
  t.after(close);
  const stop = new AbortController();
  let losses = 0;
  const lost = () => (losses += 1);
  const events = connect(service.authorization, address).serviceEvents(service.project, { signal: stop.signal, lost });
  // What happens before anything was heard is not missed either.
  const first = events.next();
  const cursors = [];
  const hear = async (next = events.next()) => cursors.push((await next).value.cursor);
  const happening = setInterval(() => service.happen().catch(() => {}), 50);
  t.after(() => clearInterval(happening));
  await hear(first);
  for (let n = 0; n < 3; n += 1) {
    cut();
    await hear();
    await hear();
  }
  clearInterval(happening);
  assert.ok(losses >= 1);
  const query = 'query ($id: ID!) { service(id: $id) { events(first: 100) { nodes { cursor } } } }';
  const answer = await fetch(server.http, {
    method: 'POST',
    headers: { authorization: service.authorization, 'content-type': 'application/json' },
    body: JSON.stringify({ query, variables: { id: service.id } }),
  });
  const all = (await answer.json()).data.service.events.nodes.map((node) => node.cursor);
  const begin = all.indexOf(cursors[0]);
  assert.deepEqual(cursors, all.slice(begin, begin + cursors.length));
  stop.abort();
  assert.deepEqual(await events.next(), { value: undefined, done: true });
});

test('a stream asks for a new token when its own has expired', async (t) => {
  const service = await newService();
  const tokens = [bearer(service.project), bearer(service.project, 2), bearer(service.project)];
  const client = new ProjectServices({ url: server.http, token: () => (tokens[1] ? tokens.shift() : tokens[0]).replace('Bearer ', '') });
  const stop = new AbortController();
  const heard = [];
  const events = client.serviceEvents(service.project, { signal: stop.signal, lost: (error) => heard.push(error.code) });
  const next = events.next();
  const waiting = setInterval(() => heard.length && service.happen().catch(() => {}), 50);
  t.after(() => clearInterval(waiting));
  assert.match((await next).value.message, /were revealed/);
  assert.deepEqual(heard, ['UNAUTHENTICATED']);
  clearInterval(waiting);
  stop.abort();
});

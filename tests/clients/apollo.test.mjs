// Apollo's client: queries and mutations by HTTP, subscriptions by multipart HTTP.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from '@apollo/client';
import * as server from './support.mjs';

const { bearer, listen, newProject, newService } = server;
const events = gql(server.serviceEvents);

function connect(t, authorization, address) {
  const seen = [];
  const watched = async (url, options) => {
    const response = await fetch(url, options);
    seen.push([response.status, response.headers.get('content-type')]);
    return response;
  };
  const headers = authorization ? { authorization } : {};
  const uri = address ? `http://${address}/graphql` : server.http;
  const link = ApolloLink.from([new HttpLink({ uri, headers, fetch: watched })]);
  const client = new ApolloClient({ link, cache: new InMemoryCache() });
  t.after(() => client.stop());
  return { client, seen };
}

function subscribe(client, variables) {
  return listen((sink) => {
    const stream = client.subscribe({ query: events, variables, errorPolicy: 'all' }).subscribe(sink);
    return () => stream.unsubscribe();
  });
}

test('queries and mutations have results', async (t) => {
  const project = newProject();
  const { client, seen } = connect(t, bearer(project));
  const { data } = await client.query({ query: gql`{ viewer { projects } }` });
  assert.deepEqual(data.viewer.projects, [project]);
  const answer = await client.mutate({ mutation: gql(server.provision), variables: { projectId: project } });
  assert.equal(answer.data.provisionService.service.name, 'redis');
  assert.ok(seen.every(([status, type]) => status === 200 && type.startsWith('application/graphql-response+json')));
});

test('a partial success keeps its data, and what is null is null', async (t) => {
  const { client, seen } = connect(t, bearer(newProject()));
  const query = gql`{ viewer { subject } node(id: "abc") { id } }`;
  const { data, error } = await client.query({ query, errorPolicy: 'all' });
  assert.deepEqual([data.viewer.subject, data.node, seen[0][0]], ['ada', null, 294]);
  assert.equal(error.errors[0].extensions.code, 'BAD_USER_INPUT');
});

test('events come by multipart HTTP, each at once', async (t) => {
  const service = await newService();
  const { client, seen } = connect(t, service.authorization);
  const stream = subscribe(client, { projectId: service.project, after: service.cursor });
  for (let n = 0; n < 3; n += 1) {
    await service.happen();
    assert.match((await stream.hear()).result.data.serviceEvents.message, /were revealed/);
  }
  assert.match(seen[0][1], /^multipart\/mixed;.*subscriptionSpec=1.0/);
  stream.end();
});

test('a refusal is a result, and the end of the stream is told', async (t) => {
  const { client } = connect(t, bearer(newProject()));
  const stream = subscribe(client, { projectId: 'not-mine' });
  assert.equal((await stream.hear()).result.error.errors[0].extensions.code, 'NOT_FOUND');
  assert.deepEqual(await stream.hear(), { complete: true });
});

test('a stream that is broken off is an error, not an end', async (t) => {
  const service = await newService();
  const { address, cut, close } = await server.network();
  t.after(close);
  const { client } = connect(t, service.authorization, address);
  const stream = subscribe(client, { projectId: service.project, after: service.cursor });
  await service.happen();
  assert.ok((await stream.hear()).result.data);
  cut();
  const last = await stream.hear();
  assert.ok(last.error ?? last.result?.error, JSON.stringify(last));
});

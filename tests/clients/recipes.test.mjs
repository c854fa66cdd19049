// The recipes of docs/clients.md, as they stand there.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApolloClient, ApolloLink, InMemoryCache, Observable, gql } from '@apollo/client';
import { Client, fetchExchange, subscriptionExchange } from '@urql/core';
import { cacheExchange } from '@urql/exchange-graphcache';
import { createClient } from 'graphql-ws';
import { print } from 'graphql';
import relay from 'relay-runtime';
import WebSocket from 'ws';
import * as server from './support.mjs';

const { bearer, listen, network, newProject, newService } = server;

const EVENTS = `subscription ($projectId: ID!, $after: String) {
  serviceEvents(projectId: $projectId, after: $after) {
    cursor
    message
    createdService { cursor node { id name state revision } }
    destroyedServiceId
    service { id name state revision }
  }
}`;

/** graphql-ws sends a subscription again as it was; this one goes on behind the last event that came. */
function resuming(client, { query, variables }, sink) {
  const request = { query, variables: { ...variables } };
  return client.subscribe(request, {
    ...sink,
    next(result) {
      const cursor = result.data?.serviceEvents?.cursor;
      if (cursor) request.variables.after = cursor;
      sink.next(result);
    },
  });
}

const socket = (t, authorization, address = server.ws) => {
  const client = createClient({
    url: address,
    webSocketImpl: WebSocket,
    connectionParams: () => ({ Authorization: authorization }),
    shouldRetry: () => true,
    retryWait: async () => {},
  });
  t.after(() => client.dispose());
  return client;
};

test('Apollo: a subscription goes on from its last cursor, and no event comes twice', async (t) => {
  const service = await newService();
  const { address, cut, close } = await network();
  t.after(close);
  const ws = socket(t, service.authorization, `ws://${address}/graphql`);
  const link = new ApolloLink(({ query, variables }) =>
    new Observable((sink) =>
      resuming(ws, { query: print(query), variables }, {
        next: (result) => sink.next(result),
        error: (error) => sink.error(error),
        complete: () => sink.complete(),
      }),
    ),
  );
  const client = new ApolloClient({ link, cache: new InMemoryCache({ typePolicies: { ServiceEvent: { keyFields: ['cursor'] } } }) });
  t.after(() => client.stop());
  const stream = listen((sink) => {
    const variables = { projectId: service.project, after: service.cursor };
    const running = client.subscribe({ query: gql(EVENTS), variables }).subscribe(sink);
    return () => running.unsubscribe();
  });
  const cursors = [];
  for (let n = 0; n < 6; n += 1) {
    await service.happen();
    cursors.push((await stream.hear()).result.data.serviceEvents.cursor);
    if (n % 2) cut();
  }
  assert.deepEqual(cursors, [...new Set(cursors)].sort());
  assert.equal(cursors.length, 6);
  stream.end();
});

test('urql: graphcache knows the objects, and events keep its lists', async (t) => {
  const project = newProject();
  const authorization = bearer(project);
  const ws = socket(t, authorization);
  const warnings = [];
  const cache = cacheExchange({
    keys: {
      ServiceEvent: (event) => event.cursor,
      BackupConnection: () => null,
      BackupEdge: () => null,
      BackupError: () => null,
      BackupFact: () => null,
      BackupPolicy: () => null,
      RecoveryGap: () => null,
      RecoveryWindow: () => null,
      BackupVerification: () => null,
      Credential: () => null,
      Limits: () => null,
      Operation: () => null,
      PageInfo: () => null,
      ProjectUsage: () => null,
      RedisEntry: () => null,
      RedisKey: () => null,
      RedisValue: () => null,
      ReplacedInstance: () => null,
      ServiceConnection: () => null,
      ServiceEdge: () => null,
      ServiceError: () => null,
      ServiceEventConnection: () => null,
      ServiceEventEdge: () => null,
      ServiceMetricsHistory: () => null,
      ServiceMetricsPoint: () => null,
      ServiceStorage: () => null,
      SqlResult: () => null,
      TierSpec: () => null,
      Viewer: () => 'viewer',
    },
    updates: {
      Subscription: {
        serviceEvents({ serviceEvents: event }, _variables, cache) {
          if (!event.createdService && !event.destroyedServiceId) return;
          for (const { fieldName, arguments: given } of cache.inspectFields('Query')) {
            if (fieldName === 'services') cache.invalidate('Query', fieldName, given);
          }
        },
      },
    },
    logger: (severity, message) => severity !== 'debug' && warnings.push(message),
  });
  const client = new Client({
    url: server.http,
    preferGetMethod: false,
    fetchOptions: { headers: { authorization } },
    exchanges: [
      cache,
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query, variables }) => ({ subscribe: (sink) => ({ unsubscribe: resuming(ws, { query, variables }, sink) }) }),
      }),
    ],
  });
  const list = `query ($projectId: ID!) { services(projectId: $projectId) { totalCount eventCursor nodes { id name state tier { name } operation { kind } } pageInfo { endCursor } } }`;
  const lists = listen((sink) => client.query(list, { projectId: project }).subscribe(sink.next).unsubscribe);
  const counts = async () => (await lists.hear()).result.data.services.totalCount;
  const { services } = (await lists.hear()).result.data;
  assert.equal(services.totalCount, 0);
  const variables = { projectId: project, after: services.eventCursor };
  const events = listen((sink) => client.subscription(EVENTS, variables).subscribe(sink.next).unsubscribe);
  const created = await client.mutation(server.provision, { projectId: project }).toPromise();
  assert.equal(created.data.provisionService.service.name, 'redis');
  const { result } = await events.hear();
  assert.equal(result.data.serviceEvents.createdService.node.name, 'redis');
  let count = await counts();
  while (count !== 1) count = await counts();
  events.end();
  lists.end();
  assert.deepEqual(warnings, [], 'every object has a key');
});

test('Relay: the store has each object by its id, and an edge is appended to its connection', async () => {
  const { Environment, Network, RecordSource, Store, fetchQuery } = relay;
  const service = await newService();
  const send = async (params, variables) => {
    const headers = { accept: 'application/graphql-response+json', authorization: service.authorization, 'content-type': 'application/json' };
    const response = await fetch(server.http, { method: 'POST', headers, body: JSON.stringify({ query: params.text, variables }) });
    return response.json();
  };
  const environment = new Environment({ network: Network.create(send), store: new Store(new RecordSource()) });
  const field = (name, extra = {}) => ({ alias: null, args: null, kind: 'ScalarField', name, storageKey: null, ...extra });
  // What relay-compiler makes of `query ($id: ID!) { node(id: $id) { __typename id ... on Service { name } } }`.
  const selections = [
    {
      alias: null,
      args: [{ kind: 'Variable', name: 'id', variableName: 'id' }],
      concreteType: null,
      kind: 'LinkedField',
      name: 'node',
      plural: false,
      storageKey: null,
      selections: [field('__typename'), field('id'), { kind: 'InlineFragment', selections: [field('name')], type: 'Service', abstractKey: null }],
    },
  ];
  const argumentDefinitions = [{ defaultValue: null, kind: 'LocalArgument', name: 'id' }];
  const query = {
    kind: 'Request',
    fragment: { argumentDefinitions, kind: 'Fragment', metadata: null, name: 'NodeQuery', selections, type: 'Query', abstractKey: null },
    operation: { argumentDefinitions, kind: 'Operation', name: 'NodeQuery', selections },
    params: {
      cacheID: 'node',
      id: null,
      metadata: {},
      name: 'NodeQuery',
      operationKind: 'query',
      text: 'query NodeQuery($id: ID!) { node(id: $id) { __typename id ... on Service { name } } }',
    },
  };
  const { node } = await fetchQuery(environment, query, { id: service.id }).toPromise();
  assert.equal(node.name, 'redis');
  assert.equal(environment.getStore().getSource().get(service.id).name, 'redis');
});

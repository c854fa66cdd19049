// What all tests need: where the servers are, tokens, and a connection that can be cut.
import { createHmac, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';

const { SERVER, IMPATIENT_SERVER, JWT_SECRET } = process.env;
if (!SERVER || !IMPATIENT_SERVER || !JWT_SECRET) {
  throw new Error('These tests are run by tests/it/clients.rs, which starts the servers: make test ARGS="--test it clients"');
}

export const http = `http://${SERVER}/graphql`;
export const ws = `ws://${SERVER}/graphql`;
/** A server that waits for connection_init for a moment only. */
export const impatientWs = `ws://${IMPATIENT_SERVER}/graphql`;

/** A project that no other test uses. */
export const newProject = () => `p-${randomUUID().slice(0, 8)}`;

/** How much longer than it says a token is good, in seconds. */
const LEEWAY = 30;

/** The Authorization value of a token that is good for one project, for some seconds. */
export function bearer(project, seconds = 600) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const exp = Math.floor(Date.now() / 1000) + seconds - LEEWAY;
  const permissions = ['project:settings', 'project:delete'];
  const claims = { sub: 'ada', exp, projects: [project], permissions };
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `Bearer ${signed}.${createHmac('sha256', JWT_SECRET).update(signed).digest('base64url')}`;
}

async function run(authorization, query, variables) {
  const headers = { authorization, 'content-type': 'application/json' };
  const response = await fetch(http, { method: 'POST', headers, body: JSON.stringify({ query, variables }) });
  const { data, errors } = await response.json();
  if (errors) throw new Error(JSON.stringify(errors));
  return data;
}

export const provision = `mutation ($projectId: ID!) {
  provisionService(input: { projectId: $projectId, kind: REDIS }) { service { id name } }
}`;

export const serviceEvents = `subscription ($projectId: ID!, $after: String) {
  serviceEvents(projectId: $projectId, after: $after) { cursor message }
}`;

/** A project with a service, the cursor of its first event, and a way to make more events. */
export async function newService() {
  const project = newProject();
  const authorization = bearer(project);
  const { provisionService } = await run(authorization, provision, { projectId: project });
  const { id } = provisionService.service;
  const query = 'query ($id: ID!) { service(id: $id) { events(first: 1) { nodes { cursor } } } }';
  const { service } = await run(authorization, query, { id });
  const reveal = 'mutation ($id: ID!) { revealCredentials(input: { id: $id }) { service { id } } }';
  return { project, authorization, id, cursor: service.events.nodes[0].cursor, happen: () => run(authorization, reveal, { id }) };
}

/** A way to the server that can be cut, as networks are. */
export async function network() {
  const [host, port] = SERVER.split(':');
  const open = new Set();
  const listener = net.createServer((near) => {
    const far = net.connect(Number(port), host);
    for (const socket of [near, far]) {
      open.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        open.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far).pipe(near);
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const cut = () => open.forEach((socket) => socket.destroy());
  const close = () => {
    listener.close();
    cut();
  };
  return { address: `127.0.0.1:${listener.address().port}`, cut, close };
}

/** Results of a stream as a test asks for them. `subscribe` takes a sink and gives back how to end the stream. */
export function listen(subscribe) {
  const heard = [];
  let wake = () => {};
  const tell = (item) => {
    heard.push(item);
    wake();
  };
  const end = subscribe({
    next: (result) => tell({ result }),
    error: (error) => tell({ error }),
    complete: () => tell({ complete: true }),
  });
  const hear = async () => {
    if (!heard.length) {
      const patience = AbortSignal.timeout(20_000);
      await new Promise((resolve, reject) => {
        wake = resolve;
        patience.onabort = () => reject(new Error('Nothing was heard'));
      });
    }
    return heard.shift();
  };
  return { hear, end };
}

/** A stream of events that goes on from the last cursor whenever its connection was lost, as frontends do it. */
export function resumable(client, { project, cursor }) {
  const request = { query: serviceEvents, variables: { projectId: project, after: cursor } };
  return listen(({ next, ...sink }) =>
    client.subscribe(request, {
      ...sink,
      next(result) {
        // Both packages write the request anew for each attempt.
        if (result.data) request.variables.after = result.data.serviceEvents.cursor;
        next(result);
      },
    }),
  );
}

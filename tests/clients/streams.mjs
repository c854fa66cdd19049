// What holds of every transport that streams.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as server from './support.mjs';

const { bearer, listen, newProject, newService, resumable } = server;

export const run = (client, query, variables) => listen((sink) => client.subscribe({ query, variables }, sink));

/**
 * Tests a transport. `connect(t, authorization, options)` makes a client that ends with the test `t`;
 * `resuming(address, broken)` gives the options of one that connects by way of `address`, comes back at once after a
 * break, and calls `broken` for each.
 */
export function streams(connect, resuming) {
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

  test('events come as they happen, and after a lost connection from the last cursor on', async (t) => {
    const service = await newService();
    const { address, cut, close } = await server.network();
    t.after(close);
    let breaks = 0;
    const client = connect(t, service.authorization, resuming(address, () => (breaks += 1)));
    const events = resumable(client, service);
    const cursors = [service.cursor];
    const hear = async () => cursors.push((await events.hear()).result.data.serviceEvents.cursor);
    for (let n = 0; n < 2; n += 1) {
      await service.happen();
      await hear();
    }
    assert.equal(breaks, 0);
    cut();
    await service.happen();
    await service.happen();
    await hear();
    await hear();
    await service.happen();
    await hear();
    assert.ok(breaks >= 1);
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
}

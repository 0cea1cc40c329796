import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ApiCaller, apiCaller, at, patchHeaders } from './testing/api-caller.ts';
import { openTestApiServer, type TestApiServer } from './testing/test-api-server.ts';
import { type ReadEvent, readWatch } from './testing/watch-reader.ts';

const maps = '/api/v1/namespaces/default/configmaps';

function check(title: string, run: (call: ApiCaller, watch: (path: string, count: number, headers?: Record<string, string>) => Promise<ReadEvent[]>, server: TestApiServer) => Promise<void>): void {
  test(`a watch ${title}`, async () => {
    await using server = await openTestApiServer();
    const watch = async (path: string, count: number, headers?: Record<string, string>): Promise<ReadEvent[]> => {
      const seen: ReadEvent[] = [];
      for await (const event of readWatch(server, path, headers)) if (seen.push(event) === count) break;
      return seen;
    };
    await run(apiCaller(server), watch, server);
  });
}

const brief = (events: readonly ReadEvent[]): unknown[] => events.map(({ type, object }) => [type, at(object, 'metadata.name')]);

check('without a resourceVersion begins with what is there', async (call, watch) => {
  await call('POST', maps, { metadata: { name: 'a' } });
  await call('POST', maps, { metadata: { name: 'b' } });
  const events = watch(`${maps}?watch=true`, 4);
  await call('POST', maps, { metadata: { name: 'c' } });
  await call('DELETE', `${maps}/a`);
  const seen = brief(await events);
  assert.deepEqual(seen.slice(0, 2), [['ADDED', 'a'], ['ADDED', 'b']]);
  assert.deepEqual(seen.slice(2), [['ADDED', 'c'], ['DELETED', 'a']]);
});

check('from a resourceVersion tells everything since, in order, with the revision of each change', async (call, watch) => {
  const list = await call('GET', maps);
  const from = String(at(list.body, 'metadata.resourceVersion'));
  await call('POST', maps, { metadata: { name: 'a' } });
  await call('PATCH', `${maps}/a`, { data: { x: '1' } }, patchHeaders.merge);
  await call('POST', '/api/v1/namespaces/kube-system/configmaps', { metadata: { name: 'elsewhere' } });
  await call('DELETE', `${maps}/a`);
  const events = await watch(`${maps}?watch=true&resourceVersion=${from}`, 3);
  assert.deepEqual(brief(events), [['ADDED', 'a'], ['MODIFIED', 'a'], ['DELETED', 'a']]);
  const versions = events.map(({ object }) => Number(at(object, 'metadata.resourceVersion')));
  assert.deepEqual(versions, versions.toSorted((a, b) => a - b));
  assert.ok((versions[2] ?? 0) > (versions[1] ?? 0), 'a deletion has a revision of its own');
  assert.equal(at(events[2]?.object, 'data.x'), '1');
});

check('with a selector turns changes of membership into additions and deletions', async (call, watch) => {
  const from = String(at((await call('GET', maps)).body, 'metadata.resourceVersion'));
  await call('POST', maps, { metadata: { name: 'a' } });
  await call('PATCH', `${maps}/a`, { metadata: { labels: { app: 'x' } } }, patchHeaders.merge);
  await call('PATCH', `${maps}/a`, { data: { n: '1' } }, patchHeaders.merge);
  const live = watch(`${maps}?watch=true&labelSelector=app%3Dx&resourceVersion=${from}`, 3);
  const last = await call('PATCH', `${maps}/a`, { metadata: { labels: { app: 'y' } } }, patchHeaders.merge);
  const events = await live;
  assert.deepEqual(brief(events), [['ADDED', 'a'], ['MODIFIED', 'a'], ['DELETED', 'a']]);
  assert.equal(at(events[2]?.object, 'metadata.labels.app'), 'x', 'the last state that matched');
  assert.equal(at(events[2]?.object, 'metadata.resourceVersion'), at(last.body, 'metadata.resourceVersion'));
});

check('on one object follows only that', async (call, watch) => {
  for (const name of ['a', 'b']) await call('POST', maps, { metadata: { name } });
  const events = watch(`${maps}?watch=true&fieldSelector=metadata.name%3Db`, 2);
  await call('PATCH', `${maps}/a`, { data: { x: '1' } }, patchHeaders.merge);
  await call('PATCH', `${maps}/b`, { data: { x: '1' } }, patchHeaders.merge);
  assert.deepEqual(brief(await events), [['ADDED', 'b'], ['MODIFIED', 'b']]);
});

check('that streams the list marks its end', async (call, watch) => {
  await call('POST', maps, { metadata: { name: 'a' } });
  const events = await watch(`${maps}?watch=true&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan`, 2);
  assert.deepEqual(events.map(({ type }) => type), ['ADDED', 'BOOKMARK']);
  assert.deepEqual(at(events[1]?.object['metadata'], 'annotations'), { 'k8s.io/initial-events-end': 'true' });
  assert.equal((await call('GET', `${maps}?watch=true&sendInitialEvents=true`)).code, 422);
});

check('that is too old is told Expired', async (call, watch, server) => {
  await call('POST', maps, { metadata: { name: 'a' } });
  await call('DELETE', `${maps}/a`);
  await server.store.compact(server.store.revision);
  const [event] = await watch(`${maps}?watch=true&resourceVersion=1`, 1);
  assert.deepEqual([event?.type, event?.object['reason'], event?.object['code']], ['ERROR', 'Expired', 410]);
});

check('ends after its timeout', async (_call, watch) => {
  assert.deepEqual(await watch(`${maps}?watch=true&resourceVersion=0&timeoutSeconds=1`, 99).then(brief), []);
});

check('ends when the server stops', async () => {
  const server = await openTestApiServer();
  const events = readWatch(server, `${maps}?watch=true`);
  const ended = events.next();
  await apiCaller(server)('GET', maps);
  await server[Symbol.asyncDispose]();
  assert.equal((await ended.catch(() => ({ done: true }))).done, true);
});

check('as a table sends one row an event and the columns once', async (call, watch) => {
  const events = watch(`${maps}?watch=true`, 2, { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' });
  await call('POST', maps, { metadata: { name: 'a' }, data: { x: '1' } });
  await call('DELETE', `${maps}/a`);
  const seen = await events;
  assert.deepEqual(seen.map(({ type, object }) => [type, object['kind'], (object['columnDefinitions'] as unknown[]).length, at(object, 'rows.0.cells.0')]), [
    ['ADDED', 'Table', 3, 'a'],
    ['DELETED', 'Table', 0, 'a'],
  ]);
});

check('misses nothing while many write', async (call, watch) => {
  const events = watch(`${maps}?watch=true`, 300);
  await Promise.all(
    Array.from({ length: 100 }, async (_, index) => {
      await call('POST', maps, { metadata: { name: `m-${index}` } });
      await call('PATCH', `${maps}/m-${index}`, { data: { x: '1' } }, patchHeaders.merge);
      await call('DELETE', `${maps}/m-${index}`);
    }),
  );
  const seen = await events;
  for (let index = 0; index < 100; index += 1) {
    assert.deepEqual(seen.filter(({ object }) => at(object, 'metadata.name') === `m-${index}`).map(({ type }) => type), ['ADDED', 'MODIFIED', 'DELETED']);
  }
  const versions = seen.map(({ object }) => Number(at(object, 'metadata.resourceVersion')));
  assert.deepEqual(versions, versions.toSorted((a, b) => a - b));
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isError } from '../../kernel/mod.ts';
import type { ObjectStore, StoreEvent } from '../object-store.ts';
import { watchStore } from '../watch.ts';

/** What every object store must do. `open` makes an empty one. */
export function objectStoreSuite(name: string, open: () => Promise<ObjectStore>): void {
  const check = (title: string, run: (store: ObjectStore) => Promise<void>): void => {
    test(`${name}: ${title}`, async () => {
      await using store = await open();
      await run(store);
    });
  };

  check('put() numbers changes of all keys in one sequence', async (store) => {
    assert.deepEqual(await store.put('/a/1', 'one', 0), { key: '/a/1', value: 'one', createRevision: 1, modRevision: 1 });
    assert.deepEqual(await store.put('/a/2', 'two', 0), { key: '/a/2', value: 'two', createRevision: 2, modRevision: 2 });
    assert.deepEqual(await store.put('/a/1', 'uno', 1), { key: '/a/1', value: 'uno', createRevision: 1, modRevision: 3 });
    assert.equal(store.revision, 3);
    assert.deepEqual(await store.get('/a/1'), { key: '/a/1', value: 'uno', createRevision: 1, modRevision: 3 });
    assert.equal(await store.get('/a/3'), undefined);
  });

  check('put() refuses a wrong expected revision and changes nothing', async (store) => {
    await store.put('/a', 'one', 0);
    await assert.rejects(store.put('/a', 'x', 0), (error) => isError(error, 'already-exists'));
    await assert.rejects(store.put('/a', 'x', 7), (error) => isError(error, 'conflict') && error.details['currentRevision'] === 1);
    await assert.rejects(store.put('/b', 'x', 7), (error) => isError(error, 'conflict') && error.details['currentRevision'] === 0);
    assert.equal(store.revision, 1);
    assert.equal((await store.get('/a'))?.value, 'one');
  });

  check('put() of many writers at once lets exactly one through for a revision', async (store) => {
    await store.put('/a', 'start', 0);
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, (_, index) => store.put('/a', `writer ${index}`, 1)));
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
    assert.equal(store.revision, 2);
  });

  check('delete() takes the key away and a later put starts anew', async (store) => {
    await store.put('/a', 'one', 0);
    await assert.rejects(store.delete('/a', 9), (error) => isError(error, 'conflict'));
    const event = await store.delete('/a', 1);
    assert.deepEqual(event, { revision: 2, key: '/a', previous: { key: '/a', value: 'one', createRevision: 1, modRevision: 1 } });
    assert.equal(await store.get('/a'), undefined);
    await assert.rejects(store.delete('/a'), (error) => isError(error, 'not-found'));
    assert.equal((await store.put('/a', 'again', 0)).createRevision, 3);
  });

  check('list() pages through a prefix as of one revision', async (store) => {
    for (const key of ['/p/a', '/p/b', '/p/c', '/p-other', '/q/a']) await store.put(key, `${key} v1`, 0);
    const first = await store.list('/p/', { limit: 2 });
    assert.deepEqual([first.entries.map(({ key }) => key), first.revision, first.remaining], [['/p/a', '/p/b'], 5, 1]);
    await store.put('/p/c', '/p/c v2');
    await store.delete('/p/a');
    await store.put('/p/d', '/p/d v1', 0);
    const second = await store.list('/p/', { limit: 2, afterKey: '/p/b', revision: first.revision });
    assert.deepEqual(second, { entries: [{ key: '/p/c', value: '/p/c v1', createRevision: 3, modRevision: 3 }], revision: 5, remaining: 0 });
    assert.deepEqual((await store.list('/p/', { revision: 5 })).entries.map(({ value }) => value), ['/p/a v1', '/p/b v1', '/p/c v1']);
    assert.deepEqual((await store.list('/p/')).entries.map(({ value }) => value), ['/p/b v1', '/p/c v2', '/p/d v1']);
    await assert.rejects(store.list('/p/', { revision: 99 }), (error) => isError(error, 'invalid'));
  });

  check('list() at an older revision counts what the limit left out', async (store) => {
    for (const key of ['/p/a', '/p/b', '/p/c']) await store.put(key, 'v1', 0);
    for (const key of ['/p/a', '/p/b', '/p/c']) await store.delete(key);
    const page = await store.list('/p/', { revision: 3, limit: 1 });
    assert.deepEqual([page.entries.map(({ key }) => key), page.remaining], [['/p/a'], 2]);
  });

  check('eventsAfter() tells every change with the values before and after', async (store) => {
    await store.put('/a', 'one', 0);
    await store.put('/a', 'two', 1);
    await store.put('/b', 'other', 0);
    await store.delete('/a');
    const one = { key: '/a', value: 'one', createRevision: 1, modRevision: 1 };
    const two = { key: '/a', value: 'two', createRevision: 1, modRevision: 2 };
    const expected: StoreEvent[] = [
      { revision: 1, key: '/a', current: one },
      { revision: 2, key: '/a', current: two, previous: one },
      { revision: 4, key: '/a', previous: two },
    ];
    assert.deepEqual(await store.eventsAfter('/a', 0), expected);
    assert.deepEqual(await store.eventsAfter('/a', 2), expected.slice(2));
    assert.deepEqual(await store.eventsAfter('/a', 4), []);
  });

  check('subscribe() hears of a change before the writer does, in order', async (store) => {
    const heard: number[] = [];
    const stop = store.subscribe((events) => heard.push(...events.map(({ revision }) => revision)));
    await store.put('/a', 'one', 0);
    assert.deepEqual(heard, [1]);
    await Promise.all([store.put('/b', 'x', 0), store.put('/c', 'x', 0), store.delete('/a')]);
    assert.deepEqual(heard, [1, 2, 3, 4]);
    stop();
    await store.put('/d', 'x', 0);
    assert.deepEqual(heard, [1, 2, 3, 4]);
  });

  check('watchStore() joins history and live changes without gap or repetition', async (store) => {
    const stop = new AbortController();
    await store.put('/w/0', 'x', 0);
    await store.put('/w/1', 'x', 0);
    const seen: number[] = [];
    const writes: Promise<unknown>[] = [];
    for await (const event of watchStore(store, '/w/', 1, stop.signal)) {
      seen.push(event.revision);
      if (seen.length <= 30) writes.push(store.put(`/w/${seen.length + 1}`, 'x', 0), store.put(`/elsewhere/${seen.length}`, 'x', 0));
      if (seen.length === 31) break;
    }
    await Promise.all(writes);
    const all = (await store.eventsAfter('/w/', 1)).map(({ revision }) => revision);
    assert.deepEqual(seen, all.slice(0, 31));
  });

  check('watchStore() ends with the reason of the signal', async (store) => {
    const stop = new AbortController();
    const watching = (async () => {
      for await (const event of watchStore(store, '/', 0, stop.signal)) assert.fail(`unexpected ${event.key}`);
    })();
    stop.abort();
    await assert.rejects(watching, (error) => isError(error, 'cancelled'));
  });

  check('compact() refuses older revisions and keeps the present', async (store) => {
    await store.put('/a', 'one', 0);
    await store.put('/a', 'two', 1);
    await store.put('/b', 'x', 0);
    await store.delete('/b');
    await store.put('/a', 'three', 2);
    await store.compact(3);
    assert.equal(store.compactedRevision, 3);
    const isExpired = (error: unknown): boolean => isError(error, 'conflict') && error.details['reason'] === 'Expired';
    await assert.rejects(store.eventsAfter('/', 2), isExpired);
    await assert.rejects(store.list('/', { revision: 2 }), isExpired);
    assert.deepEqual((await store.eventsAfter('/', 3)).map(({ revision, current, previous }) => [revision, current?.value, previous?.value]), [[4, undefined, 'x'], [5, 'three', 'two']]);
    assert.deepEqual((await store.list('/', { revision: 3 })).entries.map(({ key, value }) => [key, value]), [['/a', 'two'], ['/b', 'x']]);
    assert.deepEqual((await store.list('/')).entries.map(({ value }) => value), ['three']);
    await store.compact(2);
    assert.equal(store.compactedRevision, 3);
  });

  check('a closed store refuses', async (store) => {
    await store[Symbol.asyncDispose]();
    await assert.rejects(store.put('/a', 'x'), (error) => isError(error, 'unavailable'));
    await assert.rejects(store.get('/a'), (error) => isError(error, 'unavailable'));
  });
}

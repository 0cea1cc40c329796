import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type k8s, type KubeList, resources, type Stored, type WatchEvent } from '../api/mod.ts';
import { aborted, type Clock, GantryError, silentLogger } from '../kernel/mod.ts';
import type { KubeClient } from './client.ts';
import { Informer } from './informer.ts';
import { Informers } from './informers.ts';

type Pod = Stored<k8s.Pod>;

function pod(name: string, revision: number, uid = name, owner?: string): Pod {
  const ownerReferences = owner === undefined ? {} : { ownerReferences: [{ apiVersion: 'v1', kind: 'X', name: owner, uid: owner }] };
  return { metadata: { namespace: 'n', name, uid, resourceVersion: String(revision), creationTimestamp: '', ...ownerReferences } };
}

/** What the server answers to successive lists, and what each watch after it yields. A watch that has no more to say waits. */
interface Script { list: Pod[]; revision: string; watches: { events: WatchEvent<k8s.Pod>[]; end?: Error | 'close' }[] }

interface Scripted { client: KubeClient; requests: string[] }

function scripted(script: Script[]): Scripted {
  const requests: string[] = [];
  let current: Script | undefined;
  const client = {
    list: async (): Promise<KubeList<k8s.Pod>> => {
      requests.push('list');
      current = script.shift();
      if (current === undefined) throw new GantryError('unavailable', 'the script is over');
      return { apiVersion: 'v1', kind: 'PodList', metadata: { resourceVersion: current.revision }, items: current.list };
    },
    async *watch(_type: unknown, { resourceVersion }: { resourceVersion: string }, signal: AbortSignal) {
      requests.push(`watch ${resourceVersion}`);
      const watch = current?.watches.shift();
      yield* watch?.events ?? [];
      if (watch?.end instanceof Error) throw watch.end;
      if (watch?.end === 'close') return;
      await aborted(signal);
      throw new GantryError('cancelled', 'stopped');
    },
  };
  return { client: client as unknown as KubeClient, requests };
}

const quickClock: Clock = { now: () => Date.now(), sleep: () => new Promise((resolve) => void setImmediate(resolve)) };

/** Runs an informer over the script until `count` changes were told. */
async function changesOf(script: Script[], count: number): Promise<{ changes: string[]; informer: Informer<k8s.Pod>; requests: string[] }> {
  const { client, requests } = scripted(script);
  const informer = new Informer(client, resources.pods, {}, silentLogger(), quickClock);
  const stop = new AbortController();
  const changes: string[] = [];
  informer.onChange((change) => {
    const before = change.type === 'modified' ? `${change.previous.metadata.resourceVersion}→` : '';
    changes.push(`${change.type} ${change.object.metadata.name} ${before}${change.object.metadata.resourceVersion}`);
    if (changes.length === count) setImmediate(() => stop.abort());
  });
  await informer.run(stop.signal);
  return { changes, informer, requests };
}

const expired = new GantryError('conflict', 'too old', { details: { reason: 'Expired' } });

test('Informer tells adds, changes and deletions in order and caches the newest', async () => {
  const events: WatchEvent<k8s.Pod>[] = [
    { type: 'ADDED', object: pod('b', 11) },
    { type: 'MODIFIED', object: pod('a', 12) },
    { type: 'DELETED', object: pod('b', 13) },
  ];
  const { changes, informer } = await changesOf([{ list: [pod('a', 5)], revision: '10', watches: [{ events }] }], 4);
  assert.deepEqual(changes, ['added a 5', 'added b 11', 'modified a 5→12', 'deleted b 13']);
  assert.equal(informer.get('n/a')?.metadata.resourceVersion, '12');
  assert.deepEqual(informer.list('n').length, 1);
  assert.deepEqual(informer.list('other'), []);
});

test('Informer watches again from the newest revision, bookmarks included, when a watch ends', async () => {
  const { requests } = await changesOf(
    [
      {
        list: [],
        revision: '10',
        watches: [
          { events: [{ type: 'ADDED', object: pod('a', 11) }, { type: 'BOOKMARK', resourceVersion: '20' }], end: 'close' },
          { events: [{ type: 'ADDED', object: pod('b', 21) }] },
        ],
      },
    ],
    2,
  );
  assert.deepEqual(requests, ['list', 'watch 10', 'watch 20']);
});

for (const [what, end] of [['too old', expired], ['broken', new GantryError('unavailable', 'reset')]] as const) {
  test(`Informer lists again when the watch is ${what} and tells what was missed`, async () => {
    const { changes, requests, informer } = await changesOf(
      [
        { list: [pod('gone', 1), pod('same', 2), pod('newer', 3), pod('again', 4, 'uid-1')], revision: '10', watches: [{ events: [], end }] },
        { list: [pod('same', 2), pod('newer', 30), pod('again', 31, 'uid-2'), pod('new', 32)], revision: '40', watches: [] },
      ],
      9,
    );
    assert.deepEqual(requests.slice(0, 3), ['list', 'watch 10', 'list']);
    assert.deepEqual(changes.slice(4), ['deleted gone 1', 'modified newer 3→30', 'deleted again 4', 'added again 31', 'added new 32']);
    assert.deepEqual(informer.list().map(({ metadata }) => metadata.name).toSorted(), ['again', 'new', 'newer', 'same']);
  });
}

test('Informer finds objects by owner and by defined index, and forgets old values', async () => {
  const stop = new AbortController();
  const { client } = scripted([{ list: [pod('a', 1, 'a', 'rs-1'), pod('b', 2, 'b', 'rs-1')], revision: '5', watches: [{ events: [{ type: 'MODIFIED', object: pod('b', 6, 'b', 'rs-2') }] }] }]);
  const informer = new Informer(client, resources.pods, {}, silentLogger()).defineIndex('owner', ({ metadata }) => (metadata.ownerReferences ?? []).map(({ uid }) => uid));
  informer.onChange(({ type }) => type === 'modified' && stop.abort());
  await informer.run(stop.signal);
  const names = (pods: Pod[]): string[] => pods.map(({ metadata }) => metadata.name);
  assert.deepEqual([names(informer.ownedBy('rs-1')), names(informer.ownedBy('rs-2')), names(informer.ownedBy('rs-3'))], [['a'], ['b'], []]);
  assert.deepEqual([names(informer.indexed('owner', 'rs-1')), names(informer.indexed('owner', 'rs-2')), names(informer.indexed('no', 'x'))], [['a'], ['b'], []]);
  const late: string[] = [];
  informer.onChange((change) => late.push(`${change.type} ${change.object.metadata.name}`));
  assert.deepEqual(late.toSorted(), ['added a', 'added b']);
});

test('Informers shares one informer per kind and selector and starts late ones at once', async () => {
  const { client, requests } = scripted([{ list: [], revision: '1', watches: [] }, { list: [], revision: '1', watches: [] }]);
  const informers = new Informers(client, silentLogger());
  const stop = new AbortController();
  const pods = informers.of(resources.pods);
  assert.equal(informers.of(resources.pods), pods);
  const run = informers.run(stop.signal);
  await informers.ready(stop.signal);
  const some = informers.of(resources.pods, { labelSelector: 'a=b' });
  assert.notEqual(some, pods);
  await some.ready(stop.signal);
  assert.equal(requests.filter((request) => request === 'list').length, 2);
  stop.abort();
  await run;
  await assert.rejects(informers.ready(stop.signal), { code: 'cancelled' });
});

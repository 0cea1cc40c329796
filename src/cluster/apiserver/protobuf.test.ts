import assert from 'node:assert/strict';
import { get } from 'node:http';
import { test } from 'node:test';
import { KubernetesProtobuf, takeWatchFrames } from '../../wire/mod.ts';
import { type ApiCaller, apiCaller, at } from './testing/api-caller.ts';
import { openTestApiServer, type TestApiServer } from './testing/test-api-server.ts';

const codec = KubernetesProtobuf.load();
const protobuf = 'application/vnd.kubernetes.protobuf';
const maps = '/api/v1/namespaces/default/configmaps';
const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

interface Binary { readonly code: number; readonly type: string; readonly value: Record<string, unknown> }

/** Reads a path in the binary form; JSON answers are parsed as such. */
async function read(server: TestApiServer, path: string, accept = `${protobuf},application/json`, method = 'GET'): Promise<Binary> {
  const response = await fetch(server.url + path, { method, headers: { authorization: `Bearer ${server.connection.token}`, accept } });
  const type = response.headers.get('content-type') ?? '';
  const bytes = Buffer.from(await response.arrayBuffer());
  return { code: response.status, type, value: type === protobuf ? codec.decode(bytes) : (JSON.parse(bytes.toString()) as Record<string, unknown>) };
}

function check(title: string, run: (server: TestApiServer, call: ApiCaller) => Promise<void>): void {
  test(`protobuf answers ${title}`, async () => {
    await using server = await openTestApiServer();
    await run(server, apiCaller(server));
  });
}

check('say of every kind what JSON says', async (server, call) => {
  const deployment = { metadata: { name: 'web', labels: { a: 'b' } }, spec: { replicas: 0, selector: { matchLabels: { a: 'b' } }, template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i', livenessProbe: { httpGet: { port: 'http' } }, ports: [{ name: 'http', containerPort: 80 }], resources: { limits: { cpu: '250m' } } }] } } } };
  await call('POST', '/apis/apps/v1/namespaces/default/deployments?fieldManager=test', deployment);
  await call('POST', maps, { metadata: { name: 'a' }, data: { x: '' }, binaryData: { b: 'AAEC' } });
  for (const kind of server.server.machine.kinds.all()) {
    if (kind.isCustom) continue;
    const { group, version, plural } = kind.type;
    const path = `${group === '' ? '/api' : `/apis/${group}`}/${version}/${plural}`;
    const json = await call('GET', path);
    const binary = await read(server, path);
    assert.deepEqual([binary.code, binary.type], [200, protobuf], path);
    const items = (binary.value['items'] ?? []) as Record<string, unknown>[];
    // Inside a list neither form needs kind and apiVersion; the binary one has no place for them.
    const bare = (json.body['items'] as Record<string, unknown>[]).map(({ kind: _k, apiVersion: _a, ...rest }) => rest);
    assert.deepEqual(items.map(sorted), bare.map(sorted), path);
    assert.equal(at(binary.value, 'metadata.resourceVersion'), at(json.body, 'metadata.resourceVersion'));
  }
});

/** Without what the two forms may say in two ways: fields with an empty value. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const isEmpty = (item: unknown): boolean => item === '' || item === null || item === false || item === 0 || (typeof item === 'object' && Object.keys(item).length === 0);
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, sorted(item)] as const).filter(([, item]) => !isEmpty(item)).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

check('are given for objects, writes, deletions, errors and metadata', async (server, call) => {
  await call('POST', maps, { metadata: { name: 'a', labels: { k: 'v' } }, data: { x: '1' } });
  const one = await read(server, `${maps}/a`);
  assert.deepEqual([one.value['kind'], one.value['data']], ['ConfigMap', { x: '1' }]);
  const missing = await read(server, `${maps}/none`);
  assert.deepEqual([missing.code, missing.type, missing.value['reason'], at(missing.value, 'details.name')], [404, protobuf, 'NotFound', 'none']);
  const partial = await read(server, maps, `${protobuf};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1`);
  assert.deepEqual([partial.value['kind'], at(partial.value, 'items.0.metadata.labels'), at(partial.value, 'items.0.data')], ['PartialObjectMetadataList', { k: 'v' }, undefined]);
  const gone = await read(server, `${maps}/a`, protobuf, 'DELETE');
  assert.deepEqual([gone.value['kind'], gone.value['status']], ['Status', 'Success']);
});

check('are in the order of Accept, and never tables', async (server) => {
  const table = 'application/json;as=Table;v=v1;g=meta.k8s.io';
  assert.equal((await read(server, maps, `${protobuf};as=Table;v=v1;g=meta.k8s.io,${table}`)).value['kind'], 'Table');
  assert.equal((await read(server, maps, `application/json,${protobuf}`)).type, 'application/json');
  assert.equal((await read(server, maps, `application/json;q=0.5,${protobuf};q=0.9`)).type, protobuf);
  assert.equal((await read(server, maps, 'application/cbor')).code, 406);
});

check('leave custom objects to JSON, but not their metadata', async (server, call) => {
  const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
  await call('POST', definitions, { metadata: { name: 'widgets.example.com' }, spec: { group: 'example.com', scope: 'Namespaced', names: { plural: 'widgets', kind: 'Widget' }, versions: [{ name: 'v1', served: true, storage: true, schema }] } });
  const widgets = '/apis/example.com/v1/namespaces/default/widgets';
  await call('POST', widgets, { metadata: { name: 'a' }, spec: { x: 1 } });
  assert.equal((await read(server, `${widgets}/a`)).type, 'application/json');
  assert.equal((await read(server, `${widgets}/a`, protobuf)).code, 406);
  const partial = await read(server, `${widgets}/a`, `${protobuf};as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1`);
  assert.deepEqual([partial.type, at(partial.value, 'metadata.name')], [protobuf, 'a']);
});

check('come as length-prefixed frames on a watch', async (server, call) => {
  await call('POST', maps, { metadata: { name: 'a' }, data: { x: '1' } });
  const path = `${maps}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=30`;
  const { type, events } = await readFrames(server, path, 3, () => call('DELETE', `${maps}/a`));
  assert.equal(type, `${protobuf};stream=watch`);
  const seen = events.map((event) => [event.type, at(codec.decode(event.object), 'kind'), at(codec.decode(event.object), 'metadata.name')]);
  assert.deepEqual(seen, [['ADDED', 'ConfigMap', 'a'], ['BOOKMARK', 'ConfigMap', undefined], ['DELETED', 'ConfigMap', 'a']]);
  assert.deepEqual(at(codec.decode(events[1]?.object ?? new Uint8Array()), 'metadata.annotations'), { 'k8s.io/initial-events-end': 'true' });
});

check('tell a watch that is too old in a frame too', async (server, call) => {
  await call('POST', maps, { metadata: { name: 'a' } });
  await call('POST', maps, { metadata: { name: 'b' } });
  await server.store.compact(server.store.revision);
  const { events } = await readFrames(server, `${maps}?watch=true&resourceVersion=1`, 1, async () => undefined);
  assert.deepEqual([events[0]?.type, codec.decode(events[0]?.object ?? new Uint8Array())['reason']], ['ERROR', 'Expired']);
});

interface Frames { readonly type: string; readonly events: { type: string; object: Uint8Array }[] }

function readFrames(server: TestApiServer, path: string, count: number, afterTwo: () => Promise<unknown>): Promise<Frames> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${server.connection.token}`, accept: protobuf };
    const request = get(server.url + path, { agent: false, headers }, (response) => {
      let buffer = Buffer.alloc(0);
      const events: Frames['events'] = [];
      let isAsked = false;
      response.on('data', (chunk: Buffer) => {
        const taken = takeWatchFrames(Buffer.concat([buffer, chunk]));
        buffer = Buffer.from(taken.rest);
        events.push(...taken.events.map((event) => ({ ...event, object: Buffer.from(event.object) })));
        if (events.length >= 2 && !isAsked) {
          isAsked = true;
          afterTwo().catch(reject);
        }
        if (events.length < count) return;
        resolve({ type: response.headers['content-type'] ?? '', events });
        request.destroy();
      });
      response.on('end', () => resolve({ type: response.headers['content-type'] ?? '', events }));
    });
    request.once('error', reject);
  });
}

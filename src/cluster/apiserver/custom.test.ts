import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gantryDefinitions } from '../../api/mod.ts';
import { pollUntil } from '../../kernel/mod.ts';
import { SqliteObjectStore } from '../../store/mod.ts';
import { type ApiCaller, apiCaller, at, patchHeaders } from './testing/api-caller.ts';
import { openTestApiServer, standingClock, type TestApiServer } from './testing/test-api-server.ts';

const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const widgets = '/apis/example.com/v1/namespaces/default/widgets';

const definition = (version: object = {}, more: object = {}): object => ({
  metadata: { name: 'widgets.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { plural: 'widgets', kind: 'Widget', shortNames: ['wd'], categories: ['all'] },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              spec: {
                type: 'object',
                required: ['size'],
                properties: {
                  size: { type: 'integer', minimum: 1, maximum: 9 },
                  colour: { type: 'string', enum: ['red', 'blue'], default: 'red' },
                  code: { type: 'string', pattern: '^[a-z]+$', maxLength: 4 },
                  parts: { type: 'array', maxItems: 2, items: { type: 'object', required: ['name'], properties: { name: { type: 'string' } } }, 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] },
                  either: { type: 'object', properties: { a: { type: 'string' }, b: { type: 'string' } }, oneOf: [{ required: ['a'] }, { required: ['b'] }] },
                  port: { 'x-kubernetes-int-or-string': true },
                  when: { type: 'string', format: 'date-time' },
                },
              },
              status: { type: 'object', properties: { ready: { type: 'integer' }, selector: { type: 'string' } } },
            },
          },
        },
        subresources: { status: {}, scale: { specReplicasPath: '.spec.size', statusReplicasPath: '.status.ready', labelSelectorPath: '.status.selector' } },
        additionalPrinterColumns: [
          { name: 'Size', type: 'integer', jsonPath: '.spec.size' },
          { name: 'Colour', type: 'string', jsonPath: '.spec.colour' },
          { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
        ],
        selectableFields: [{ jsonPath: '.spec.colour' }],
        ...version,
      },
    ],
    ...more,
  },
});

function check(title: string, run: (call: ApiCaller, server: TestApiServer) => Promise<void>): void {
  test(`a CustomResourceDefinition ${title}`, async () => {
    await using server = await openTestApiServer({ clock: standingClock });
    await run(apiCaller(server), server);
  });
}

check('is served at once, with defaults, pruning, validation, columns and selectors', async (call) => {
  const made = await call('POST', definitions, definition());
  assert.equal(made.code, 201);
  assert.deepEqual((at(made.body, 'status.conditions') as { type: string; status: string }[]).map(({ type, status }) => [type, status]), [['NamesAccepted', 'True'], ['Established', 'True']]);
  const widget = await call('POST', widgets, { metadata: { name: 'a' }, spec: { size: 3, stray: 1, parts: [{ name: 'x', stray: 2 }] }, status: { ready: 1 } });
  assert.deepEqual([widget.code, widget.body['spec'], widget.body['status']], [201, { size: 3, colour: 'red', parts: [{ name: 'x' }] }, undefined]);
  assert.match(String(widget.headers.get('warning')), /unknown field \\"spec\.stray\\".*unknown field \\"spec\.parts\[0\]\.stray\\"/);
  const table = await call('GET', widgets, undefined, { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' });
  assert.deepEqual(at(table.body, 'rows.0.cells'), ['a', 3, 'red', '0s']);
  await call('POST', widgets, { metadata: { name: 'b' }, spec: { size: 1, colour: 'blue' } });
  assert.deepEqual(((await call('GET', `${widgets}?fieldSelector=spec.colour%3Dblue`)).body['items'] as unknown[]).map((item) => at(item, 'metadata.name')), ['b']);
});

check('refuses objects with the messages Kubernetes gives', async (call) => {
  await call('POST', definitions, definition());
  const table: [spec: unknown, message: RegExp][] = [
    [{}, /spec\.size: Required value/],
    [{ size: 'big' }, /spec\.size: Invalid value: "string": spec\.size in body must be of type integer: "string"/],
    [{ size: 0 }, /spec\.size: Invalid value: 0: spec\.size in body should be greater than or equal to 1/],
    [{ size: 10 }, /should be less than or equal to 9/],
    [{ size: 1, colour: 'green' }, /spec\.colour: Unsupported value: "green": supported values: "blue", "red"/],
    [{ size: 1, code: 'ABC' }, /spec\.code in body should match '\^\[a-z\]\+\$'/],
    [{ size: 1, code: 'abcde' }, /spec\.code: Too long: may not be more than 4 bytes/],
    [{ size: 1, parts: [{ name: 'a' }, { name: 'b' }, { name: 'c' }] }, /spec\.parts: Too many: 3: must have at most 2 items/],
    [{ size: 1, parts: [{ name: 'a' }, { name: 'a' }] }, /spec\.parts\[1\]: Duplicate value: {"name":"a"}/],
    [{ size: 1, parts: [{}] }, /spec\.parts\[0\]\.name: Required value/],
    [{ size: 1, either: { a: 'x', b: 'y' } }, /must validate one and only one schema \(oneOf\)/],
    [{ size: 1, port: 1.5 }, /must be of type integer,string/],
    [{ size: 1, when: 'noon' }, /must be of type date-time: "noon"/],
    ['text', /spec: Invalid value: "string": spec in body must be of type object: "string"/],
  ];
  for (const [spec, message] of table) {
    const answer = await call('POST', widgets, { metadata: { name: 'x' }, spec });
    assert.deepEqual([answer.code, message.test(String(answer.body['message']))], [422, true], `${JSON.stringify(spec)}: ${String(answer.body['message'])}`);
  }
  assert.equal((await call('POST', widgets, { metadata: { name: 'x', labels: 7 }, spec: { size: 1 } })).code, 400);
});

check('offers status and scale subresources', async (call) => {
  await call('POST', definitions, definition());
  const made = await call('POST', widgets, { metadata: { name: 'a' }, spec: { size: 2 } });
  await call('PATCH', `${widgets}/a/status`, { spec: { size: 9 }, status: { ready: 1, selector: 'app=a' }, metadata: { labels: { x: 'y' } } }, patchHeaders.merge);
  assert.equal((await call('PATCH', `${widgets}/a/scale`, { spec: { replicas: 5 } }, patchHeaders.merge)).code, 200);
  const scale = await call('GET', `${widgets}/a/scale`);
  assert.deepEqual([at(scale.body, 'spec.replicas'), scale.body['status']], [5, { replicas: 1, selector: 'app=a' }]);
  const { body } = await call('GET', `${widgets}/a`);
  assert.deepEqual([at(body, 'spec.size'), at(body, 'metadata.labels'), at(body, 'metadata.generation')], [5, undefined, 2]);
  const stale = await call('PUT', `${widgets}/a`, { metadata: { name: 'a' }, spec: { size: 3 } });
  assert.match(String(stale.body['message']), /metadata\.resourceVersion: Invalid value: 0: must be specified for an update/);
  assert.equal((await call('PUT', `${widgets}/a`, { ...made.body, spec: { size: 3 } })).code, 409);
  assert.equal((await call('PATCH', `${widgets}/a`, {}, patchHeaders.strategic)).code, 415);
});

check('is withdrawn when it is deleted, and its objects with it', async (call, server) => {
  await call('POST', definitions, definition());
  await call('POST', widgets, { metadata: { name: 'a', finalizers: ['example.com/hold'] }, spec: { size: 1 } });
  await call('POST', widgets, { metadata: { name: 'b' }, spec: { size: 1 } });
  await call('DELETE', `${definitions}/widgets.example.com`);
  assert.equal((await call('POST', widgets, { metadata: { name: 'c' }, spec: { size: 1 } })).code, 405);
  await pollUntil('b to go', async () => ((await call('GET', `${widgets}/b`)).code === 404 ? true : undefined), { timeoutMs: 30_000 }, AbortSignal.timeout(30_000));
  assert.equal((await call('GET', `${definitions}/widgets.example.com`)).code, 200, 'waits for the finalizer of a');
  await call('PATCH', `${widgets}/a`, { metadata: { finalizers: null } }, patchHeaders.merge);
  await pollUntil('the definition to go', async () => ((await call('GET', `${definitions}/widgets.example.com`)).code === 404 ? true : undefined), { timeoutMs: 30_000 }, AbortSignal.timeout(30_000));
  assert.equal((await call('GET', widgets)).code, 404);
  assert.deepEqual((await server.store.list('/example.com/')).entries, []);
});

check('may serve several versions of the same objects', async (call) => {
  const schema = { openAPIV3Schema: { type: 'object', properties: { spec: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } } } };
  const versions = [{ name: 'v1beta1', served: true, storage: false, schema }, { name: 'v1', served: true, storage: true, schema }];
  await call('POST', definitions, definition({}, { versions }));
  await call('POST', '/apis/example.com/v1beta1/namespaces/default/widgets', { apiVersion: 'example.com/v1beta1', kind: 'Widget', metadata: { name: 'a' }, spec: { x: 1 } });
  for (const version of ['v1', 'v1beta1']) {
    const { body } = await call('GET', `/apis/example.com/${version}/namespaces/default/widgets/a`);
    assert.deepEqual([body['apiVersion'], body['spec']], [`example.com/${version}`, { x: 1 }]);
    const list = await call('GET', `/apis/example.com/${version}/namespaces/default/widgets`);
    assert.deepEqual([list.body['apiVersion'], at(list.body, 'items.0.apiVersion')], [`example.com/${version}`, `example.com/${version}`]);
  }
  const group = await call('GET', '/apis/example.com');
  assert.deepEqual([at(group.body, 'preferredVersion.version'), (group.body['versions'] as unknown[]).length], ['v1', 2]);
});

check('is checked itself', async (call) => {
  const version = (schema: object): object => definition({ schema: { openAPIV3Schema: schema } });
  const table: [definition: object, message: RegExp][] = [
    [{ ...definition(), metadata: { name: 'wrong' } }, /metadata\.name: Invalid value: "wrong": must be spec\.names\.plural\+"\."\+spec\.group/],
    [definition({ storage: false }), /must have exactly one version marked as storage version/],
    [definition({ schema: undefined }), /spec\.versions\[0\]\.schema\.openAPIV3Schema: Required value/],
    [version({ type: 'string' }), /must be object at the root/],
    [version({ type: 'object', properties: { a: {} } }), /properties\[a\]\.type: Required value/],
    [version({ type: 'object', properties: { a: { type: 'array' } } }), /properties\[a\]\.items: Required value/],
    [version({ type: 'object', properties: { a: { type: 'string', pattern: '(' } } }), /must be a valid regular expression/],
    [version({ type: 'object', properties: { a: { $ref: '#/x', type: 'object' } } }), /\$ref is not supported/],
    [definition({ additionalPrinterColumns: [{ name: 'X', type: 'string', jsonPath: '.a[' }] }), /additionalPrinterColumns\[0\]\.jsonPath/],
    [definition({}, { conversion: { strategy: 'Webhook' } }), /spec\.conversion\.strategy: Unsupported value: "Webhook"/],
    [definition({}, { scope: 'Galaxy' }), /spec\.scope: Unsupported value: "Galaxy"/],
  ];
  for (const [given, message] of table) {
    const answer = await call('POST', definitions, given);
    assert.deepEqual([answer.code, message.test(String(answer.body['message']))], [422, true], String(answer.body['message']));
  }
});

test('custom objects and their kinds are there again after a restart', async () => {
  await using store = await SqliteObjectStore.open(':memory:');
  {
    await using server = await openTestApiServer({ store });
    const call = apiCaller(server);
    for (const given of gantryDefinitions) assert.equal((await call('POST', definitions, given)).code, 201);
    await call('POST', '/apis/gantry.dev/v1/namespaces/default/repositories', { metadata: { name: 'shop' }, spec: {} });
  }
  await using server = await openTestApiServer({ store });
  const { code, body } = await apiCaller(server)('GET', '/apis/gantry.dev/v1/namespaces/default/repositories/shop');
  assert.deepEqual([code, at(body, 'spec.defaultBranch')], [200, 'main']);
});

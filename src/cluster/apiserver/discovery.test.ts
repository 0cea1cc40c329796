import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gantryDefinitions } from '../../api/mod.ts';
import { compareVersions } from './discovery/resource-list.ts';
import { apiCaller, at } from './testing/api-caller.ts';
import { openTestApiServer } from './testing/test-api-server.ts';

test('discovery tells the same in both forms, custom kinds included', async () => {
  await using server = await openTestApiServer();
  const call = apiCaller(server);
  for (const given of gantryDefinitions) await call('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', given);
  const legacy: string[] = [];
  const groups = (await call('GET', '/apis')).body['groups'] as { versions: { groupVersion: string }[] }[];
  for (const path of ['/api/v1', ...groups.flatMap(({ versions }) => versions.map(({ groupVersion }) => `/apis/${groupVersion}`))]) {
    const { body } = await call('GET', path);
    legacy.push(...(body['resources'] as { name: string; kind: string }[]).map(({ name }) => `${String(body['groupVersion'])} ${name}`));
  }
  const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json';
  const aggregated: string[] = [];
  for (const path of ['/api', '/apis']) {
    const answer = await call('GET', path, undefined, { accept });
    assert.equal(answer.headers.get('content-type'), 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList');
    assert.equal((await call('GET', path, undefined, { accept, 'if-none-match': answer.headers.get('etag') ?? '' })).code, 304);
    for (const group of answer.body['items'] as { metadata: { name: string }; versions: { version: string; resources: { resource: string; subresources?: { subresource: string }[] }[] }[] }[]) {
      for (const { version, resources } of group.versions) {
        const prefix = group.metadata.name === '' ? version : `${group.metadata.name}/${version}`;
        for (const { resource, subresources = [] } of resources) aggregated.push(`${prefix} ${resource}`, ...subresources.map(({ subresource }) => `${prefix} ${resource}/${subresource}`));
      }
    }
  }
  assert.deepEqual(aggregated.toSorted(), legacy.toSorted());
  for (const name of ['v1 pods/exec', 'v1 pods/log', 'apps/v1 deployments/scale', 'gantry.dev/v1 workflowruns/status', 'authorization.k8s.io/v1 selfsubjectaccessreviews']) assert.ok(legacy.includes(name), name);
});

test('compareVersions() puts stable before beta before alpha, newest first', () => {
  assert.deepEqual(['v1alpha1', 'v2beta1', 'v1', 'v1beta2', 'v2', 'foo', 'v11'].toSorted(compareVersions), ['v11', 'v2', 'v1', 'v2beta1', 'v1beta2', 'v1alpha1', 'foo']);
});

test('OpenAPI v3 has every kind, and every reference leads somewhere', async () => {
  await using server = await openTestApiServer();
  const call = apiCaller(server);
  for (const given of gantryDefinitions) await call('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', given);
  const { body } = await call('GET', '/openapi/v3');
  const paths = body['paths'] as Record<string, { serverRelativeURL: string }>;
  assert.ok(Object.keys(paths).includes('apis/gantry.dev/v1'));
  for (const [name, { serverRelativeURL }] of Object.entries(paths)) {
    const document = await call('GET', serverRelativeURL);
    assert.equal(document.code, 200, name);
    const schemas = at(document.body, 'components.schemas') as Record<string, object>;
    for (const [, id = ''] of document.text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)) assert.ok(schemas[id], `${name}: ${id}`);
    for (const { type } of server.server.machine.kinds.all()) {
      const group = type.group === '' ? `api/${type.version}` : `apis/${type.group}/${type.version}`;
      if (group === name) assert.ok(Object.values(schemas).some((schema) => JSON.stringify(at(schema, 'x-kubernetes-group-version-kind')) === JSON.stringify([{ group: type.group, version: type.version, kind: type.kind }])), type.kind);
    }
  }
  const apps = await call('GET', '/openapi/v3/apis/apps/v1');
  const patch = at(apps.body, 'paths./apis/apps/v1/namespaces/{namespace}/deployments/{name}.patch') ?? (apps.body['paths'] as Record<string, Record<string, unknown>>)['/apis/apps/v1/namespaces/{namespace}/deployments/{name}']?.['patch'];
  assert.ok((at(patch, 'parameters') as { name: string }[]).some(({ name }) => name === 'fieldValidation'));
  const v2 = await call('GET', '/openapi/v2');
  const definitions = v2.body['definitions'] as Record<string, unknown>;
  for (const [, id = ''] of v2.text.matchAll(/"#\/definitions\/([^"]+)"/g)) assert.ok(definitions[id], id);
  assert.ok(definitions['dev.gantry.v1.Repository']);
});

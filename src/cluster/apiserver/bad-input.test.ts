import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { apiCaller, at, patchHeaders } from './testing/api-caller.ts';
import { openTestApiServer, testToken } from './testing/test-api-server.ts';

const maps = '/api/v1/namespaces/default/configmaps';

test('ApiServer answers bad input with the right Status and goes on serving', async () => {
  await using server = await openTestApiServer();
  const call = apiCaller(server);
  await call('POST', maps, { metadata: { name: 'a' } });
  const deep = '['.repeat(100_000) + ']'.repeat(100_000);
  const laughs = ['a: &a [x,x,x,x,x,x,x,x,x,x]', ...'bcdefghij'.split('').map((name, index) => `${name}: &${name} [${Array(10).fill(`*${'abcdefghij'[index]}`).join(',')}]`)].join('\n');
  const yaml = { 'content-type': 'application/yaml' };
  const table: [title: string, method: string, path: string, body: unknown, headers: Record<string, string>, code: number][] = [
    ['no JSON', 'POST', maps, '{"metadata":', {}, 400],
    ['a JSON array', 'POST', maps, [], {}, 400],
    ['a JSON string', 'POST', maps, '"x"', {}, 400],
    ['no body', 'POST', maps, undefined, {}, 400],
    ['too deep', 'POST', maps, deep, {}, 400],
    ['a deep schema', 'POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', `{"spec":{"versions":[{"schema":{"openAPIV3Schema":${'{"properties":{"a":'.repeat(20_000)}{}${'}}'.repeat(20_000)}}}]}}`, {}, 400],
    ['too large', 'POST', maps, JSON.stringify({ metadata: { name: 'x' }, data: { a: 'y'.repeat(4 << 20) } }), {}, 413],
    ['too large when unpacked', 'POST', maps, gzipSync(Buffer.alloc(8 << 20, 32)), { 'content-encoding': 'gzip' }, 413],
    ['broken gzip', 'POST', maps, Buffer.from('not gzip'), { 'content-encoding': 'gzip' }, 400],
    ['unknown encoding', 'POST', maps, '{}', { 'content-encoding': 'br' }, 415],
    ['unknown media type', 'POST', maps, '{}', { 'content-type': 'application/xml' }, 415],
    ['broken YAML', 'POST', maps, 'metadata:\n  name: [', yaml, 400],
    ['two YAML documents', 'POST', maps, 'metadata: {}\n---\nmetadata: {}\n', yaml, 400],
    ['aliases of aliases', 'POST', maps, laughs, yaml, 400],
    ['broken protobuf', 'POST', maps, Buffer.from('k8s\0\xff\xff\xff\xff', 'latin1'), { 'content-type': 'application/vnd.kubernetes.protobuf' }, 400],
    ['no protobuf', 'POST', maps, Buffer.from('hello'), { 'content-type': 'application/vnd.kubernetes.protobuf' }, 400],
    ['another kind', 'POST', maps, { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'x' } }, {}, 400],
    ['another version', 'POST', maps, { apiVersion: 'v2', kind: 'ConfigMap', metadata: { name: 'x' } }, {}, 400],
    ['another namespace', 'POST', maps, { metadata: { name: 'x', namespace: 'other' } }, {}, 400],
    ['a resourceVersion', 'POST', maps, { metadata: { name: 'x', resourceVersion: '1' } }, {}, 400],
    ['metadata of the wrong type', 'POST', maps, { metadata: 'x' }, {}, 400],
    ['labels of the wrong type', 'POST', maps, { metadata: { name: 'x', labels: { a: 1 } } }, {}, 400],
    ['a bad label', 'POST', maps, { metadata: { name: 'x', labels: { '/': 'a b' } } }, {}, 422],
    ['a path as a name', 'POST', maps, { metadata: { name: '../../etc' } }, {}, 422],
    ['no name', 'POST', maps, { metadata: {} }, {}, 422],
    ['null data', 'POST', maps, { metadata: { name: 'nulls', labels: null }, data: null }, {}, 201],
    ['a bad escape in the path', 'GET', `${maps}/%zz`, undefined, {}, 404],
    ['an escaped slash', 'GET', `${maps}/a%2Fb`, undefined, {}, 404],
    ['a method that is not there', 'POST', `${maps}/a`, {}, {}, 405],
    ['another method that is not there', 'PUT', maps, {}, {}, 405],
    ['a subresource that is not there', 'GET', `${maps}/a/status`, undefined, {}, 404],
    ['a bad limit', 'GET', `${maps}?limit=many`, undefined, {}, 400],
    ['a bad resourceVersion', 'GET', `${maps}?resourceVersion=x`, undefined, {}, 400],
    ['a bad timeout', 'GET', `${maps}?watch=1&timeoutSeconds=x`, undefined, {}, 400],
    ['bad delete options', 'DELETE', `${maps}/a`, '[]', {}, 400],
    ['a bad grace period', 'DELETE', `${maps}/a`, { gracePeriodSeconds: 'soon' }, {}, 400],
    ['a patch of the wrong shape', 'PATCH', `${maps}/a`, '[]', patchHeaders.merge, 400],
    ['a JSON patch of the wrong shape', 'PATCH', `${maps}/a`, '{}', patchHeaders.json, 400],
    ['a patch that renames', 'PATCH', `${maps}/a`, { metadata: { name: 'b' } }, patchHeaders.merge, 400],
    ['a patch to another type', 'PATCH', `${maps}/a`, { data: 'x' }, patchHeaders.merge, 400],
    ['an unknown group', 'GET', '/apis/example.com/v1/things', undefined, {}, 404],
    ['nothing at all', 'GET', '/nothing', undefined, {}, 404],
  ];
  for (const [title, method, path, body, headers, code] of table) {
    const answer = await call(method, path, body, headers);
    assert.equal(answer.code, code, `${title}: ${answer.text.slice(0, 300)}`);
    if (code >= 400) assert.deepEqual([answer.body['kind'], answer.body['status'], answer.body['code']], ['Status', 'Failure', code], title);
  }
  assert.equal((await call('GET', `${maps}/a`)).code, 200);
  assert.deepEqual(((await call('GET', maps)).body['items'] as unknown[]).map((item) => at(item, 'metadata.name')), ['a', 'nulls']);
});

test('ApiServer stores nothing of an upload that is cut off', async () => {
  await using server = await openTestApiServer();
  const body = JSON.stringify({ metadata: { name: 'cut' } });
  await new Promise<void>((resolve, reject) => {
    const socket = connect(server.server.port, '127.0.0.1', () => {
      socket.write(`POST ${maps} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${testToken}\r\ncontent-type: application/json\r\ncontent-length: ${body.length + 10}\r\n\r\n${body}`, () => socket.destroy());
    });
    socket.once('close', () => resolve());
    socket.once('error', reject);
  });
  const call = apiCaller(server);
  assert.equal((await call('GET', `${maps}/cut`)).code, 404);
  assert.equal((await call('POST', maps, body)).code, 201);
});

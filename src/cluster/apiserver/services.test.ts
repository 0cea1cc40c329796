import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ApiCaller, apiCaller, at, patchHeaders } from './testing/api-caller.ts';
import { openTestApiServer } from './testing/test-api-server.ts';

const services = '/api/v1/namespaces/default/services';

function check(title: string, run: (call: ApiCaller) => Promise<void>): void {
  test(`Services ${title}`, async () => {
    await using server = await openTestApiServer({ serviceCidr: '10.5.0.0/28', nodePortRange: { from: 31_000, to: 31_002 } });
    await run(apiCaller(server));
  });
}

const service = (name: string, spec: object = {}): object => ({ metadata: { name }, spec: { selector: { app: name }, ports: [{ port: 80 }], ...spec } });

check('get an address of the range each, until none is left', async (call) => {
  const answers = await Promise.all(Array.from({ length: 14 }, (_, index) => call('POST', services, service(`s${index}`))));
  const addresses = answers.filter(({ code }) => code === 201).map(({ body }) => String(at(body, 'spec.clusterIP')));
  assert.equal(addresses.length, 13, '16 addresses less network, broadcast and the API server');
  assert.equal(new Set(addresses).size, 13);
  for (const address of addresses) assert.match(address, /^10\.5\.0\.([2-9]|1[0-4])$/);
  const full = await call('POST', services, service('full'));
  assert.deepEqual([full.code, full.body['reason']], [429, 'TooManyRequests']);
  await call('DELETE', `${services}/s0`);
  assert.equal((await call('POST', services, service('again'))).code, 201);
});

check('may ask for an address, and only once for each', async (call) => {
  assert.equal(at((await call('GET', `${services}/kubernetes`)).body, 'spec.clusterIP'), '10.5.0.1');
  assert.equal(at((await call('POST', services, service('a', { clusterIP: '10.5.0.9' }))).body, 'spec.clusterIP'), '10.5.0.9');
  const taken = await call('POST', services, service('b', { clusterIP: '10.5.0.9' }));
  assert.match(String(taken.body['message']), /spec\.clusterIPs: Invalid value: \["10\.5\.0\.9"\]: failed to allocate IP 10\.5\.0\.9: provided IP is already allocated/);
  const outside = await call('POST', services, service('c', { clusterIP: '10.6.0.1' }));
  assert.match(String(outside.body['message']), /The range of valid IPs is 10\.5\.0\.0\/28/);
  const both = await Promise.all(['d', 'e'].map((name) => call('POST', services, service(name, { clusterIP: '10.5.0.11' }))));
  assert.deepEqual(both.map(({ code }) => code).toSorted((a, b) => a - b), [201, 422]);
  const moved = await call('PATCH', `${services}/a`, { spec: { clusterIP: '10.5.0.10', clusterIPs: ['10.5.0.10'] } }, patchHeaders.merge);
  assert.match(String(moved.body['message']), /may not change once set/);
});

check('of type NodePort get a port of the range and keep it over updates', async (call) => {
  const made = await call('POST', services, service('a', { type: 'NodePort', ports: [{ name: 'x', port: 80 }, { name: 'y', port: 81 }] }));
  const ports = [at(made.body, 'spec.ports.0.nodePort'), at(made.body, 'spec.ports.1.nodePort')];
  assert.notEqual(ports[0], ports[1]);
  const replaced = await call('PUT', `${services}/a`, service('a', { type: 'NodePort', ports: [{ name: 'y', port: 81 }, { name: 'x', port: 80, targetPort: 8080 }] }));
  assert.deepEqual([at(replaced.body, 'spec.ports.1.nodePort'), at(replaced.body, 'spec.ports.0.nodePort')], ports);
  assert.equal(at(replaced.body, 'spec.clusterIP'), at(made.body, 'spec.clusterIP'));
  const fixed = await call('POST', services, service('b', { type: 'NodePort', ports: [{ port: 80, nodePort: ports[0] }] }));
  assert.match(String(fixed.body['message']), /spec\.ports\[0\]\.nodePort: Invalid value: \d+: provided port is already allocated/);
  const outside = await call('POST', services, service('b', { type: 'NodePort', ports: [{ port: 80, nodePort: 80 }] }));
  assert.match(String(outside.body['message']), /The range of valid ports is 31000-31002/);
  const plain = await call('PATCH', `${services}/a`, { spec: { type: 'ClusterIP' } }, patchHeaders.strategic);
  assert.deepEqual([at(plain.body, 'spec.ports.0.nodePort'), at(plain.body, 'spec.externalTrafficPolicy')], [undefined, undefined]);
  assert.equal((await call('POST', services, service('b', { type: 'NodePort', ports: [{ port: 80, nodePort: ports[0] }] }))).code, 201);
});

check('without an address, and names for outside', async (call) => {
  const headless = await call('POST', services, service('h', { clusterIP: 'None', ports: undefined }));
  assert.deepEqual([headless.code, at(headless.body, 'spec.clusterIPs')], [201, ['None']]);
  const external = await call('POST', services, { metadata: { name: 'e' }, spec: { type: 'ExternalName', externalName: 'example.com' } });
  assert.deepEqual([external.code, at(external.body, 'spec.clusterIP')], [201, undefined]);
  const back = await call('PATCH', `${services}/e`, { spec: { type: 'ClusterIP', externalName: null, ports: [{ port: 80 }] } }, patchHeaders.merge);
  assert.match(String(at(back.body, 'spec.clusterIP')), /^10\.5\.0\./);
});

check('are checked', async (call) => {
  const table: [spec: object, message: RegExp][] = [
    [{ ports: [] }, /spec\.ports: Required value/],
    [{ ports: [{ port: 80 }, { port: 81 }] }, /spec\.ports\[0\]\.name: Required value/],
    [{ ports: [{ port: 0 }] }, /spec\.ports\[0\]\.port: Invalid value: 0: must be between 1 and 65535, inclusive/],
    [{ type: 'Teleport' }, /spec\.type: Unsupported value: "Teleport": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"/],
    [{ sessionAffinity: 'Sticky' }, /spec\.sessionAffinity: Unsupported value/],
    [{ ports: [{ port: 80, nodePort: 31_000 }] }, /nodePort: Forbidden: may not be used when `type` is 'ClusterIP'/],
    [{ ipFamilies: ['IPv6'] }, /not configured on this cluster/],
    [{ ports: [{ port: 80, targetPort: 'NOT-A-PORT' }] }, /targetPort: Invalid value/],
  ];
  for (const [spec, message] of table) assert.match(String((await call('POST', services, service('x', spec))).body['message']), message);
  assert.match(String((await call('POST', services, service('1x'))).body['message']), /a DNS-1035 label must/);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCidr } from './cidr.ts';
import { type InstanceRecord, type MachineUse, planRecord } from './instance-record.ts';
import type { Settings } from './settings.ts';

const free: MachineUse = { isPortUsed: () => false, networks: [] };
const first: InstanceRecord = { version: 1, instanceId: 'abcd1234', dataDir: '/d', apiPort: 6443, httpPort: 7080, registryPort: 5000, agentPort: 10_250, serviceCidr: '10.96.0.0/16', podCidr: '10.244.0.0/16', containerCidr: '10.160.0.0/16' };

function plan(settings: Settings = {}, previous?: InstanceRecord, use: MachineUse = free): InstanceRecord {
  return planRecord('abcd1234', '/d', settings, previous, use);
}

test('planRecord() takes the defaults on a free machine', () => {
  assert.deepEqual(plan(), first);
});

test('planRecord() goes past ports and networks that are in use', () => {
  const use: MachineUse = { isPortUsed: (port) => [6443, 6444, 5000].includes(port), networks: ['10.96.0.0/16', '10.244.0.0/15', '192.0.2.0/24'].map(parseCidr) };
  assert.deepEqual(plan({}, undefined, use), { ...first, apiPort: 6445, registryPort: 5001, serviceCidr: '10.97.0.0/16', podCidr: '10.246.0.0/16' });
});

test('planRecord() does not choose a port that another setting names', () => {
  assert.deepEqual(plan({ httpPort: 6443 }), { ...first, apiPort: 6444, httpPort: 6443 });
});

test('planRecord() keeps what was chosen, and lets settings move ports', () => {
  const previous = { ...first, apiPort: 7001, podCidr: '10.9.0.0/16' };
  assert.deepEqual(plan({}, previous), previous);
  assert.deepEqual(plan({ apiPort: 7002 }, previous), { ...previous, apiPort: 7002 });
  assert.deepEqual(plan({ podCidr: '10.9.0.0/16' }, previous), previous);
});

test('planRecord() keeps its own networks although the machine routes them', () => {
  assert.deepEqual(plan({}, first, { isPortUsed: () => false, networks: [parseCidr('10.244.0.0/16')] }), first);
});

const refusals: readonly { name: string; settings: Settings; previous?: InstanceRecord; use?: MachineUse; code: string; message: RegExp }[] = [
  { name: 'a port that was asked for and is busy', settings: { apiPort: 80 }, use: { isPortUsed: (port) => port === 80, networks: [] }, code: 'conflict', message: /port 80 .*--api-port/ },
  { name: 'a chosen port that is busy now', settings: {}, previous: first, use: { isPortUsed: (port) => port === 5000, networks: [] }, code: 'conflict', message: /port 5000 .*--registry-port/ },
  { name: 'one port for two things', settings: { apiPort: 1, httpPort: 1 }, code: 'invalid', message: /ports must differ/ },
  { name: 'a changed pod network', settings: { podCidr: '10.9.0.0/16' }, previous: first, code: 'invalid', message: /--pod-cidr is 10\.244\.0\.0\/16 .*cannot become/ },
  { name: 'a network that overlaps a route', settings: { podCidr: '192.0.0.0/12' }, use: { isPortUsed: () => false, networks: [parseCidr('192.0.2.0/24')] }, code: 'conflict', message: /overlaps 192\.0\.2\.0\/24/ },
  { name: 'two networks that overlap', settings: { podCidr: '10.80.0.0/12', serviceCidr: '10.88.0.0/16' }, code: 'conflict', message: /overlaps 10\.88/ },
];

for (const { name, settings, previous, use, code, message } of refusals) {
  test(`planRecord() refuses ${name}`, () => {
    assert.throws(() => plan(settings, previous, use), { code, message });
  });
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ServicePlan } from './service-plan.ts';
import { staleFlows } from './stale-flows.ts';

const plan: ServicePlan = { key: 'k', protocol: 'udp', addresses: ['10.2.0.9'], port: 53, nodePort: 30_053, balancerPort: 0, endpoints: [{ address: '10.1.0.5', port: 5_353 }], nodePortEndpoints: [{ address: '10.1.0.6', port: 5_353 }], affinitySeconds: 0 };

test('staleFlows() finds the flows that go where no endpoint is', () => {
  const cases: [destination: string, port: number, answeredBy: string, answeredFrom: number, isStale: boolean][] = [
    ['10.2.0.9', 53, '10.1.0.5', 5_353, false],
    ['10.2.0.9', 53, '10.1.0.7', 5_353, true],
    ['10.2.0.9', 53, '10.1.0.5', 5_354, true],
    ['10.2.0.9', 53, '10.2.0.9', 53, true],
    ['10.2.0.9', 54, '10.2.0.9', 54, false],
    ['192.0.2.1', 30_053, '10.1.0.6', 5_353, false],
    ['192.0.2.1', 30_053, '10.1.0.5', 5_353, true],
    ['192.0.2.1', 30_053, '192.0.2.1', 30_053, false],
  ];
  const flows = cases.map(([destination, port, answeredBy, answeredFrom]) => ({ destination, port, answeredBy, answeredFrom, tuple: Buffer.alloc(0) }));
  const stale = new Set(staleFlows(flows, [plan]));
  assert.deepEqual(flows.map((flow) => stale.has(flow)), cases.map(([, , , , isStale]) => isStale));
  assert.deepEqual(staleFlows(flows, [{ ...plan, protocol: 'tcp' }]), []);
});

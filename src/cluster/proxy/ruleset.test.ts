import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderRuleset } from './ruleset.ts';
import type { ServicePlan } from './service-plan.ts';

const options = { table: 't', serviceCidr: '10.2.0.0/16', podBridge: 'pods' };
const plan = (changes: Partial<ServicePlan> = {}): ServicePlan => ({
  key: 'shop/web:80/tcp',
  protocol: 'tcp',
  addresses: ['10.2.0.9'],
  port: 80,
  nodePort: 0,
  balancerPort: 0,
  endpoints: [{ address: '10.1.0.5', port: 8080 }],
  nodePortEndpoints: [{ address: '10.1.0.5', port: 8080 }],
  affinitySeconds: 0,
  ...changes,
});

/** The lines about services, without those that every first script has. */
function changesOf(plans: ServicePlan[], previous: ServicePlan[]): string[] {
  const first = renderRuleset(previous, options, undefined);
  return renderRuleset(plans, options, first).script.trim().split('\n').map((line) => line.replaceAll(/[0-9a-f]{16}/g, '#').replace(' ip t ', ' '));
}

const flushed = ['flush map service-ports', 'flush map node-ports', 'flush set hairpin'];

test('renderRuleset() changes an existing table by what is different', () => {
  const cases: [string, ServicePlan[], ServicePlan[], string[]][] = [
    [
      'one endpoint',
      [plan()],
      [],
      ['add chain svc-#', 'flush chain svc-#', 'add rule svc-# meta l4proto tcp dnat to 10.1.0.5:8080', 'add element service-ports { 10.2.0.9 . tcp . 80 : goto svc-# }', 'add element hairpin { 10.1.0.5 . 10.1.0.5 }'],
    ],
    [
      'two endpoints and a node port',
      [plan({ nodePort: 30080, endpoints: [{ address: '10.1.0.5', port: 80 }, { address: '10.1.0.6', port: 80 }], nodePortEndpoints: [{ address: '10.1.0.5', port: 80 }, { address: '10.1.0.6', port: 80 }] })],
      [],
      [
        'add chain svc-#',
        'flush chain svc-#',
        'add rule svc-# meta l4proto tcp dnat ip to numgen random mod 2 map { 0 : 10.1.0.5 . 80, 1 : 10.1.0.6 . 80 }',
        'add element service-ports { 10.2.0.9 . tcp . 80 : goto svc-# }',
        'add element node-ports { tcp . 30080 : goto svc-# }',
        'add element hairpin { 10.1.0.5 . 10.1.0.5, 10.1.0.6 . 10.1.0.6 }',
      ],
    ],
    ['no endpoint left', [plan({ endpoints: [], nodePortEndpoints: [] })], [plan()], ['flush chain svc-#', 'delete chain svc-#']],
    [
      'affinity ends: its chains and memory go',
      [plan()],
      [plan({ affinitySeconds: 60 })],
      [
        'add chain svc-#',
        'flush chain svc-#',
        'add rule svc-# meta l4proto tcp dnat to 10.1.0.5:8080',
        'add element service-ports { 10.2.0.9 . tcp . 80 : goto svc-# }',
        'add element hairpin { 10.1.0.5 . 10.1.0.5 }',
        'flush chain end-svc-#',
        'delete chain end-svc-#',
        'delete set aff-#',
      ],
    ],
  ];
  for (const [name, plans, previous, expected] of cases) assert.deepEqual(changesOf(plans, previous), [...flushed, ...expected], name);
});

test('renderRuleset() without a previous table replaces it in the same transaction', () => {
  const { script } = renderRuleset([plan()], options, undefined);
  assert.equal(script.startsWith('add table ip t\ndelete table ip t\nadd table ip t\n'), true);
});

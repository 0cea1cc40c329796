import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deleteTable, openNftables } from '../../host/mod.ts';
import { rootNeeds } from '../../host/testing/root.ts';
import { pollUntil, randomHex } from '../../kernel/mod.ts';
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

const two = [{ address: '10.1.0.5', port: 80 }, { address: '10.1.0.6', port: 80 }];

test('renderRuleset() changes an existing table by what is different, and nothing else', () => {
  const other = plan({ key: 'shop/other:80/tcp', addresses: ['10.2.0.10'], endpoints: [{ address: '10.1.0.7', port: 1 }], nodePortEndpoints: [{ address: '10.1.0.7', port: 1 }] });
  const declared = ['add chain svc-#', 'flush chain svc-#'];
  const cases: [string, ServicePlan[], ServicePlan[], string[]][] = [
    ['nothing', [plan(), other], [plan(), other], ['']],
    ['one endpoint', [plan()], [], [...declared, 'add rule svc-# meta l4proto tcp dnat to 10.1.0.5:8080', 'add element service-ports { 10.2.0.9 . tcp . 80 : goto svc-# }', 'add element hairpin { 10.1.0.5 . 10.1.0.5 }']],
    [
      'two endpoints and a node port',
      [plan({ nodePort: 30080, endpoints: two, nodePortEndpoints: two })],
      [],
      [
        ...declared,
        'add rule svc-# meta l4proto tcp dnat ip to numgen random mod 2 map { 0 : 10.1.0.5 . 80, 1 : 10.1.0.6 . 80 }',
        'add element service-ports { 10.2.0.9 . tcp . 80 : goto svc-# }',
        'add element node-ports { tcp . 30080 : goto svc-# }',
        'add element hairpin { 10.1.0.5 . 10.1.0.5, 10.1.0.6 . 10.1.0.6 }',
      ],
    ],
    ['another endpoint of one of two', [plan({ endpoints: two, nodePortEndpoints: two }), other], [plan(), other], [...declared, 'add rule svc-# meta l4proto tcp dnat ip to numgen random mod 2 map { 0 : 10.1.0.5 . 80, 1 : 10.1.0.6 . 80 }', 'add element hairpin { 10.1.0.6 . 10.1.0.6 }']],
    ['a node port that others reach elsewhere', [plan({ nodePort: 30080, nodePortEndpoints: two.slice(1) })], [plan({ nodePort: 30080 })], ['add chain ext-#', 'flush chain ext-#', 'add rule ext-# meta l4proto tcp dnat to 10.1.0.6:80', 'delete element node-ports { tcp . 30080 }', 'add element node-ports { tcp . 30080 : goto ext-# }', 'add element hairpin { 10.1.0.6 . 10.1.0.6 }']],
    ['no endpoint left', [plan({ endpoints: [], nodePortEndpoints: [] })], [plan()], ['delete element service-ports { 10.2.0.9 . tcp . 80 }', 'delete element hairpin { 10.1.0.5 . 10.1.0.5 }', 'flush chain svc-#', 'delete chain svc-#']],
    ['affinity ends: its chains and memory go', [plan()], [plan({ affinitySeconds: 60 })], [...declared, 'add rule svc-# meta l4proto tcp dnat to 10.1.0.5:8080', 'flush chain end-svc-#', 'delete chain end-svc-#', 'delete set aff-#']],
  ];
  for (const [name, plans, previous, expected] of cases) assert.deepEqual(changesOf(plans, previous), expected, name);
});

test('renderRuleset() leads to the same table step by step as in one', { skip: rootNeeds('nft') }, async (t) => {
  using nftables = openNftables();
  const [steps, whole] = [`gantry-test-${randomHex(4)}`, `gantry-test-${randomHex(4)}`];
  t.after(() => {
    using own = openNftables();
    for (const table of [steps, whole]) own.apply(deleteTable('ip', table));
  });
  const optionsOf = (table: string) => ({ table, serviceCidr: '10.2.0.0/16', podBridge: 'pods' });
  // A list that is read while somebody else's transaction ends has parts twice, or not.
  const listed = (table: string): string => JSON.stringify(nftables.list(`list table ip ${table}`).map((one) => JSON.stringify(one, (key, value: unknown) => (key === 'handle' ? undefined : value)).replaceAll(table, 'T')).filter((text) => !text.includes('metainfo')).map(sortedElements).toSorted().filter((text, index, all) => text !== all[index - 1]));
  let seed = 7;
  const random = (below: number): number => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) % below;
  const endpoints = (): ServicePlan['endpoints'] => Array.from({ length: random(4) }, (_, index) => ({ address: `10.1.0.${index + 1 + random(2) * 4}`, port: 80 + random(2) }));
  let before: ReturnType<typeof renderRuleset> | undefined;
  for (let round = 0; round < 25; round += 1) {
    const plans = Array.from({ length: 6 }, (_, index) => index).filter(() => random(4) > 0).map((index) => {
      const inside = endpoints();
      return plan({ key: `shop/s${index}:80/tcp`, addresses: [`10.2.0.${index + 1}`], nodePort: random(2) * (31_000 + index), balancerPort: random(3) === 0 ? 9_000 + index : 0, affinitySeconds: random(2) * 60, endpoints: inside, nodePortEndpoints: random(2) === 0 ? inside : endpoints() });
    });
    const next = renderRuleset(plans, optionsOf(steps), before);
    if (next.script !== '') nftables.apply(next.script);
    before = next;
    nftables.apply(renderRuleset(plans, optionsOf(whole), undefined).script);
    await pollUntil('equal tables', () => (listed(steps) === listed(whole) ? true : undefined), { timeoutMs: 30_000, intervalMs: 20 }, t.signal).catch(() => assert.equal(listed(steps), listed(whole), `round ${round}`));
  }
});

/** The elements of sets and maps have no order of their own. */
function sortedElements(text: string): string {
  const object = JSON.parse(text) as Record<string, { elem?: unknown[] }>;
  for (const one of Object.values(object)) if (one.elem !== undefined) one.elem = one.elem.map((element) => JSON.stringify(element)).toSorted();
  return JSON.stringify(object);
}

test('renderRuleset() without a previous table replaces it in the same transaction', () => {
  const { script } = renderRuleset([plan()], options, undefined);
  assert.equal(script.startsWith('add table ip t\ndelete table ip t\nadd table ip t\n'), true);
});

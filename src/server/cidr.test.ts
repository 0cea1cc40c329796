import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressOf, cidrsOverlap, formatCidr, parseCidr } from './cidr.ts';
import { parseRoutes } from './routes.ts';

test('parseCidr() and formatCidr() are inverse', () => {
  for (const text of ['10.244.0.0/16', '0.0.0.0/0', '255.255.255.255/32', '192.168.128.0/17']) assert.equal(formatCidr(parseCidr(text)), text);
});

test('parseCidr() refuses what is no network', () => {
  for (const text of ['10.0.0.0', '10.0.0.0/33', '256.0.0.0/8', '10.0.0.1/8', 'a/8', '']) assert.throws(() => parseCidr(text), { code: 'invalid' }, text);
});

test('addressOf() counts from the first address', () => {
  assert.equal(addressOf(parseCidr('10.96.0.0/16'), 1), '10.96.0.1');
  assert.equal(addressOf(parseCidr('10.96.0.0/16'), 256), '10.96.1.0');
});

test('cidrsOverlap() sees containment both ways', () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ['10.0.0.0/8', '10.244.0.0/16', true],
    ['10.244.0.0/16', '10.0.0.0/8', true],
    ['10.244.0.0/16', '10.245.0.0/16', false],
    ['0.0.0.0/0', '192.0.2.0/24', true],
  ];
  for (const [a, b, expected] of cases) assert.equal(cidrsOverlap(parseCidr(a), parseCidr(b)), expected, `${a} ${b}`);
});

test('parseRoutes() reads /proc/net/route without the default route and own links', () => {
  const text = `Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
gabc123p0\t0000F40A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
`;
  assert.deepEqual(parseRoutes(text, 'gabc123').map(formatCidr), ['192.0.2.0/24', '172.17.0.0/16']);
});

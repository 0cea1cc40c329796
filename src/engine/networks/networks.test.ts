import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { isError } from '../../kernel/mod.ts';
import { AddressPool } from './address-pool.ts';
import { formatHosts, formatResolvConf, parseResolvConf, planDns } from './etc-files.ts';
import { planFirewall, planPublish, planUnpublish } from './firewall.ts';
import { contains, formatCidr, formatIpv4, macOf, nextRange, overlaps, parseCidr, parseIpv4, sizeOf } from './ipv4.ts';

test('parseIpv4() and formatIpv4() are inverse for every address', () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), (value) => parseIpv4(formatIpv4(value)) === value));
});

test('parseIpv4() and parseCidr() refuse what is not one', () => {
  for (const text of ['', '1.2.3', '1.2.3.256', '1.2.3.4.5', 'a.b.c.d', ' 1.2.3.4', '1.2.3.-4']) assert.throws(() => parseIpv4(text), (error) => isError(error, 'invalid'), text);
  for (const text of ['10.0.0.0', '10.0.0.0/33', '10.0.0.1/24', '10.0.0.0/', '10.0.0.0/x']) assert.throws(() => parseCidr(text), (error) => isError(error, 'invalid'), text);
});

test('overlaps() is symmetric and agrees with contains()', () => {
  const range = fc.tuple(fc.integer({ min: 0, max: 2 ** 32 - 1 }), fc.integer({ min: 8, max: 30 })).map(([value, prefixLength]) => {
    const size = sizeOf({ first: 0, prefixLength });
    return { first: Math.floor(value / size) * size, prefixLength };
  });
  fc.assert(fc.property(range, range, (a, b) => overlaps(a, b) === overlaps(b, a) && overlaps(a, b) === (contains(a, b.first) || contains(b, a.first))));
});

test('nextRange() gives the first range that is free', () => {
  const pool = parseCidr('10.0.0.0/22');
  const used = ['10.0.0.0/24', '10.0.2.0/25'].map(parseCidr);
  assert.equal(formatCidr(nextRange(pool, 24, used)), '10.0.1.0/24');
  assert.throws(() => nextRange(pool, 22, used), (error) => isError(error, 'exhausted'));
});

test('AddressPool gives each address once, goes round, and refuses what is taken or outside', () => {
  const pool = new AddressPool('10.0.0.0/29', '10.0.0.1');
  assert.deepEqual([pool.take(), pool.take()], ['10.0.0.2', '10.0.0.3']);
  pool.release('10.0.0.2');
  // An address just freed comes last.
  assert.deepEqual([pool.take(), pool.take(), pool.take(), pool.take()], ['10.0.0.4', '10.0.0.5', '10.0.0.6', '10.0.0.2']);
  assert.throws(() => pool.take(), (error) => isError(error, 'exhausted'));
  for (const [address, code] of [['10.0.0.3', 'conflict'], ['10.0.0.1', 'conflict'], ['10.0.0.7', 'invalid'], ['10.0.0.0', 'invalid'], ['10.0.1.2', 'invalid']] as const) {
    assert.throws(() => pool.take(address), (error) => isError(error, code), address);
  }
});

test('AddressPool takes automatic addresses from the range and wanted ones from the subnet', () => {
  const pool = new AddressPool('10.0.0.0/24', '10.0.0.1', '10.0.0.128/30');
  assert.deepEqual([pool.take(), pool.take('10.0.0.5'), pool.take()], ['10.0.0.128', '10.0.0.5', '10.0.0.129']);
});

test('macOf() is a locally administered unicast address', () => {
  assert.equal(macOf('10.0.255.3'), '02:42:0a:00:ff:03');
});

test('planDns() keeps the caller’s parts and leaves out resolvers that only the host can reach', () => {
  const host = { servers: ['127.0.0.53', '10.0.0.2'], searches: ['lan'], options: ['edns0'] };
  const none = { servers: [], searches: [], options: [] };
  assert.deepEqual(planDns(none, host, false), { servers: ['10.0.0.2'], searches: ['lan'], options: ['edns0'] });
  assert.deepEqual(planDns(none, host, true).servers, ['127.0.0.53', '10.0.0.2']);
  assert.deepEqual(planDns({ servers: ['1.1.1.1'], searches: ['.'], options: ['ndots:5'] }, host, false), { servers: ['1.1.1.1'], searches: [], options: ['ndots:5'] });
});

test('parseResolvConf() reads comments, the last search line and options', () => {
  assert.deepEqual(parseResolvConf('# x\nnameserver 1.2.3.4 # y\ndomain a\nsearch b c\noptions ndots:2\noptions rotate\nnonsense\n'), {
    servers: ['1.2.3.4'],
    searches: ['b', 'c'],
    options: ['ndots:2', 'rotate'],
  });
  assert.equal(formatResolvConf({ servers: ['1.2.3.4'], searches: ['b'], options: [] }), 'nameserver 1.2.3.4\nsearch b\n');
});

test('formatHosts() lists the loopback, the own names and the extra ones', () => {
  const text = formatHosts([{ ip: '10.0.0.2', names: ['web.lan', 'web'] }], [{ ip: '10.0.0.9', names: ['db'] }, { ip: '10.0.0.8', names: [] }]);
  assert.deepEqual(text.split('\n').filter((line) => line.startsWith('10.') || line.startsWith('127.')), ['127.0.0.1\tlocalhost', '10.0.0.2\tweb.lan web', '10.0.0.9\tdb']);
});

const publication = { protocol: 'tcp', hostIp: '127.0.0.1', hostPort: 8080, containerPort: 80, targetIp: '10.0.0.2', owner: 'c' } as const;

test('planFirewall() protects the loopback, separates networks and shuts internal ones', () => {
  const script = planFirewall(
    'ip',
    't',
    [
      { bridgeName: 'gpod', subnet: '10.1.0.0/24', isInternal: false, isIsolated: false, isMasqueraded: true, isOpenInside: true },
      { bridgeName: 'gint', subnet: '10.2.0.0/24', isInternal: true, isIsolated: true, isMasqueraded: true, isOpenInside: true },
    ],
    [publication, { ...publication, hostIp: '0.0.0.0', hostPort: 81 }],
  );
  const lines = script.split('\n').map((line) => line.trim());
  assert.deepEqual(lines.slice(0, 2), ['add table ip t', 'delete table ip t']);
  for (const expected of [
    'iifname @bridges ip daddr 127.0.0.0/8 drop',
    'ip saddr 10.1.0.0/24 oifname != "gpod" masquerade',
    'iifname "gint" oifname != "gint" drop',
    'iifname "gint" oifname @bridges oifname != "gint" drop',
    'elements = { 127.0.0.1 . 8080 : 10.0.0.2 . 80 };',
    'elements = { 81 : 10.0.0.2 . 80 };',
  ]) {
    assert.ok(script.includes(expected), expected);
  }
  assert.ok(!script.includes('ip saddr 10.2.0.0/24 oifname != "gint" masquerade'));
});

test('planPublish() and planUnpublish() name the same element', () => {
  assert.equal(planPublish('t', [publication]), 'add element ip t tcp_ports { 127.0.0.1 . 8080 : 10.0.0.2 . 80 }');
  assert.equal(planUnpublish('t', [publication, { ...publication, protocol: 'udp', hostIp: '0.0.0.0' }]), 'delete element ip t tcp_ports { 127.0.0.1 . 8080 }\ndelete element ip t udp_any_ports { 8080 }');
});

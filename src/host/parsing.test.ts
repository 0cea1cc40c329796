import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isError } from '../kernel/mod.ts';
import { readMounts } from './mounts.ts';
import { decodeAttributes, decodeMessages, encodeAttribute, encodeMessage, encodeText, linkHeader } from './netlink-message.ts';
import { overlayOptions } from './overlay.ts';
import { identifyProcess, isSameProcess, signalProcess } from './processes.ts';
import { sysctlPath } from './sysctl.ts';

test('readMounts() reads targets with escapes, types and sources', () => {
  const text = [
    '24 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw',
    '25 24 0:5 / /with\\040space\\134x rw - overlay over\\040lay rw,lowerdir=/a',
    '',
  ].join('\n');
  assert.deepEqual(readMounts(text), [
    { target: '/', type: 'ext4', source: '/dev/vda', options: 'rw' },
    { target: '/with space\\x', type: 'overlay', source: 'over lay', options: 'rw,lowerdir=/a' },
  ]);
});

test('encodeAttribute() pads to four bytes and decodeMessages() reads the message back', () => {
  const message = encodeMessage(16, 5, 7, linkHeader(3, true), [encodeText(3, 'eth0'), encodeAttribute(1, Uint8Array.of(1, 2, 3, 4, 5, 6))]);
  assert.equal(message.length % 4, 0);
  const [decoded] = decodeMessages(message);
  assert.ok(decoded);
  assert.deepEqual([decoded.type, decoded.flags, decoded.sequence], [16, 5, 7]);
  assert.deepEqual(
    [...decodeAttributes(decoded.payload, 16)].map(([type, value]) => [type, value.toString('hex')]),
    [[3, '6574683000'], [1, '010203040506']],
  );
});

test('decodeMessages() stops at a length that lies', () => {
  const message = encodeMessage(16, 0, 1, linkHeader(1), []);
  message.writeUInt32LE(4000, 0);
  assert.deepEqual(decodeMessages(message), []);
});

test('overlayOptions() escapes colons of layers and commas of all paths', () => {
  const overlay = { lowerFolders: [], upperFolder: '/u,1', workFolder: '/w', target: '/t', isVolatile: false, linkFolder: '/l' };
  assert.equal(overlayOptions(overlay, ['/top:1', '/base,2']), 'lowerdir=/top\\:1:/base\\,2,upperdir=/u\\,1,workdir=/w,index=off,metacopy=off');
  assert.match(overlayOptions({ ...overlay, isVolatile: true }, ['/a']), /,volatile$/);
});

test('sysctlPath() maps names as sysctl(8) does and refuses to leave the folder', () => {
  const cases: [string, string | undefined][] = [
    ['net.ipv4.ip_forward', '/proc/sys/net/ipv4/ip_forward'],
    ['net.ipv4.conf.eth0/1.forwarding', '/proc/sys/net/ipv4/conf/eth0.1/forwarding'],
    ['../../etc/passwd', undefined],
    ['kernel..x', undefined],
    ['', undefined],
  ];
  for (const [name, path] of cases) {
    if (path === undefined) assert.throws(() => sysctlPath(name), (error) => isError(error, 'invalid'));
    else assert.equal(sysctlPath(name), path);
  }
});

test('identifyProcess() tells a process from a later one of the same pid', () => {
  const self = identifyProcess(process.pid);
  assert.ok(self);
  assert.equal(isSameProcess(self), true);
  assert.equal(isSameProcess({ ...self, startTicks: self.startTicks + 1 }), false);
  assert.equal(signalProcess({ ...self, startTicks: self.startTicks + 1 }, 9), false);
  assert.equal(identifyProcess(0x3fff_ffff), undefined);
});

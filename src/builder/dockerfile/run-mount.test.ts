import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseGoDuration } from './go-duration.ts';
import { parseRunMount } from './run-mount.ts';

function parse(text: string): object {
  return parseRunMount(text, (value) => value.replace('$V', 'v'), (message) => {
    throw new Error(message);
  });
}

const accepted: readonly (readonly [text: string, expected: object])[] = [
  ['target=/x', { type: 'bind', target: '/x', isReadOnly: true, isRequired: false }],
  ['type=bind,source=a,dst=/$V,rw', { type: 'bind', source: 'a', target: '/v', isReadOnly: false, isRequired: false }],
  ['type=cache,target=/c,id=i,sharing=locked,mode=0700,uid=1,gid=2', { type: 'cache', target: '/c', id: 'i', sharing: 'locked', mode: 0o700, uid: 1, gid: 2, isReadOnly: false, isRequired: false }],
  ['type=cache,target=/c,readonly', { type: 'cache', target: '/c', isReadOnly: true, isRequired: false }],
  ['type=tmpfs,target=/t,size=1.5m', { type: 'tmpfs', target: '/t', sizeBytes: 1_572_864, isReadOnly: false, isRequired: false }],
  ['type=secret,id=s,required=true,env=S', { type: 'secret', id: 's', env: 'S', isReadOnly: true, isRequired: true }],
  ['type=ssh', { type: 'ssh', isReadOnly: true, isRequired: false }],
  ['"type=bind","target=/a,b"', { type: 'bind', target: '/a,b', isReadOnly: true, isRequired: false }],
];

for (const [text, expected] of accepted) {
  test(`parseRunMount() reads ${text}`, () => assert.deepEqual(parse(text), expected));
}

const rejected: readonly (readonly [text: string, message: RegExp])[] = [
  ['type=disk,target=/x', /unknown mount type "disk"/],
  ['target', /"target" is not key=value/],
  ['target=/x,colour=red', /unknown mount option "colour"/],
  ['target=/x,ro=maybe', /"maybe" is neither true nor false/],
  ['target=/x,mode=755', /mode, uid and gid are not for bind mounts/],
  ['target=/x,sharing=shared', /sharing is not for bind mounts/],
  ['type=cache,target=/x,sharing=some', /sharing is shared, private, locked/],
  ['type=cache,target=/x,size=1m', /size is not for cache mounts/],
  ['type=cache,target=/x,required', /required is not for cache mounts/],
  ['type=tmpfs,target=/x,size=big', /"big" is no size/],
  ['type=cache,target=/x,mode=9', /"9" is no octal number/],
  ['type=secret', /needs an id or a target/],
  ['type=secret,id=a,source=b', /an id or a source, not both/],
  ['type=secret,id=a,from=b', /from is not for secret mounts/],
  ['from=$V,target=/x', /variables are not expanded in from/],
  ['"target=/x', /a quoted field has no end/],
];

for (const [text, message] of rejected) {
  test(`parseRunMount() refuses ${text}`, () => assert.throws(() => parse(text), message));
}

test('parseGoDuration() reads durations as Go does', () => {
  const cases: readonly (readonly [string, number | undefined])[] = [['0', 0], ['1s', 1e9], ['1m30s', 9e10], ['1.5h', 5.4e12], ['100ms', 1e8], ['+2s', 2e9], ['.5s', 5e8], ['3us', 3e3], ['1', undefined], ['-1s', undefined], ['s', undefined], ['1d', undefined], ['', undefined]];
  assert.deepEqual(cases.map(([text]) => parseGoDuration(text)), cases.map(([, expected]) => expected));
});

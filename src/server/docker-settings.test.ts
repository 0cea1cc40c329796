import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dockerGroupOf } from './docker-settings.ts';

const groups = 'root:x:0:\nops:x:1200:ada\n12:x:77:\n';

test('dockerGroupOf() takes the group that is named, else gantry, else nobody', () => {
  assert.equal(dockerGroupOf('ops', groups), 1200);
  assert.equal(dockerGroupOf('1200', groups), 1200);
  // A name that looks like a number is a name where there is such a group.
  assert.equal(dockerGroupOf('12', groups), 77);
  assert.equal(dockerGroupOf(undefined, groups), undefined);
  assert.equal(dockerGroupOf(undefined, `${groups}gantry:x:990:\n`), 990);
  assert.throws(() => dockerGroupOf('docker', groups), { code: 'not-found', message: /docker/ });
});

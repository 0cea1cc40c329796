import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Clock, systemClock } from '../../kernel/mod.ts';
import { Expectations } from './expectations.ts';
import { podOf, testNowMs } from './testing/objects.ts';

function clockAt(time: { nowMs: number }): Clock {
  return { now: () => time.nowMs, sleep: systemClock.sleep.bind(systemClock) };
}

test('Expectations counts creations until the cache has them or they failed', () => {
  const expectations = new Expectations(clockAt({ nowMs: testNowMs }));
  expectations.expectCreation('rs', 'default/a');
  expectations.expectCreation('rs', 'default/b');
  expectations.expectCreation('other', 'default/c');
  assert.equal(expectations.pendingCreations('rs'), 2);
  expectations.observe({ type: 'added', object: podOf({ name: 'a', owner: { uid: 'rs' } }) });
  expectations.createdOrFailed('rs', 'default/b');
  assert.equal(expectations.pendingCreations('rs'), 0);
  assert.equal(expectations.pendingCreations('other'), 1);
});

test('Expectations knows a deletion until the cache shows it', () => {
  const expectations = new Expectations(clockAt({ nowMs: testNowMs }));
  const pod = podOf({ name: 'a' });
  expectations.expectDeletion(pod.metadata.uid);
  expectations.observe({ type: 'modified', object: pod, previous: pod });
  assert.equal(expectations.isDeletionPending(pod.metadata.uid), true);
  expectations.observe({ type: 'modified', object: podOf({ name: 'a', isDeleting: true }), previous: pod });
  assert.equal(expectations.isDeletionPending(pod.metadata.uid), false);
});

test('Expectations forgets writes whose echo never comes', () => {
  const time = { nowMs: testNowMs };
  const expectations = new Expectations(clockAt(time));
  expectations.expectCreation('rs', 'default/a');
  expectations.expectDeletion('uid-b');
  time.nowMs += 31_000;
  assert.equal(expectations.pendingCreations('rs'), 0);
  assert.equal(expectations.isDeletionPending('uid-b'), false);
});

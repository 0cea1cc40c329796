import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { rootNeeds } from '../../src/host/testing/root.ts';
import { runKills } from '../kills/kill-loop.ts';

/** The longer form, with a seed to repeat: `node scripts/cluster-kills.ts`. */
test('server and agent killed under churn: no acknowledged write is lost, no container starts twice, nothing is left', { skip: rootNeeds('runc', 'conmon', 'nft', 'ip'), timeout: 480_000 }, async (context) => {
  const seed = randomInt(2 ** 31);
  context.diagnostic(`seed ${seed}`);
  const { kills, acknowledged } = await runKills({ seed, rounds: 2, report: (line) => context.diagnostic(line) }, AbortSignal.any([context.signal, AbortSignal.timeout(470_000)]));
  assert.ok(kills > 0 && acknowledged > 0);
});

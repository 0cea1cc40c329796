import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { rootNeeds } from '../host/testing/root.ts';
import { runFaults } from './testing/fault-driver.ts';

/** The longer form, with a seed to repeat: `node scripts/engine-faults.ts`. */
test('an engine killed at random points leaves no wrong state and no debris', { skip: rootNeeds('runc', 'conmon', 'nft', 'busybox') }, async (context) => {
  const seed = randomInt(2 ** 31);
  const result = await runFaults({ seed, rounds: 6, budgetMs: 20_000, report: (line) => context.diagnostic(line) }, AbortSignal.timeout(170_000));
  assert.ok(result.kills > 0);
});

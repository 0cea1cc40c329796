import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Stored, WorkflowRun } from '../../api/mod.ts';
import { runsToPrune } from './runs-to-prune.ts';

test('runsToPrune() keeps the newest finished runs of each repository, and all that still run', () => {
  const run = (name: string, repository: string, minute: number, phase: 'Succeeded' | 'Running'): Stored<WorkflowRun> => ({
    metadata: { name, namespace: 'default', uid: name, resourceVersion: '1', creationTimestamp: `2026-01-01T00:0${minute}:00Z` },
    spec: { repository, commit: 'c'.repeat(40), ref: 'refs/heads/main', event: 'push', actor: 'alice' },
    status: { phase },
  });
  const runs = [run('c', 'shop', 3, 'Succeeded'), run('a', 'shop', 1, 'Succeeded'), run('b', 'shop', 2, 'Succeeded'), run('old', 'shop', 0, 'Running'), run('other', 'blog', 0, 'Succeeded')];
  assert.deepEqual(runsToPrune(runs, 1).map(({ metadata }) => metadata.name), ['a', 'b']);
  assert.deepEqual(runsToPrune(runs), []);
});

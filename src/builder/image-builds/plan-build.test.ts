import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ImageBuild, Stored } from '../../api/mod.ts';
import { type ObservedBuild, planImageBuild } from './plan-build.ts';

const now = '2026-01-02T03:04:05.000Z';
const startedAt = '2026-01-01T00:00:00.000Z';

function build(nodeName?: string, status?: ImageBuild['status']): Stored<ImageBuild> {
  const metadata = { name: 'b', namespace: 'n', uid: 'u1', resourceVersion: '1', creationTimestamp: startedAt };
  return { metadata, spec: { source: { repository: 'r', commit: 'c' }, tags: ['t'], push: false, ...(nodeName === undefined ? {} : { nodeName }) }, ...(status === undefined ? {} : { status }) };
}

const base: ObservedBuild = { key: 'n/b', nodeName: 'me', build: build(), runningUid: undefined, outcome: undefined, attempts: 0, now };
const succeeded = { phase: 'Succeeded', finishedAt: now, imageId: 'sha256:1' } as const;

const cases: readonly (readonly [name: string, observed: Partial<ObservedBuild>, expected: ReturnType<typeof planImageBuild>])[] = [
  ['takes a build that no node has', {}, { actions: [{ kind: 'claim' }] }],
  ['leaves a build of another node', { build: build('other') }, { actions: [] }],
  ['starts its own', { build: build('me') }, { actions: [{ kind: 'start' }], status: { phase: 'Running', startedAt: now } }],
  ['tells that it runs', { build: build('me'), runningUid: 'u1', attempts: 1 }, { actions: [], status: { phase: 'Running', startedAt: now } }],
  ['waits while it runs', { build: build('me', { phase: 'Running', startedAt }), runningUid: 'u1', attempts: 1 }, { actions: [] }],
  ['starts again what a crash interrupted', { build: build('me', { phase: 'Running', startedAt }), attempts: 1 }, { actions: [{ kind: 'start' }], status: { phase: 'Running', startedAt } }],
  [
    'gives up what was interrupted too often',
    { build: build('me', { phase: 'Running', startedAt }), attempts: 3 },
    { actions: [], status: { phase: 'Failed', startedAt, finishedAt: now, message: 'the node agent was stopped 3 times while it built this image' } },
  ],
  ['reports the outcome', { build: build('me', { phase: 'Running', startedAt }), outcome: succeeded, attempts: 1 }, { actions: [], status: succeeded }],
  ['is done with what has ended', { build: build('me', { phase: 'Failed' }), attempts: 1 }, { actions: [] }],
  ['stops what was deleted', { build: undefined, runningUid: 'u1' }, { actions: [{ kind: 'stop' }, { kind: 'forget' }] }],
  ['forgets what is gone', { build: undefined }, { actions: [{ kind: 'forget' }] }],
  ['stops a build that was replaced by one of the same name', { build: build('me'), runningUid: 'u0' }, { actions: [{ kind: 'stop' }], requeueAfterMs: 0 }],
];

for (const [name, observed, expected] of cases) {
  test(`planImageBuild() ${name}`, () => assert.deepEqual(planImageBuild({ ...base, ...observed }), expected));
}

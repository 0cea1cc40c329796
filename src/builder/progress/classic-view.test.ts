import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Digest } from '../../api/mod.ts';
import type { BuildEvent } from '../../api/mod.ts';
import { classicView } from './classic-view.ts';

function shown(stages: readonly number[], events: readonly BuildEvent[], explains = false): string {
  let text = '';
  const view = classicView(stages, (part) => (text += part), { explains });
  for (const event of events) view(event);
  return text;
}

const started = (stage: number, number: number, text: string): BuildEvent => ({ kind: 'step-started', stage, number, count: 4, text });
const finished = (stage: number, number: number, isCached = false, missReason?: string): BuildEvent => ({ kind: 'step-finished', stage, number, isCached, id: `id${number}`, durationMs: 1, ...(missReason === undefined ? {} : { missReason }) });

test('classicView() shows stages one after the other although they ran at the same time', () => {
  const events: BuildEvent[] = [
    started(0, 1, 'FROM a'),
    started(1, 3, 'FROM b'),
    finished(1, 3),
    { kind: 'output', stage: 1, text: 'late\n' },
    finished(0, 1),
    { kind: 'output', stage: 0, text: 'early\n' },
    { kind: 'stage-finished', stage: 1 },
    { kind: 'stage-finished', stage: 0 },
    { kind: 'finished', imageId: `sha256:${'ab'.repeat(32)}` as Digest, tags: ['x:1'] },
  ];
  assert.equal(
    shown([0, 1], events),
    'Step 1/4 : FROM a\n ---> id1\nearly\nStep 3/4 : FROM b\n ---> id3\nlate\nSuccessfully built abababababab\nSuccessfully tagged x:1\n',
  );
});

test('classicView() marks cached steps, and tells why others were not when asked', () => {
  const events = [started(0, 1, 'RUN a'), finished(0, 1, true), started(0, 2, 'RUN b'), finished(0, 2, false, 'file x changed')];
  assert.equal(shown([0], events), 'Step 1/4 : RUN a\n ---> Using cache\n ---> id1\nStep 2/4 : RUN b\n ---> id2\n');
  assert.match(shown([0], events, true), / ---> Not cached: file x changed\n ---> id2\n$/);
});

test('classicView() shows what a stage that failed had printed, even when another is live', () => {
  const events: BuildEvent[] = [started(0, 1, 'FROM a'), started(1, 3, 'FROM b'), { kind: 'output', stage: 1, text: 'broken\n' }, { kind: 'stage-failed', stage: 1 }];
  assert.equal(shown([0, 1], events), 'Step 1/4 : FROM a\nStep 3/4 : FROM b\nbroken\n');
});

test('classicView() shows warnings with their place', () => {
  assert.equal(shown([0], [{ kind: 'warning', place: { file: 'Dockerfile', line: 3, column: 1, message: 'empty continuation line' } }]), '[Warning] Dockerfile:3:1: empty continuation line\n');
});

/** The Docker API of this engine against what dockerd answered (recorded.json), field by field, through the clients that people use. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { cases, observe } from './cases/all.ts';
import { differencesOf, explain } from './compare.ts';
import { clientMajor, type Daemon, hasCompose, openGantry, whyNotHere } from './daemon.ts';
import { type Explanation, explanations } from './differences.ts';
import { answersFor, readRecording } from './recording.ts';

const skip = whyNotHere('runc', 'conmon', 'bsdtar', 'ps');
const signal = AbortSignal.timeout(600_000);
const recording = readRecording();
const major = clientMajor();
const reasons: Readonly<Record<string, string | false>> = {
  cli: major === undefined ? 'docker is not installed' : recording.clients[major] === undefined ? `nothing is recorded for docker ${major}, only for ${Object.keys(recording.clients).join(' and ')}` : false,
  compose: hasCompose() ? false : 'docker-compose 1.29 is not installed',
};

test('the recording has every case, and no other', () => {
  const named = (isWanted: (name: string) => boolean): string[] => cases.map(({ name }) => name).filter(isWanted).toSorted();
  const isOfClient = (name: string): boolean => name.startsWith('cli/');
  assert.deepEqual(Object.keys(recording.cases).toSorted(), named((name) => !isOfClient(name)));
  for (const answers of Object.values(recording.clients)) assert.deepEqual(Object.keys(answers).toSorted(), named(isOfClient));
});

suite('answers are those of dockerd, apart from what is explained', { skip, concurrency: false }, () => {
  const used = new Set<Explanation>();
  let compared = 0;
  let daemon: Daemon;
  before(async () => {
    daemon = await openGantry();
  });
  after(() => daemon[Symbol.asyncDispose]());

  for (const one of cases) {
    test(one.name, { skip: reasons[one.name.split('/')[0] ?? ''] ?? false }, async () => {
      const answer = await observe(one, daemon, signal);
      const explained = explain(differencesOf(answer, answersFor(recording, one.name, major)?.[one.name], one.name));
      for (const explanation of explained.used) used.add(explanation);
      compared += 1;
      assert.deepEqual(explained.unexplained, []);
    });
  }

  test('every explanation explains something', (context) => {
    if (compared < cases.length) return context.skip('not all cases were compared');
    assert.deepEqual(explanations.filter((explanation) => !used.has(explanation)), []);
  });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dockerJob } from '../story/docker-job.ts';
import { Figures } from '../story/figures.ts';
import { Instance } from '../story/instance.ts';
import { prepare, steps } from '../story/story.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root: makes containers and networks';

test('from git push to production: the whole story', { skip, timeout: 9 * 60_000 }, async (t) => {
  const figures = new Figures();
  const instance = await Instance.start([], t.signal);
  t.after(() => instance.purge(AbortSignal.timeout(60_000)));
  const story = await prepare(instance, figures, () => undefined, t.signal);
  t.after(() => story.shop[Symbol.asyncDispose]());
  for (const step of [...steps, dockerJob]) {
    // A step stands on the one before: after a failure the rest would only repeat it. A subtest that fails does not reject.
    let isDone = false;
    await t.test(step.name, async (inner) => {
      await step.run(story, inner.signal);
      isDone = true;
    });
    if (!isDone) break;
  }
  t.diagnostic(figures.table());
  assert.equal(story.url === '', false);
});

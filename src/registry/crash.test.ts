import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runCrashes } from './testing/crash-driver.ts';

test('kill -9 during pushes and collections loses no acknowledged image and leaves no half blob', async () => {
  const { images, parts } = await runCrashes({ seed: 1, rounds: 3 }, AbortSignal.timeout(150_000));
  assert.ok(images >= 3 && parts >= images, `${images} images, ${parts} parts`);
});

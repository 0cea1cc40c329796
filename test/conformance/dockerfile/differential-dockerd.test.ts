import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openGantry, whyNotHere } from '../docker/daemon.ts';
import { vectors } from './differential-vectors.ts';
import { buildAndSave } from './docker-build.ts';
import type { SavedImage } from './saved-image.ts';

const skip = existsSync('/bin/busybox') ? whyNotHere('docker') : 'needs busybox-static';
const recorded = JSON.parse(readFileSync(join(import.meta.dirname, 'differential.json'), 'utf8')) as Record<string, Record<'classic' | 'buildkit', SavedImage>>;

test("docker build on this engine makes what dockerd's BuildKit made of the same contexts: trees, removals, configuration", { skip }, async (t) => {
  await using gantry = await openGantry();
  for (const vector of vectors) {
    await t.test(vector.name, async () => {
      const ours = await buildAndSave(vector, { socketPath: gantry.socketPath, client: gantry.client, usesBuildkit: false }, AbortSignal.timeout(120_000));
      for (const [builder, theirs] of Object.entries(recorded[vector.name] ?? assert.fail('not recorded'))) assert.deepEqual(JSON.parse(JSON.stringify(ours)), theirs, builder);
    });
  }
});

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Kubectl } from '../../../src/cluster/apiserver/testing/kubectl.ts';
import { findKubectls, oldestMinor } from './kubectl-versions.ts';
import { normalise, readTranscript, splitArguments } from './transcript.ts';

const folder = import.meta.dirname;
const kubectls = findKubectls();
const files = readdirSync(folder).filter((name) => name.endsWith('.yaml')).toSorted();

test('kubectl 1.31 or newer', { skip: kubectls.length === 0 ? `no kubectl from 1.${oldestMinor} on is installed` : false }, () => assert.ok(files.length > 0));

/** The newest plays everything, the oldest what depends on its version most. */
const played = [...new Set([kubectls[0], kubectls.at(-1)])].flatMap((binary, index) => (binary === undefined ? [] : [{ ...binary, files: index === 0 ? files : ['apply.yaml'] }]));

for (const { path, minor, version, files: scripts } of played) {
  for (const file of scripts) {
    const { about, steps } = readTranscript(join(folder, file));
    test(`kubectl ${version}: ${about}`, async () => {
      await using kubectl = await Kubectl.open({}, path);
      for (const step of steps) {
        if ((step.since ?? 0) > minor || (step.before ?? Infinity) <= minor) continue;
        const { code, stdout, stderr } = await kubectl.run(splitArguments(step.run), step.in);
        const got = { run: step.run, code, out: normalise(stdout), err: normalise(stderr) };
        assert.deepEqual(got, { run: step.run, code: step.code ?? 0, out: (step.out ?? '').trim(), err: (step.err ?? '').trim() });
      }
    });
  }
}

/**
 * Compares what clients see of this engine with what dockerd answers, field by field, as root:
 * `node test/conformance/docker/run.ts [--live] [--docker CLIENT] [PATTERN]`. Against the recording (recorded.json, written by record.ts), or with `--live` against a
 * private dockerd that is started for it where one is installed. Prints every difference that differences.ts does not explain, and exits with 1 when there is one.
 */
import { parseArgs } from 'node:util';
import { GantryError } from '../../../src/kernel/mod.ts';
import { cases, observe } from './cases/all.ts';
import { differencesOf, explain } from './compare.ts';
import { clientMajor, openDockerd, openGantry } from './daemon.ts';
import { answersFor, readRecording } from './recording.ts';

const { values, positionals } = parseArgs({ options: { live: { type: 'boolean', default: false }, docker: { type: 'string', default: 'docker' } }, allowPositionals: true });
const pattern = new RegExp(positionals[0] ?? '');
const signal = AbortSignal.timeout(1_800_000);
const major = clientMajor(values.docker);
const recording = readRecording();
await using daemon = await openGantry(values.docker);
await using dockerd = values.live ? await openDockerd(daemon, signal) : undefined;
if (values.live && dockerd === undefined) throw new GantryError('unavailable', 'dockerd is not installed');
console.log(`dockerd ${(await dockerd?.version(signal)) ?? `${recording.dockerd}, as recorded`}; docker ${major ?? 'is not installed'}`);
let count = 0;
for (const one of cases.filter(({ name }) => pattern.test(name))) {
  const expected = dockerd === undefined ? answersFor(recording, one.name, major)?.[one.name] : await observe(one, dockerd, signal);
  if (expected === undefined) {
    console.log(`not recorded  ${one.name}`);
    continue;
  }
  const { unexplained } = explain(differencesOf(await observe(one, daemon, signal), expected, one.name));
  console.log(`${unexplained.length === 0 ? 'same' : 'DIFFERS'}  ${one.name}`);
  for (const { path, ours, theirs } of unexplained) console.log(`  ${path}\n    here:    ${JSON.stringify(ours)}\n    dockerd: ${JSON.stringify(theirs)}`);
  count += unexplained.length;
}
console.log(`${count} differences that are not explained`);
if (count > 0) process.exitCode = 1;

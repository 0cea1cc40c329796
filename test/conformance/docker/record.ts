/**
 * Writes recorded.json: what Debian's dockerd answers to every case. Run by hand, as root, where dockerd is installed:
 * `node test/conformance/docker/record.ts [--docker CLIENT] [PATTERN]`. Cases that do not match PATTERN stay as they were recorded; those of
 * the command line are recorded for the client that is named (`docker` without it). A private dockerd is started for it.
 */
import { parseArgs } from 'node:util';
import { GantryError } from '../../../src/kernel/mod.ts';
import { cases, observe } from './cases/all.ts';
import { clientMajor, openDockerd, openGantry } from './daemon.ts';
import type { Plain } from './normalize.ts';
import { isOfClient, readRecording, writeRecording } from './recording.ts';

const { values, positionals } = parseArgs({ options: { docker: { type: 'string', default: 'docker' } }, allowPositionals: true });
const pattern = new RegExp(positionals[0] ?? '');
const major = clientMajor(values.docker);
if (major === undefined) throw new GantryError('unavailable', `${values.docker} is not installed`);
const signal = AbortSignal.timeout(900_000);
await using model = await openGantry(values.docker);
await using daemon = await openDockerd(model, signal);
if (daemon === undefined) throw new GantryError('unavailable', 'dockerd is not installed');

const known = new Set(cases.map(({ name }) => name));
const old = readRecording();
const kept = (record: Record<string, Plain>): Record<string, Plain> => Object.fromEntries(Object.entries(record).filter(([name]) => known.has(name)));
const recording = { dockerd: await daemon.version(signal), cases: kept(old.cases), clients: Object.fromEntries(Object.entries({ [major]: {}, ...old.clients }).map(([client, answers]) => [client, kept(answers)])) };
for (const one of cases.filter(({ name }) => pattern.test(name))) {
  console.log(one.name);
  const answers = isOfClient(one.name) ? recording.clients[major] : recording.cases;
  if (answers !== undefined) answers[one.name] = await observe(one, daemon, signal);
}
writeRecording(recording);

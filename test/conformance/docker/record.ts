/** Writes recorded.json: what Debian's dockerd answers to every case. Run by hand, as root, where dockerd is installed: `node test/conformance/docker/record.ts`. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GantryError } from '../../../src/kernel/mod.ts';
import { libraryCases, observe, programCases } from './cases/all.ts';
import { openDockerd, openGantry } from './daemon.ts';
import type { Plain } from './normalize.ts';

const signal = AbortSignal.timeout(900_000);
await using model = await openGantry();
await using daemon = await openDockerd(model, signal);
if (daemon === undefined) throw new GantryError('unavailable', 'dockerd is not installed');
const answers: Record<string, Plain> = {};
for (const one of [...libraryCases, ...programCases]) {
  console.log(one.name);
  answers[one.name] = await observe(one, daemon, signal);
}
writeFileSync(join(import.meta.dirname, 'recorded.json'), `${JSON.stringify(answers, null, 1)}\n`);

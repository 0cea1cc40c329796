/**
 * Compares what clients see of this engine with what dockerd answered (recorded.json), field by field: `node test/conformance/docker/run.ts [PATTERN]`,
 * as root. Prints every difference that differences.ts does not explain, and exits with 1 when there is one. record.ts writes the recording.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { libraryCases, observe, programCases } from './cases/all.ts';
import { differencesOf, explain } from './compare.ts';
import { openGantry } from './daemon.ts';
import { explanations } from './differences.ts';
import type { Plain } from './normalize.ts';

const signal = AbortSignal.timeout(1_800_000);
const recorded = JSON.parse(readFileSync(join(import.meta.dirname, 'recorded.json'), 'utf8')) as Record<string, Plain>;
const pattern = new RegExp(process.argv[2] ?? '');
await using daemon = await openGantry();
let count = 0;
for (const one of [...libraryCases, ...programCases].filter(({ name }) => pattern.test(name))) {
  const answer = await observe(one, daemon, signal);
  const expected = recorded[one.name];
  const { unexplained } = explain(expected === undefined ? [] : differencesOf(answer, expected, one.name), explanations);
  console.log(`${unexplained.length === 0 ? 'same' : 'DIFFERS'}  ${one.name}${expected === undefined ? ' (not recorded)' : ''}`);
  for (const { path, ours, theirs } of unexplained) console.log(`  ${path}\n    here:    ${JSON.stringify(ours)}\n    dockerd: ${JSON.stringify(theirs)}`);
  count += unexplained.length;
}
console.log(`${count} differences that are not explained`);
if (count > 0) process.exitCode = 1;

/**
 * Runs the whole suite: first the checks (types, lint), then the tests beside the code, two files at a time,
 * then those that own the machine (test/e2e), one at a time. Arguments are patterns of test files to run instead of all.
 * Prints the runner's report and at the end one line: `N passed, N failed, N skipped`.
 */
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

const root = join(import.meta.dirname, '..');
process.chdir(root);
const patterns = process.argv.slice(2);

const totals = { passed: 0, failed: 0, skipped: 0 };
if (patterns.length === 0) {
  const { status } = spawnSync(process.execPath, ['scripts/check.ts'], { stdio: 'inherit' });
  if (status !== 0) process.exit(1);
  await runFiles(['src/**/*.test.ts', 'test/*.test.ts', 'test/conformance/**/*.test.ts'], 2, 3 * 60_000);
  await runFiles(['test/e2e/**/*.test.ts'], 1, 12 * 60_000);
} else {
  await runFiles(patterns, 2, 12 * 60_000);
}
console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
if (totals.passed === 0) console.error('no test ran');
process.exit(totals.failed > 0 || totals.passed === 0 ? 1 : 0);

/** Each file runs in a process of its own, under the same flags as the program. */
async function runFiles(globs: string[], concurrency: number, timeoutMs: number): Promise<void> {
  const files = globs.flatMap((glob) => globSync(glob)).filter((file) => !file.includes('node_modules')).toSorted();
  if (files.length === 0) return;
  const stream = run({ files, concurrency, timeout: timeoutMs, execArgv: ['--disable-warning=ExperimentalWarning'] });
  stream.on('test:pass', ({ details, skip, todo }) => {
    if (details.type === 'suite') return;
    if (skip !== undefined || todo !== undefined) totals.skipped += 1;
    else totals.passed += 1;
  });
  stream.on('test:fail', ({ name, details }) => {
    totals.failed += 1;
    // A process that ended by itself or by a signal failed no test: say how it ended.
    const { exitCode, signal } = details.error as { exitCode?: number | null; signal?: string | null };
    if (exitCode !== undefined || signal !== undefined) console.log(`${name}: the process ended with ${signal ?? `code ${exitCode}`}`);
  });
  const finished = Promise.withResolvers<void>();
  stream.on('end', () => finished.resolve());
  stream.compose(spec).pipe(process.stdout, { end: false });
  await finished.promise;
}

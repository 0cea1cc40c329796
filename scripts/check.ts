/** What CI checks apart from the tests: types, lint, generated files. Prints each command; the first failure ends it. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const bin = (name: string): string => join(root, 'node_modules/.bin', name);

const checks: readonly (readonly [what: string, command: string, ...args: string[]])[] = [
  ['types', bin('tsc'), '--noEmit'],
  ['lint', bin('oxlint'), '--type-aware', '--quiet'],
  ['generated files', process.execPath, join(root, 'scripts/generate.ts'), '--check'],
];

for (const [what, command, ...args] of checks) {
  console.log(`check: ${what}`);
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(1);
}

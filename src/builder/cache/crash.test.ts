import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { randomHex, silentLogger } from '../../kernel/mod.ts';
import { Builder } from '../builder.ts';
import { FolderRuntime } from '../testing/folder-runtime.ts';
import { sharedCache } from './cache-access.ts';
import { StepCache } from './step-cache.ts';

const rounds = 8;

/** Writes records, cache mounts and contexts without pause, and says what it was promised to be kept. */
const writer = `
import { StepCache } from ${JSON.stringify(join(import.meta.dirname, 'step-cache.ts'))};
import { sharedCache } from ${JSON.stringify(join(import.meta.dirname, 'cache-access.ts'))};
import { CacheMounts } from ${JSON.stringify(join(import.meta.dirname, '../executor/cache-mounts.ts'))};
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
const [folder, salt] = process.argv.slice(-2);
const cache = await StepCache.open(join(folder, 'steps'));
const mounts = new CacheMounts(join(folder, 'mounts'));
const { signal } = new AbortController();
for (let index = 0; ; index += 1) {
  const key = createHash('sha256').update(salt + index).digest('hex');
  await cache.set(key, sharedCache, { layer: undefined, sizeBytes: index, createdAt: '2026-01-01T00:00:00.000Z', durationMs: index });
  process.stdout.write(key + ' ' + index + '\\n');
  const held = await mounts.hold({ id: 'm' + (index % 5), access: sharedCache, sharing: 'shared', uid: process.getuid(), gid: process.getgid(), mode: 0o755, fill: async (path) => writeFileSync(join(path, 'filled'), 'x') }, signal);
  held[Symbol.dispose]();
  if (index % 7 === 0) await mounts.replace('r', '', async (path) => writeFileSync(join(path, 'replaced'), String(index)));
  mkdirSync(join(folder, 'work', salt + index), { recursive: true });
}
`;

test('Builder.open() finds every result that was kept when its process was killed at any instant, and nothing half', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-builder-crash-'));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const promised = new Map<string, number>();
  for (let round = 0; round < rounds; round += 1) {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', writer, '--', folder, randomHex(4)], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(child, 'exit');
    let lines = 0;
    const wanted = 3 + Math.floor(Math.random() * 40);
    for await (const line of createInterface(child.stdout)) {
      const [key = '', index = ''] = line.split(' ');
      promised.set(key, Number(index));
      lines += 1;
      if (lines === wanted) child.kill('SIGKILL');
    }
    await ended;
    const builder = await Builder.open({
      runtime: new FolderRuntime(join(folder, 'runtime')),
      folder,
      runFolder: join(folder, 'run'),
      environment: { certificateBundle: undefined, proxyVariables: {} },
      config: { cacheBytes: 1 << 30, cacheMountBytes: 1 << 30, parallelSteps: 1 },
      log: silentLogger(),
    });
    await builder[Symbol.asyncDispose]();
    const cache = await StepCache.open(join(folder, 'steps'));
    for (const [key, index] of promised) assert.equal((await cache.get(key, sharedCache))?.sizeBytes, index, `round ${round}`);
    assert.deepEqual([readdirSync(join(folder, 'work')), readdirSync(join(folder, 'steps')).filter((name) => !/^[0-9a-f]{64}$/.test(name))], [[], []]);
    for (const name of readdirSync(join(folder, 'mounts'))) {
      const inner = readdirSync(join(folder, 'mounts', name));
      assert.deepEqual(inner.filter((entry) => !['data', 'label.json'].includes(entry) && !entry.startsWith('label.json')), []);
      if (inner.includes('data')) assert.ok(['filled', 'replaced'].some((file) => existsSync(join(folder, 'mounts', name, 'data', file))), `round ${round}: a folder that was not filled`);
    }
  }
  assert.ok(promised.size >= rounds * 3);
});

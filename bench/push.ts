import assert from 'node:assert/strict';
import { Figures } from '../test/story/figures.ts';
import type { Instance } from '../test/story/instance.ts';
import { prepare, steps } from '../test/story/story.ts';

/**
 * Push to served of examples/shop, first and second push, against the sum of the same commands run by hand in containers of the same
 * engine: npm ci and the three test commands, docker build, docker push. What is more is what the pipeline itself costs.
 */
export async function benchPush(instance: Instance, signal: AbortSignal): Promise<void> {
  const story = await prepare(instance, new Figures(), () => undefined, signal);
  const first = steps[0];
  assert.ok(first);
  const startedAt = performance.now();
  await first.run(story, signal);
  const firstMs = performance.now() - startedAt;
  await story.shop.edit('package.json', '"version": "1.0.0"', '"version": "1.0.1"');
  await story.shop.commit('Another version', signal);
  const again = performance.now();
  const { isAccepted, output } = await story.shop.push(signal);
  assert.ok(isAccepted, output);
  const secondMs = performance.now() - again;
  const byHandMs = await byHand(instance, story.shop.folder, signal);
  await story.shop[Symbol.asyncDispose]();
  console.log('\npush to served, examples/shop');
  const line = (what: string, ms: number, note = ''): void => console.log(`  ${what.padEnd(34)} ${(ms / 1000).toFixed(2).padStart(7)} s${note}`);
  line('first push', firstMs);
  line('second push', secondMs);
  line('the same commands by hand', byHandMs, `   second push is ×${(secondMs / byHandMs).toFixed(2)} of it`);
}

/** Each command in a fresh container, as the workflow's jobs do it, on a warm layer cache, as the second push has it. */
async function byHand(instance: Instance, folder: string, signal: AbortSignal): Promise<number> {
  const bundle = '/etc/ssl/certs/ca-certificates.crt';
  const mounts = ['-v', `${folder}:/source:ro`, '-v', `${bundle}:${bundle}:ro`, '-e', `NODE_EXTRA_CA_CERTS=${bundle}`];
  const inNode = (script: string, ...more: string[]): Promise<unknown> =>
    instance.docker(['run', '--rm', ...mounts, ...more, 'node:24-slim', 'sh', '-c', `cp -r /source /work && cd /work && ${script}`], signal);
  const registry = instance.value('GANTRY_REGISTRY');
  const startedAt = performance.now();
  await inNode('npm ci && npm run test:unit');
  const redis = (await instance.docker(['run', '-d', 'redis:7'], signal)).stdout.trim();
  await inNode('npm ci && npm run test:integration', '--network', `container:${redis}`, '-e', 'REDIS_URL=redis://127.0.0.1:6379');
  await instance.docker(['build', '-q', '-t', `${registry}/by-hand:1`, folder], signal);
  const shop = (await instance.docker(['run', '-d', '--network', `container:${redis}`, '-e', 'REDIS_URL=redis://127.0.0.1:6379', `${registry}/by-hand:1`], signal)).stdout.trim();
  await inNode('npm ci && npm run test:e2e', '--network', `container:${redis}`, '-e', 'SHOP_URL=http://127.0.0.1:3000');
  await instance.docker(['push', `${registry}/by-hand:1`], signal);
  const elapsedMs = performance.now() - startedAt;
  await instance.docker(['rm', '-f', shop, redis], signal);
  return elapsedMs;
}

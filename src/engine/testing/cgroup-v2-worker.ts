/** What the engine does on a host whose only cgroup tree is version 2. Run by cgroup-v2.test.ts in a mount namespace that looks like one. */
import assert from 'node:assert/strict';
import { pollUntil } from '../../kernel/mod.ts';
import { busyboxSpec, runToEnd } from './run-to-end.ts';
import { openTestEngine } from './test-engine.ts';

const signal = AbortSignal.timeout(120_000);
await using opened = await openTestEngine();
const { engine } = opened;
assert.equal(engine.info.cgroupVersion, 2);
assert.equal((await runToEnd(engine, busyboxSpec('cat /proc/self/cgroup; exit 4'), signal)).exitCode, 4);

const { id } = await engine.containers.create(busyboxSpec('while true; do :; done'), signal);
await engine.containers.start(id, signal);
const used = async (): Promise<bigint> => (await engine.containers.usage(id, signal)).cpuNanoseconds;
await pollUntil('CPU time', async () => ((await used()) > 0n ? true : undefined), { timeoutMs: 30_000 }, signal);
await engine.containers.pause(id, signal);
// The kernel books the last slice a moment after it froze.
let before = 0n;
await pollUntil('the CPU time to stand still', async () => {
  const last = before;
  before = await used();
  return before === last ? true : undefined;
}, { timeoutMs: 30_000, intervalMs: 60 }, signal);
await engine.containers.unpause(id, signal);
await pollUntil('the loop to go on', async () => ((await used()) > before ? true : undefined), { timeoutMs: 30_000 }, signal);
const second = await opened.reopen();
assert.equal(second.containers.get(id).status.state, 'running');
await second.containers.stop(id, { timeoutSeconds: 0 }, signal);
assert.equal(second.containers.get(id).status.exitCode, 137);
assert.deepEqual(await second.examine(false, signal), []);

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { identifyProcess, openNftables, sessionOf } from '../host/mod.ts';
import { rootNeeds } from '../host/testing/root.ts';
import { pollUntil } from '../kernel/mod.ts';
import { Cgroups } from './cgroups/cgroups.ts';
import { readCgroupLayout } from './cgroups/layout.ts';
import type { Engine } from './engine.ts';
import { EnginePaths } from './paths.ts';
import { findDebris } from './doctor/sweep.ts';
import { BusyboxImages } from './testing/busybox-images.ts';
import { busyboxSpec, runToEnd } from './testing/run-to-end.ts';
import { openTestEngine, type TestEngine } from './testing/test-engine.ts';

const signal = AbortSignal.timeout(120_000);
const rounds = 8;

test('an engine killed at random points leaves no wrong state and no debris', { skip: rootNeeds('runc', 'conmon', 'nft', 'busybox') }, async () => {
  const images = new BusyboxImages();
  const opened = await openTestEngine(images);
  try {
    await opened.engine[Symbol.asyncDispose]();
    for (let round = 0; round < rounds; round += 1) await runAndKill(opened, images.folder, 50 + Math.random() * 600);
    const engine = await opened.reopen();
    await pollUntil('everything to come to rest', () => isAtRest(opened, engine) || undefined, { timeoutMs: 30_000 }, signal);
    checkStates(opened, engine);
    // It works as before.
    assert.equal((await runToEnd(engine, busyboxSpec('echo fine'), signal)).stdout, 'fine\n');
    await Promise.all(engine.sandboxes.list().map(({ id }) => engine.sandboxes.remove(id, signal)));
    await Promise.all(engine.containers.list().map(({ id }) => engine.containers.remove(id, { force: true, removeVolumes: true }, signal)));
    await checkClean(opened);
  } finally {
    await opened[Symbol.asyncDispose]();
    images[Symbol.dispose]();
  }
});

async function runAndKill({ options }: TestEngine, imageFolder: string, afterMs: number): Promise<void> {
  const { images: _images, log: _log, ...rest } = options;
  const worker = spawn(process.execPath, [join(import.meta.dirname, 'testing/engine-worker.ts'), JSON.stringify({ ...rest, imageFolder })], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(worker, 'exit');
  await Promise.race([once(worker.stdout, 'data'), exited.then(([code]) => assert.fail(`the worker ended with ${code}`))]);
  await new Promise((resolve) => setTimeout(resolve, afterMs));
  worker.kill('SIGKILL');
  await exited;
}

/** Nothing is being restarted or cleaned up after. */
function isAtRest({ options }: TestEngine, { containers }: Engine): boolean {
  const paths = new EnginePaths(options.rootFolder, options.runFolder);
  return containers.list().every(({ id, status, spec }) => {
    if (status.state === 'running') return spec.owner.kind === 'pod';
    return (status.state === 'exited' || status.state === 'created') && !existsSync(paths.container(id).run);
  });
}

/** Whoever is said to run runs, and in its own monitor's hands; whoever is said to have ended has a code. */
function checkStates({ options }: TestEngine, engine: Engine): void {
  const paths = new EnginePaths(options.rootFolder, options.runFolder);
  const records = engine.containers.list();
  assert.ok(records.length > 0);
  for (const { id, status, spec } of records) {
    const isAlive = status.pid !== undefined && identifyProcess(status.pid) !== undefined;
    assert.equal(isAlive, status.state === 'running', `${id} is ${status.state} with pid ${status.pid ?? 'none'}`);
    if (status.state === 'exited') assert.equal(typeof status.exitCode, 'number');
    assert.equal(existsSync(paths.container(id).run), status.state === 'running', `${id} is ${status.state}`);
    if (isAlive) assert.equal(sessionOf(status.pid ?? 0), status.pid);
    if (spec.owner.kind === 'pod') assert.ok(engine.sandboxes.get(spec.owner.sandboxId));
  }
}

async function checkClean({ options }: TestEngine): Promise<void> {
  using nftables = openNftables();
  const cgroups = new Cgroups(readCgroupLayout(), options.instanceId);
  const paths = new EnginePaths(options.rootFolder, options.runFolder);
  const debris = () => {
    const found = findDebris({ instanceId: options.instanceId, paths, cgroups, nftables });
    return { ...found, links: found.links.filter((name) => !name.endsWith('br') && !name.endsWith('pod')) };
  };
  await pollUntil('the last interface', () => debris().links.length === 0 || undefined, { timeoutMs: 5000 }, signal);
  assert.deepEqual(debris(), { mounts: [], links: [], tables: [`ip gantry-${options.instanceId}-engine`], cgroups: [] });
  const table = nftables.list(`list table ip gantry-${options.instanceId}-engine`);
  const elements = table.flatMap((item) => ('map' in item ? [(item.map as { name: string; elem?: unknown[] }).elem?.length ?? 0] : []));
  assert.deepEqual(elements, [0, 0, 0, 0]);
}

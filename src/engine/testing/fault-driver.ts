import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { identifyProcess, LinkTable, openNftables, sessionOf, withinNamespaces } from '../../host/mod.ts';
import { GantryError, pollUntil } from '../../kernel/mod.ts';
import { Cgroups } from '../cgroups/cgroups.ts';
import { readCgroupLayout } from '../cgroups/layout.ts';
import { findDebris } from '../doctor/sweep.ts';
import type { Engine } from '../engine.ts';
import { EnginePaths } from '../paths.ts';
import type { ContainerRecord } from '../types.ts';
import { BusyboxImages } from './busybox-images.ts';
import type { WorkerInput, WorkerLine } from './engine-worker.ts';
import { after, atNextStart, type Model, possible, randomFrom, type Step, userNetworks } from './fault-plan.ts';
import { openTestEngine, type TestEngine } from './test-engine.ts';

const sigkill = 1n << 8n;

export interface FaultOptions {
  readonly seed: number;
  /** How often the engine is killed. */
  readonly rounds: number;
  /** No further round begins after this time. */
  readonly budgetMs?: number;
  readonly report: (line: string) => void;
}

export interface FaultResult { readonly lifecycles: number; readonly steps: number; readonly kills: number }

/**
 * Kills an engine again and again in the midst of random lives of containers, and compares what the next engine says and what is on the machine
 * with what was answered before. An assertion fails when a state is wrong or something is left.
 */
export async function runFaults({ seed, rounds, budgetMs = Infinity, report }: FaultOptions, signal: AbortSignal): Promise<FaultResult> {
  const images = new BusyboxImages();
  const opened = await openTestEngine(images);
  const result = { lifecycles: 0, steps: 0, kills: 0 };
  try {
    for (const name of userNetworks) await opened.engine.networks.create({ name, isInternal: false, labels: {}, options: {} }, signal);
    await opened.engine[Symbol.asyncDispose]();
    let models: readonly Model[] = [];
    const random = randomFrom(seed);
    const beganAt = Date.now();
    for (let round = 0; round < rounds && (round === 0 || Date.now() - beganAt < budgetMs); round += 1) {
      const roundSeed = Math.floor(random() * 2 ** 31);
      const lines = await runAndKill(opened, images.folder, { seed: roundSeed, models }, { lines: 1 + Math.floor(random() * 60), delayMs: Math.floor(random() * 40) });
      const expected = expectations(models, lines);
      const engine = await opened.reopen();
      await pollUntil('everything to come to rest', () => isAtRest(opened, engine) || undefined, { timeoutMs: 60_000 }, signal);
      models = await check(opened, engine, expected, lines, signal);
      result.kills += 1;
      result.steps += lines.filter(({ at }) => at === 'done').length;
      result.lifecycles += lines.filter((line) => (line.at === 'done' && line.step.op === 'create') || (line.at === 'pod' && !line.isRemoved)).length;
      report(`round ${round}: ${lines.length} lines, ${models.length} containers`);
      await engine[Symbol.asyncDispose]();
    }
    await finish(opened, signal);
    return result;
  } catch (error) {
    report(`seed ${seed}`);
    throw error;
  } finally {
    await opened[Symbol.asyncDispose]();
    images[Symbol.dispose]();
  }
}

/** Runs a worker and kills it a moment after it has written so many lines. Resolves to all that it wrote. */
async function runAndKill({ options }: TestEngine, imageFolder: string, part: Pick<WorkerInput, 'seed' | 'models'>, until: { lines: number; delayMs: number }): Promise<WorkerLine[]> {
  const { images: _images, log: _log, ...rest } = options;
  const input: WorkerInput = { options: rest, imageFolder, ...part };
  const worker = spawn(process.execPath, [join(import.meta.dirname, 'engine-worker.ts'), JSON.stringify(input)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(worker, 'exit');
  const lines: WorkerLine[] = [];
  for await (const text of createInterface({ input: worker.stdout })) {
    lines.push(JSON.parse(text) as WorkerLine);
    if (lines.length === until.lines + 1) setTimeout(() => worker.kill('SIGKILL'), until.delayMs);
  }
  const [code] = (await exited) as [number | null];
  if (code !== null) throw new GantryError('internal', `the worker ended by itself with ${code}`);
  return lines;
}

/** A container and everything that may be true of it. */
interface Expectation { readonly candidates: readonly Model[] }

function expectations(models: readonly Model[], lines: readonly WorkerLine[]): Expectation[] {
  const current = new Map<string, { model: Model; pending: Step | undefined }>(models.map((model) => [model.name, { model, pending: undefined }]));
  for (const line of lines) {
    if (line.at === 'failed') assert.fail(`${line.model}: ${JSON.stringify(line.step)} failed: ${line.message}`);
    if (line.at !== 'begin' && line.at !== 'done') continue;
    const known = current.get(line.model)?.model ?? { name: line.model, policy: { name: 'no' }, state: 'absent', isStopRequested: false, networks: [], runs: 0 };
    if (line.at === 'begin') current.set(line.model, { model: known, pending: line.step });
    else {
      const next = after(known, line.step);
      current.delete(line.model);
      current.set(next.name, { model: next, pending: undefined });
    }
  }
  return [...current.values()].map(({ model, pending }) => ({ candidates: possible(model, pending).map(atNextStart) }));
}

/** Nothing is being restarted or cleaned up after. */
function isAtRest({ options }: TestEngine, { containers }: Engine): boolean {
  const paths = new EnginePaths(options.rootFolder, options.runFolder);
  return containers.list().every(({ id, status }) => {
    if (status.state === 'paused') return true;
    if (status.state === 'running') return !isDying(status.pid ?? 0);
    return (status.state === 'exited' || status.state === 'created') && !existsSync(paths.container(id).run);
  });
}

/** It has been killed, by the engine before this one, and has not gone yet: pending is a SIGKILL, or it is gone (proc_pid_status(5)). */
function isDying(pid: number): boolean {
  if (identifyProcess(pid) === undefined) return true;
  try {
    const pending = [...readFileSync(`/proc/${pid}/status`, 'utf8').matchAll(/^(?:SigPnd|ShdPnd):\s*([0-9a-f]+)$/gm)];
    return pending.some(([, mask]) => (BigInt(`0x${mask ?? '0'}`) & sigkill) !== 0n);
  } catch {
    return true;
  }
}

/** What is there fits what may be, and the machine fits what is there. Resolves to the models of what there is. */
async function check(opened: TestEngine, engine: Engine, expected: readonly Expectation[], lines: readonly WorkerLine[], signal: AbortSignal): Promise<Model[]> {
  const records = engine.containers.list();
  const users = records.filter(({ spec }) => spec.owner.kind === 'user');
  const models: Model[] = [];
  const taken = new Set<string>();
  for (const { candidates } of expected) {
    const record = users.find(({ spec }) => candidates.some(({ name }) => name === spec.name));
    const found = record === undefined ? candidates.find(({ state }) => state === 'absent') : candidates.find((candidate) => fits(engine, candidate, record));
    assert.ok(found, `expected one of ${JSON.stringify(candidates)}, found ${JSON.stringify(record)}`);
    if (record === undefined) continue;
    taken.add(record.id);
    models.push({ ...found, runs: await checkLog(engine, record, found, signal) });
  }
  assert.deepEqual(users.filter(({ id }) => !taken.has(id)).map(({ spec }) => spec.name), [], 'containers that nobody made');
  for (const record of records) checkMachine(opened, record);
  checkPods(engine, lines);
  // The kernel takes interfaces away a moment after their namespace.
  const hostKinds = ['program', 'disk', 'kernel'];
  const findings = async () => (await engine.examine(false, signal)).filter(({ kind }) => !hostKinds.includes(kind));
  await pollUntil('veths to go', async () => (await findings()).every(({ kind }) => kind !== 'veth') || undefined, { timeoutMs: 30_000 }, signal);
  assert.deepEqual(await findings(), []);
  return models;
}

function fits(engine: Engine, model: Model, { spec, status }: ContainerRecord): boolean {
  const wanted = spec.network.mode === 'bridge' ? spec.network.endpoints.map(({ network }) => engine.networks.get(network).spec.name) : [];
  const joined = status.endpoints.map(({ networkName }) => networkName);
  const areNetworks = (names: readonly string[]): boolean => names.toSorted().join() === model.networks.toSorted().join();
  const isRunning = status.state === 'running' || status.state === 'paused';
  return (
    model.name === spec.name &&
    model.state === status.state &&
    model.policy.name === spec.restart.name &&
    areNetworks(wanted) &&
    (!isRunning || areNetworks(joined)) &&
    (status.state !== 'exited' || status.exitCode === 137) &&
    (isRunning || model.isStopRequested === status.isStopRequested)
  );
}

/** Every run that was answered wrote its line, and at most one more did. Resolves to the lines. */
async function checkLog(engine: Engine, { id, spec, status }: ContainerRecord, { runs }: Model, signal: AbortSignal): Promise<number> {
  const read = async (): Promise<number> => {
    let count = 0;
    for await (const { text } of engine.containers.logs(id, { follow: false, stdout: true, stderr: true }, signal)) {
      assert.equal(text.toString(), 'run');
      count += 1;
    }
    return count;
  };
  // A run that has just begun may not have written yet, unless it is frozen.
  if (status.state === 'running' && runs > 0) await pollUntil(`the line of ${spec.name}`, async () => ((await read()) >= 1 ? true : undefined), { timeoutMs: 30_000 }, signal);
  return read();
}

/** Whoever is said to run runs, in its own monitor's hands, with the interfaces it is said to have; of the others nothing is left. */
function checkMachine({ options }: TestEngine, { id, status, spec }: ContainerRecord): void {
  const paths = new EnginePaths(options.rootFolder, options.runFolder);
  const isRunning = status.state === 'running' || status.state === 'paused';
  const isAlive = status.pid !== undefined && identifyProcess(status.pid) !== undefined;
  assert.equal(isAlive, isRunning, `${id} is ${status.state} with pid ${status.pid ?? 'none'}`);
  assert.equal(existsSync(paths.container(id).run), isRunning, `${id} is ${status.state}`);
  if (!isRunning) return assert.deepEqual([status.endpoints, status.ports], [[], []]);
  assert.equal(sessionOf(status.pid ?? 0), status.pid);
  if (spec.owner.kind === 'pod') return;
  assert.equal(status.ports.length, 1, `${id} has its port`);
  const inside = withinNamespaces({ net: `/proc/${status.pid ?? 0}/ns/net` }, () => {
    using links = LinkTable.open();
    return links.list().filter(({ name }) => name !== 'lo').map(({ name, index }) => ({ name, address: links.addresses(index).find(({ address }) => !address.includes(':'))?.address }));
  });
  const sorted = (values: readonly { name: string; address: string | undefined }[]) => values.toSorted((a, b) => a.name.localeCompare(b.name));
  assert.deepEqual(sorted(inside), sorted(status.endpoints.map(({ interfaceName, ipv4Address }) => ({ name: interfaceName, address: ipv4Address }))), id);
}

function checkPods(engine: Engine, lines: readonly WorkerLine[]): void {
  const pods = new Set(engine.sandboxes.list().map(({ id }) => id));
  for (const { owner } of engine.containers.list().map(({ spec }) => spec)) if (owner.kind === 'pod') assert.ok(pods.has(owner.sandboxId));
  for (const line of lines) if (line.at === 'pod' && line.isRemoved) assert.ok(!pods.has(line.id), `the pod ${line.id} was removed`);
}

/** Everything is removed, and nothing is left. */
async function finish(opened: TestEngine, signal: AbortSignal): Promise<void> {
  const engine = await opened.reopen();
  await Promise.all(engine.sandboxes.list().map(({ id }) => engine.sandboxes.remove(id, signal)));
  await Promise.all(engine.containers.list().map(({ id }) => engine.containers.remove(id, { force: true, removeVolumes: true }, signal)));
  const { instanceId, rootFolder, runFolder } = opened.options;
  using nftables = openNftables();
  const cgroups = new Cgroups(readCgroupLayout(), instanceId);
  const paths = new EnginePaths(rootFolder, runFolder);
  const bridges = new Set(engine.networks.list().map(({ bridgeName }) => bridgeName));
  const debris = () => {
    const found = findDebris({ instanceId, paths, cgroups, nftables });
    return { ...found, links: found.links.filter((name) => !bridges.has(name)) };
  };
  await pollUntil('the last interface', () => debris().links.length === 0 || undefined, { timeoutMs: 30_000 }, signal);
  assert.deepEqual(debris(), { mounts: [], links: [], tables: [`ip gantry-${instanceId}-engine`], cgroups: [] });
  const table = nftables.list(`list table ip gantry-${instanceId}-engine`);
  assert.deepEqual(table.flatMap((item) => ('map' in item ? [(item.map as { elem?: unknown[] }).elem?.length ?? 0] : [])), [0, 0, 0, 0]);
  assert.doesNotMatch(readFileSync('/proc/self/mountinfo', 'utf8'), new RegExp(`${runFolder}/`));
}

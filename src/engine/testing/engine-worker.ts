/**
 * A process that opens an engine and puts containers through random lives until it is killed. Its argument: options, seed and the containers
 * there are, as JSON. It writes a line before and after each step, so that whoever kills it knows what was answered.
 */
import { randomHex, silentLogger } from '../../kernel/mod.ts';
import { openEngine } from '../open-engine.ts';
import type { ContainerSpec } from '../types.ts';
import { BusyboxImages } from './busybox-images.ts';
import { after, type Model, nextStep, pick, policies, randomFrom, type Step } from './fault-plan.ts';
import { busyboxSpec } from './run-to-end.ts';

export interface WorkerInput {
  readonly options: Omit<Parameters<typeof openEngine>[0], 'images' | 'log'>;
  readonly imageFolder: string;
  readonly seed: number;
  readonly models: readonly Model[];
}

/** One line of output. `model`: the container's name before the step. */
export type WorkerLine = { at: 'ready' } | { at: 'begin' | 'done'; model: string; step: Step } | { at: 'pod'; id: string; isRemoved: boolean } | { at: 'failed'; model: string; step: Step; message: string };

const lanes = 3;

if (process.argv[2] !== undefined) await main(JSON.parse(process.argv[2]) as WorkerInput);

async function main(input: WorkerInput): Promise<void> {
  const signal = AbortSignal.timeout(300_000);
  const engine = await openEngine({ ...input.options, images: new BusyboxImages(input.imageFolder), log: silentLogger() }, signal);
  const { containers, networks, sandboxes } = engine;
  say({ at: 'ready' });
  const random = randomFrom(input.seed);
  const known = [...input.models];
  await Promise.all([...Array.from({ length: lanes }, (_, lane) => live(lane)), podLife()]);

  /** One container after the other: those of earlier rounds, then new ones. */
  async function live(lane: number): Promise<void> {
    for (let number = 0; !signal.aborted; number += 1) {
      let model = known.shift();
      if (model === undefined) {
        model = { name: `f${input.seed}-${lane}-${number}`, policy: { name: 'no' }, state: 'absent', isStopRequested: false, networks: [], runs: 0 };
        model = await take(model, { op: 'create', policy: pick(random, policies), networks: pick(random, [['bridge'], ['red'], ['blue', 'red']]) });
      }
      for (let steps = 3 + Math.floor(random() * 10); steps > 0 && model.state !== 'absent'; steps -= 1) model = await take(model, nextStep(random, model));
    }
  }

  async function take(model: Model, step: Step): Promise<Model> {
    say({ at: 'begin', model: model.name, step });
    try {
      await act(model.name, step);
    } catch (error) {
      say({ at: 'failed', model: model.name, step, message: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
    say({ at: 'done', model: model.name, step });
    return after(model, step);
  }

  async function act(name: string, step: Step): Promise<void> {
    switch (step.op) {
      case 'create':
        return void (await containers.create(spec(name, step), signal));
      case 'start':
        return containers.start(name, signal);
      case 'restart':
        return containers.restart(name, { timeoutSeconds: 0 }, signal);
      case 'stop':
        return containers.stop(name, { timeoutSeconds: 0 }, signal);
      case 'kill':
        await containers.kill(name, 'SIGKILL', signal);
        return void (await containers.wait(name, 'not-running', signal));
      case 'pause':
        return containers.pause(name, signal);
      case 'unpause':
        return containers.unpause(name, signal);
      case 'remove':
        return containers.remove(name, { force: true, removeVolumes: true }, signal);
      case 'connect':
        return networks.connect(step.network, containers.get(name).id, { aliases: ['alias'] }, signal);
      case 'disconnect':
        return networks.disconnect(step.network, containers.get(name).id, { force: false }, signal);
      case 'rename':
        return containers.rename(name, step.name, signal);
      case 'update':
        return void (await containers.update(name, { restart: step.policy }, signal));
      case 'exec': {
        const session = await containers.exec(name, { args: ['true'], env: [], workingDir: '', user: '', tty: false, stdin: false, isPrivileged: false }, signal);
        return void (await session.exit);
      }
    }
  }

  async function podLife(): Promise<void> {
    while (!signal.aborted) {
      const podUid = randomHex(4);
      const sandbox = await sandboxes.create({ podUid, namespace: 'n', name: podUid, hostname: 'pod', labels: {}, hostNetwork: false, dns: { servers: [], searches: [], options: [] }, extraHosts: [], ports: [], sysctls: {}, cgroup: { workload: 'application' } }, signal);
      say({ at: 'pod', id: sandbox.id, isRemoved: false });
      const { id } = await containers.create(busyboxSpec('sleep 600', { owner: { kind: 'pod', sandboxId: sandbox.id, podUid, containerName: 'c', attempt: 0 }, network: { mode: 'sandbox' }, namespaces: { ...busyboxSpec('').namespaces, ipc: { mode: 'sandbox' }, uts: { mode: 'sandbox' } } }), signal);
      await containers.start(id, signal);
      await sandboxes.remove(sandbox.id, signal);
      say({ at: 'pod', id: sandbox.id, isRemoved: true });
    }
  }
}

/** A line for each run, and then it stays until it is killed: SIGTERM does nothing to a process 1 that does not ask for it. */
function spec(name: string, step: Extract<Step, { op: 'create' }>): ContainerSpec {
  return busyboxSpec('echo run; exec sleep 600', {
    name,
    restart: step.policy,
    network: { mode: 'bridge', endpoints: step.networks.map((network) => ({ network, aliases: [] })) },
    ports: [{ protocol: 'tcp', containerPort: 80, hostIp: '', hostPort: 0 }],
  });
}

function say(line: WorkerLine): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}


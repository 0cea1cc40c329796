import { isStartedAtBoot } from '../containers/restart-plan.ts';
import type { ContainerState, RestartPolicy } from '../types.ts';

/** What the test expects of a container: what has been acknowledged, and what was asked and not answered when the agent was killed. */
export interface Model {
  readonly name: string;
  readonly policy: RestartPolicy;
  readonly state: Extract<ContainerState, 'created' | 'running' | 'paused' | 'exited'> | 'absent';
  readonly isStopRequested: boolean;
  readonly networks: readonly string[];
  /** Runs that have certainly begun: each wrote a line. */
  readonly runs: number;
}

export type Step =
  | { readonly op: 'create'; readonly policy: RestartPolicy; readonly networks: readonly string[] }
  | { readonly op: 'start' | 'exec' | 'stop' | 'kill' | 'restart' | 'pause' | 'unpause' | 'remove' }
  | { readonly op: 'connect' | 'disconnect'; readonly network: string }
  | { readonly op: 'rename'; readonly name: string }
  | { readonly op: 'update'; readonly policy: RestartPolicy };

/** Repeatable random numbers from 0 to 1 (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function pick<T>(random: () => number, choices: readonly T[]): T {
  return choices[Math.floor(random() * choices.length)] as T;
}

export const policies: readonly RestartPolicy[] = [{ name: 'no' }, { name: 'always' }, { name: 'unless-stopped' }, { name: 'on-failure', maximumRetryCount: 0 }];
export const userNetworks: readonly string[] = ['red', 'blue'];

/** What can be asked of a container in its state. */
export function nextStep(random: () => number, model: Model): Step {
  const anywhere: Step[] = [{ op: 'rename', name: `${model.name.split('.')[0] ?? ''}.${Math.floor(random() * 1e6)}` }, { op: 'update', policy: pick(random, policies) }];
  const free = userNetworks.filter((network) => !model.networks.includes(network));
  if (free.length > 0) anywhere.push({ op: 'connect', network: pick(random, free) });
  if (model.networks.length > 1) anywhere.push({ op: 'disconnect', network: pick(random, model.networks) });
  const own: Readonly<Record<Model['state'], readonly Step['op'][]>> = {
    absent: [],
    created: ['start', 'start', 'remove'],
    running: ['exec', 'exec', 'pause', 'stop', 'kill', 'restart', 'remove'],
    paused: ['unpause', 'unpause', 'stop', 'remove'],
    exited: ['start', 'start', 'restart', 'remove'],
  };
  return pick(random, [...own[model.state].map((op) => ({ op }) as Step), ...anywhere]);
}

/** The model after a step that was answered. */
export function after(model: Model, step: Step): Model {
  switch (step.op) {
    case 'create':
      return { ...model, policy: step.policy, networks: step.networks, state: 'created', isStopRequested: false, runs: 0 };
    case 'start':
    case 'restart':
      return { ...model, state: 'running', isStopRequested: false, runs: model.runs + 1 };
    case 'stop':
    case 'kill':
      return { ...model, state: 'exited', isStopRequested: true };
    case 'pause':
      return { ...model, state: 'paused' };
    case 'unpause':
      return { ...model, state: 'running' };
    case 'remove':
      return { ...model, state: 'absent' };
    case 'connect':
      return { ...model, networks: [...model.networks, step.network] };
    case 'disconnect':
      return { ...model, networks: model.networks.filter((network) => network !== step.network) };
    case 'rename':
      return { ...model, name: step.name };
    case 'update':
      return { ...model, policy: step.policy };
    case 'exec':
      return model;
  }
}

/** Everything that a step which was not answered may have left: nothing of it, all of it, or what lies between. */
export function possible(model: Model, step: Step | undefined): Model[] {
  if (step === undefined) return [model];
  const stopped: Model = { ...model, state: 'exited', isStopRequested: true };
  const thawed: Model[] = model.state === 'paused' ? [{ ...model, state: 'running' }, { ...model, state: 'running', isStopRequested: true }] : [];
  const half: Model[] = { restart: [stopped, { ...model, isStopRequested: true }, ...thawed], stop: [{ ...model, isStopRequested: true }, ...thawed], kill: [{ ...model, isStopRequested: true }, ...thawed], remove: [stopped, { ...model, isStopRequested: true }, ...thawed] }[step.op as string] ?? [];
  // A start that had made its process and not let it go is undone; that it was asked for stands, and whatever policy there is goes by that.
  const begun: Model[] = step.op === 'restart' ? [{ ...model, state: 'exited', isStopRequested: false }] : step.op === 'start' ? [{ ...model, isStopRequested: false }] : [];
  return [model, after(model, step), ...begun, ...(model.state === 'running' || model.state === 'paused' ? half : [])];
}

/** What an engine that opens makes of it, once everything has come to rest. */
export function atNextStart(model: Model): Model {
  if (model.state !== 'exited') return model;
  // Every run of these containers is ended by SIGKILL.
  const isStarted = isStartedAtBoot(model.policy, { hasStarted: model.runs > 0, isStopRequested: model.isStopRequested, exitCode: 137, restartCount: 0 });
  return isStarted ? { ...model, state: 'running', isStopRequested: false } : model;
}

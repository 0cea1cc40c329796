import { type k8s, resources } from '../../../api/mod.ts';
import { Informers, type KubeClient, openKubeClient } from '../../../client/mod.ts';
import { aborted, runServices, type Service, silentLogger } from '../../../kernel/mod.ts';
import { openTestApiServer, type TestApiServer, type TestApiServerOptions } from '../../apiserver/testing/test-api-server.ts';
import { controllerServices, type ControllerServicesOptions } from '../services.ts';

/** A control plane in this process: API server, controllers and what else a test adds. Pods are not run by anyone. */
export interface TestCluster extends AsyncDisposable {
  readonly api: TestApiServer;
  readonly client: KubeClient;
  readonly informers: Informers;
  /** Aborts when the test's cluster is closed. */
  readonly signal: AbortSignal;
}

export interface TestClusterOptions {
  readonly apiServer?: TestApiServerOptions;
  readonly controllers?: ControllerServicesOptions;
  /** More services of the same control plane, for example a scheduler. */
  readonly extra?: (client: KubeClient, informers: Informers) => Service[];
}

/** Opens it with the namespace `default` made. Close it with `await using`. */
export async function openTestCluster(options: TestClusterOptions = {}): Promise<TestCluster> {
  await using cleanup = new AsyncDisposableStack();
  const api = cleanup.use(await openTestApiServer(options.apiServer));
  const client = cleanup.use(openKubeClient(api.connection));
  const stop = new AbortController();
  const informers = new Informers(client, silentLogger());
  const services = [...controllerServices(client, informers, options.controllers ?? {}, silentLogger()), ...(options.extra?.(client, informers) ?? [])];
  const run = runServices([[informers, ...services]], silentLogger(), stop.signal);
  cleanup.defer(async () => {
    stop.abort();
    await run;
  });
  await informers.ready(stop.signal);
  await client.create(resources.namespaces, { metadata: { name: 'default' } }, stop.signal).catch(() => undefined);
  const moved = cleanup.move();
  return { api, client, informers, signal: stop.signal, [Symbol.asyncDispose]: () => moved.disposeAsync() };
}

/** A node with room, ready to take pods. */
export async function addNode(client: KubeClient, name: string, allocatable: Record<string, string> = {}, over: k8s.Node = {}): Promise<void> {
  const signal = new AbortController().signal;
  await client.create<k8s.Node>(resources.nodes, { ...over, metadata: { name, ...over.metadata } }, signal);
  const status = {
    allocatable: { cpu: '4', memory: '8Gi', pods: '110', 'ephemeral-storage': '10Gi', ...allocatable },
    conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady', lastHeartbeatTime: now(), lastTransitionTime: now() }],
  };
  await client.patch(resources.nodes, { name }, { type: 'merge', subresource: 'status', body: { status } }, signal);
}

/** Plays a node agent without containers: every pod bound to a node becomes running and ready, and deleted ones go at once. */
export function fakeNodeAgent(client: KubeClient, informers: Informers, isReady: (pod: k8s.Pod) => boolean = () => true): Service {
  return {
    name: 'fake node agent',
    run: async (signal) => {
      let lastAddress = 1;
      const pending = new Set<Promise<unknown>>();
      informers.of(resources.pods).onChange(({ type, object }) => {
        const ref = { namespace: object.metadata.namespace, name: object.metadata.name };
        const start = (work: Promise<unknown>): void => {
          const tracked = work.catch(() => undefined).finally(() => pending.delete(tracked));
          pending.add(tracked);
        };
        if (type === 'deleted' || (object.spec?.nodeName ?? '') === '') return;
        if (object.metadata.deletionTimestamp !== undefined) return start(client.delete(resources.pods, ref, { gracePeriodSeconds: 0, preconditions: { uid: object.metadata.uid } }, signal));
        const ready = isReady(object) ? 'True' : 'False';
        const condition = object.status?.conditions?.find((other) => other.type === 'Ready');
        if (condition?.status === ready) return;
        lastAddress += 1;
        const podIP = object.status?.podIP ?? `10.9.${lastAddress >> 8}.${lastAddress & 255}`;
        const conditions = [{ type: 'Ready', status: ready, lastTransitionTime: now() }];
        start(client.patch(resources.pods, ref, { type: 'strategic', subresource: 'status', body: { status: { phase: 'Running', startTime: now(), podIP, podIPs: [{ ip: podIP }], conditions } } }, signal));
      });
      await aborted(signal);
      await Promise.all(pending);
    },
  };
}

/** What a played container does: its exit code, or undefined to go on running. */
export type PlayedOutcome = (pod: k8s.Pod) => number | undefined;

/** Plays an agent for pods that end: they run, and end with the exit code that `outcome` gives. Deleted pods go at once. */
export function fakeWorkRunner(client: KubeClient, informers: Informers, outcome: PlayedOutcome): Service {
  return {
    name: 'fake work runner',
    run: async (signal) => {
      const pending = new Set<Promise<unknown>>();
      informers.of(resources.pods).onChange(({ type, object }) => {
        const ref = { namespace: object.metadata.namespace, name: object.metadata.name };
        const start = (work: Promise<unknown>): void => {
          const tracked = work.catch(() => undefined).finally(() => pending.delete(tracked));
          pending.add(tracked);
        };
        if (type === 'deleted' || (object.spec?.nodeName ?? '') === '') return;
        if (object.metadata.deletionTimestamp !== undefined) return start(client.delete(resources.pods, ref, { gracePeriodSeconds: 0, preconditions: { uid: object.metadata.uid } }, signal));
        const { phase } = object.status ?? {};
        if (phase === 'Succeeded' || phase === 'Failed') return;
        const exitCode = outcome(object);
        if (exitCode === undefined && phase === 'Running') return;
        const state = exitCode === undefined ? { running: { startedAt: now() } } : { terminated: { exitCode, reason: exitCode === 0 ? 'Completed' : 'Error', finishedAt: now() } };
        const containerStatuses = (object.spec?.containers ?? []).map(({ name, image = '' }) => ({ name, image, imageID: '', ready: exitCode === undefined, restartCount: 0, state }));
        const status = { phase: exitCode === undefined ? 'Running' : exitCode === 0 ? 'Succeeded' : 'Failed', startTime: now(), containerStatuses, conditions: [{ type: 'Ready', status: exitCode === undefined ? 'True' : 'False', lastTransitionTime: now() }] };
        start(client.patch(resources.pods, ref, { type: 'strategic', subresource: 'status', body: { status } }, signal));
      });
      await aborted(signal);
      await Promise.all(pending);
    },
  };
}

function now(): string {
  return new Date().toISOString().replace(/\.\d+Z$/, 'Z');
}

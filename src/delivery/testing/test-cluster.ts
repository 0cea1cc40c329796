import { gantryDefinitions, type k8s, keyOf, type ResourceType, resources } from '../../api/mod.ts';
import { Informers, type KubeClient, openKubeClient } from '../../client/mod.ts';
import { openTestApiServer } from '../../cluster/apiserver/testing/test-api-server.ts';
import { controllerServices } from '../../cluster/controllers/mod.ts';
import { pollUntil, runServices, silentLogger, type Service } from '../../kernel/mod.ts';
import { type Delivery, openDelivery } from '../delivery.ts';
import type { ManifestSource } from '../ports.ts';

/** What a pod of the test's node does: become ready, or stay unready for a reason. */
export type PodBehaviour = (pod: k8s.Pod) => { isReady: true } | { isReady: false; waiting?: k8s.ContainerStateWaiting; restartCount?: number; warning?: string };

/** A real API server with the real controllers and delivery; only the node is the test's: it says which pods become ready. */
export interface TestCluster extends AsyncDisposable {
  readonly client: KubeClient;
  readonly delivery: Delivery;
}

export async function openTestCluster(source: ManifestSource, behaviour: PodBehaviour, signal: AbortSignal): Promise<TestCluster> {
  await using parts = new AsyncDisposableStack();
  const log = silentLogger();
  const server = parts.use(await openTestApiServer());
  const client = parts.use(openKubeClient(server.connection));
  await defineKinds(client, signal);
  const informers = new Informers(client, log);
  const delivery = openDelivery({ client, informers, source, log });
  const stop = new AbortController();
  const running = runServices([[informers], [...controllerServices(client, informers, {}, log), delivery.controller, testNode(client, informers, behaviour)]], log, stop.signal);
  parts.defer(async () => {
    stop.abort();
    await running;
  });
  const owned = parts.move();
  return { client, delivery, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function defineKinds(client: KubeClient, signal: AbortSignal): Promise<void> {
  for (const definition of gantryDefinitions) await client.create(resources.customResourceDefinitions, definition, signal);
  const types: readonly ResourceType[] = [resources.repositories, resources.workflowRuns, resources.releases];
  for (const type of types) {
    await pollUntil(`${type.plural} to be served`, () => client.list(type, {}, signal).then(() => true, () => undefined), { timeoutMs: 30_000 }, signal);
  }
}

/** Reports the status that `behaviour` names for every pod, as a node agent would, and lets deleted pods go at once. */
function testNode(client: KubeClient, informers: Informers, behaviour: PodBehaviour): Service {
  const pods = informers.of(resources.pods);
  const seen = new Set<string>();
  return {
    name: 'test node',
    run: async (signal) => {
      const handle = async (pod: k8s.Pod): Promise<void> => {
        const ref = { namespace: pod.metadata?.namespace ?? '', name: pod.metadata?.name ?? '' };
        if (pod.metadata?.deletionTimestamp !== undefined) return client.delete(resources.pods, ref, { gracePeriodSeconds: 0 }, signal);
        if (seen.has(pod.metadata?.uid ?? '')) return;
        seen.add(pod.metadata?.uid ?? '');
        await report(client, pod, behaviour(pod), signal);
      };
      const stop = pods.onChange(({ type, object }) => {
        if (type !== 'deleted') handle(object).catch((error: unknown) => (signal.aborted ? undefined : console.error(`test node: ${keyOf(object)}`, error)));
      });
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      stop();
    },
  };
}

async function report(client: KubeClient, pod: k8s.Pod, does: ReturnType<PodBehaviour>, signal: AbortSignal): Promise<void> {
  const now = new Date().toISOString();
  const container = pod.spec?.containers[0];
  const status: k8s.PodStatus = {
    phase: 'Running',
    podIP: '10.244.0.9',
    conditions: [{ type: 'Ready', status: does.isReady ? 'True' : 'False', lastTransitionTime: now }],
    containerStatuses: [
      {
        name: container?.name ?? '',
        image: container?.image ?? '',
        imageID: '',
        ready: does.isReady,
        restartCount: does.isReady ? 0 : (does.restartCount ?? 0),
        state: !does.isReady && does.waiting !== undefined ? { waiting: does.waiting } : { running: { startedAt: now } },
      },
    ],
  };
  const ref = { namespace: pod.metadata?.namespace ?? '', name: pod.metadata?.name ?? '' };
  await client.patch(resources.pods, ref, { type: 'merge', body: { status }, subresource: 'status' }, signal);
  if (does.isReady || does.warning === undefined) return;
  const event: k8s.Event = { metadata: { name: `${ref.name}.1`, namespace: ref.namespace }, involvedObject: { kind: 'Pod', ...ref, uid: pod.metadata?.uid }, type: 'Warning', reason: 'Unhealthy', message: does.warning, lastTimestamp: now };
  await client.create(resources.events, event, signal);
}

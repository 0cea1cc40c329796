import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type k8s, resources, type Stored } from '../../../api/mod.ts';
import { Informers, type KubeClient, openKubeClient } from '../../../client/mod.ts';
import { unmountBelow } from '../../../host/mod.ts';
import { pollUntil, silentLogger } from '../../../kernel/mod.ts';
import { openTestApiServer, testNodeToken, type TestApiServer, type TestApiServerOptions } from '../../apiserver/testing/test-api-server.ts';
import { NodeAgent, type NodeAgentOptions, type NodeAgentParts } from '../agent.ts';
import type { ContainerRuntime } from '../ports.ts';
import { makeTestTls } from './test-tls.ts';

export const testNodeName = 'node-1';
const waitMs = 10_000;

export interface TestNode extends AsyncDisposable {
  readonly api: TestApiServer;
  readonly client: KubeClient;
  readonly folder: string;
  readonly tls: ReturnType<typeof makeTestTls>;
  readonly agent: NodeAgent;
  /** Creates a pod bound to this node, in `default`. */
  createPod(name: string, spec: k8s.PodSpec, metadata?: k8s.ObjectMeta): Promise<Stored<k8s.Pod>>;
  pod(name: string): Promise<Stored<k8s.Pod> | undefined>;
  /** Waits until the pod is as `accept` wants it. */
  waitPod(name: string, what: string, accept: (pod: Stored<k8s.Pod>) => boolean): Promise<Stored<k8s.Pod>>;
  waitGone(name: string): Promise<void>;
  /** Ends the agent as a stop of its process would, and starts another over the same folders. */
  restart(): Promise<void>;
}

/** An API server and a node agent over the given runtime, in this process. */
export async function openTestNode(runtime: ContainerRuntime, options: Partial<NodeAgentOptions> & Pick<NodeAgentParts, 'drain'> & { api?: TestApiServerOptions } = {}): Promise<TestNode> {
  await using cleanup = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'gantry-node-'));
  cleanup.defer(() => {
    // Volumes of pods that the test left: tmpfs and sub-paths.
    unmountBelow(folder);
    return rm(folder, { recursive: true, force: true });
  });
  const { drain, api: apiOptions, ...agentOptions } = options;
  const tls = makeTestTls(testNodeName);
  const api = cleanup.use(await openTestApiServer({ ...apiOptions, tls: { ...tls.serving, clientCa: tls.ca.cert } }));
  const client = cleanup.use(openKubeClient({ ...api.connection, ca: tls.ca.cert }));
  const signal = AbortSignal.timeout(120_000);
  await client.create<k8s.Namespace>(resources.namespaces, { metadata: { name: 'default' } }, signal).catch(() => undefined);
  // The agent has no more rights than in production.
  const agentClient = cleanup.use(openKubeClient({ ...api.connection, token: testNodeToken, ca: tls.ca.cert }));
  const open = () => startAgent(runtime, agentClient, folder, tls, agentOptions, drain);
  let running = await open();
  cleanup.defer(() => running.stop());
  const pod = (name: string) => client.get(resources.pods, { namespace: 'default', name }, signal).catch(() => undefined);
  const moved = cleanup.move();
  return {
    api,
    client,
    folder,
    tls,
    get agent() {
      return running.agent;
    },
    createPod: (name, spec, metadata = {}) =>
      client.create<k8s.Pod>(resources.pods, { metadata: { namespace: 'default', name, ...metadata }, spec: { nodeName: testNodeName, ...spec } }, signal),
    pod,
    waitPod: async (name, what, accept) => {
      let last: unknown;
      try {
        return await pollUntil(`${name}: ${what}`, async () => {
          const found = await pod(name);
          last = found?.status;
          return found !== undefined && accept(found) ? found : undefined;
        }, { timeoutMs: waitMs, intervalMs: 10 }, signal);
      } catch (error) {
        throw new Error(`${name} did not become ${what}: ${JSON.stringify(last)}`, { cause: error });
      }
    },
    waitGone: async (name) => {
      await pollUntil(`the end of ${name}`, async () => ((await pod(name)) === undefined ? true : undefined), { timeoutMs: waitMs, intervalMs: 10 }, signal);
    },
    restart: async () => {
      await running.stop();
      running = await open();
    },
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
}

async function startAgent(runtime: ContainerRuntime, client: KubeClient, folder: string, tls: ReturnType<typeof makeTestTls>, options: Partial<NodeAgentOptions>, drain: NodeAgentParts['drain']) {
  const stop = new AbortController();
  const informers = new Informers(client, silentLogger());
  const agent = await NodeAgent.open(
    {
      nodeName: testNodeName,
      nodeIp: '127.0.0.1',
      podCidr: '127.77.0.0/16',
      dataFolder: join(folder, 'data'),
      runFolder: join(folder, 'run'),
      claimsFolder: join(folder, 'claims'),
      dns: { clusterServers: ['10.96.0.10'], clusterDomain: 'cluster.local', host: { servers: ['192.0.2.1'], searches: ['example.org'], options: [] } },
      listen: { host: '127.0.0.1', port: 0, tls: { ...tls.serving, clientCa: tls.ca.cert } },
      runtimeVersion: 'memory://1',
      version: 'v1.36.0',
      ...options,
    },
    { client, informers, runtime, log: silentLogger(), ...(drain === undefined ? {} : { drain }) },
  );
  const runs = Promise.all([informers.run(stop.signal), agent.run(stop.signal)]);
  await agent.ready(AbortSignal.timeout(waitMs));
  return {
    agent,
    stop: async () => {
      stop.abort();
      await runs;
      await agent[Symbol.asyncDispose]();
    },
  };
}

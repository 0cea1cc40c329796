import { readFileSync } from 'node:fs';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { k8s } from '../../api/mod.ts';
import type { NodeDialer } from '../../cluster/apiserver/mod.ts';
import type { TestApiServerOptions } from '../../cluster/apiserver/testing/test-api-server.ts';
import type { ContainerRuntime, NodeAgentOptions, ServiceDrain } from '../../cluster/node/mod.ts';
import { openTestNode, type TestNode, testNodeName } from '../../cluster/node/testing/test-node.ts';
import { createTestImage, openTestImageStore } from '../../engine/images/testing/test-images.ts';
import { openTestEngine, type TestEngine } from '../../engine/testing/test-engine.ts';
import { silentLogger, systemClock } from '../../kernel/mod.ts';
import { createContainerRuntime } from '../adapters/container-runtime.ts';
import { StatsMetricsSource } from '../adapters/metrics-source.ts';
import { createNodeDialer } from '../adapters/node-dialer.ts';

/** The one image of a `RealNode`. */
export const realNodeImage = 'test/busybox:1';

const signal = AbortSignal.timeout(600_000);

/** A node over the real engine, an API server that reaches it, and an image with busybox. */
export interface RealNode extends AsyncDisposable {
  readonly node: TestNode;
  readonly engine: TestEngine;
  readonly runtime: ContainerRuntime;
  /** Not running: a test that wants figures runs it. */
  readonly metrics: StatsMetricsSource;
  /** The log of a pod's container as kubectl would show it. */
  logs(pod: string, container?: string): Promise<string>;
  exec(pod: string, ...command: string[]): Promise<{ exitCode: number; output: string }>;
}

/** How a test's node differs. */
export interface RealNodeOptions {
  readonly api?: TestApiServerOptions;
  readonly agent?: (engine: TestEngine) => Partial<NodeAgentOptions>;
  readonly drain?: ServiceDrain;
}

/** Opens all of it; needs root. */
export async function openRealNode(options: RealNodeOptions = {}): Promise<RealNode> {
  await using cleanup = new AsyncDisposableStack();
  const { images } = cleanup.use(await openTestImageStore());
  const applets = ['sh', 'sleep', 'cat', 'echo', 'id', 'nc', 'ls', 'httpd', 'wget', 'kill', 'hostname', 'stat', 'true', 'test', 'mkdir', 'tar', 'find', 'mkfifo', 'head', 'wc', 'rm', 'printf', 'touch', 'date'];
  const links = applets.map((name) => ({ path: `bin/${name}`, type: 'symlink' as const, linkPath: 'busybox' }));
  await createTestImage(images, realNodeImage, [[{ path: 'bin/' }, { path: 'bin/busybox', content: readFileSync('/bin/busybox'), mode: 0o755 }, ...links, { path: 'tmp/', mode: 0o1777 }, { path: 'etc/' }]], { Env: ['PATH=/bin'], Cmd: ['sleep', '1000'] });
  const engine = cleanup.use(await openTestEngine(images));
  const runtime = createContainerRuntime(engine.engine, images);
  const opened: TestNode[] = [];
  const nodeObject = (): k8s.Node => ({ metadata: { name: testNodeName }, status: { addresses: [{ type: 'InternalIP', address: '127.0.0.1' }], daemonEndpoints: { kubeletEndpoint: { Port: opened[0]?.agent.listener.port ?? 0 } } } });
  const dialer: NodeDialer = { connect: (name, stop) => createNodeDialer(nodeObject, { ca: opened[0]?.tls.ca.cert ?? '', cert: opened[0]?.tls.client.cert ?? '', key: opened[0]?.tls.client.key ?? '' }).connect(name, stop) };
  const metrics = new StatsMetricsSource(() => [nodeObject()], dialer, systemClock, silentLogger(), 1_200);
  const node = cleanup.use(await openTestNode(runtime, { ...options.agent?.(engine), api: { dialer, metrics, ...options.api }, ...(options.drain === undefined ? {} : { drain: options.drain }) }));
  opened.push(node);
  const id = async (pod: string, container: string): Promise<string> => {
    const all = await runtime.listContainers(signal);
    const uid = (await node.pod(pod))?.metadata.uid;
    return all.filter((one) => one.podUid === uid && one.name === container).toSorted((a, b) => b.attempt - a.attempt)[0]?.id ?? '';
  };
  const moved = cleanup.move();
  return {
    node,
    engine,
    runtime,
    metrics,
    logs: async (pod, container = 'app') => {
      const lines: string[] = [];
      for await (const line of runtime.logs(await id(pod, container), { follow: false }, signal)) lines.push(line.text.toString());
      return lines.join('\n');
    },
    exec: async (pod, ...command) => {
      const stdout = new PassThrough();
      const output = text(stdout);
      const { exitCode } = await runtime.exec(await id(pod, 'app'), { command, stdout, tty: false }, signal);
      stdout.end();
      return { exitCode, output: (await output).trim() };
    },
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
}


import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type k8s, resources, type Stored } from '../../api/mod.ts';
import { pollUntil } from '../../kernel/mod.ts';
import { shutDownPods } from './node-shutdown.ts';
import { MemoryRuntime } from './testing/memory-runtime.ts';
import { openTestNode, testNodeName } from './testing/test-node.ts';

const signal = AbortSignal.timeout(120_000);
const containers = [{ name: 'app', image: 'app:1' }];
const isRunning = ({ status }: Stored<k8s.Pod>): boolean => status?.phase === 'Running';

test('shutDownPods() ends critical pods when the last other has ended, each group with its grace', async () => {
  const told: string[] = [];
  const ordinary = Promise.withResolvers<void>();
  const worker = (name: string, priority: number | undefined, done: Promise<void>) => ({
    pod: { metadata: { name }, spec: { containers, ...(priority === undefined ? {} : { priority }) } },
    end: ({ graceSeconds }: { graceSeconds?: number }) => (told.push(`${name} ${graceSeconds ?? 0}`), done),
  });
  const ended = shutDownPods([worker('critical', 2_000_001_000, Promise.resolve()), worker('plain', undefined, Promise.resolve()), worker('slow', 5, ordinary.promise)], { graceSeconds: 20, criticalGraceSeconds: 5 });
  await new Promise(setImmediate);
  assert.deepEqual(told, ['plain 20', 'slow 20']);
  ordinary.resolve();
  await ended;
  assert.deepEqual(told, ['plain 20', 'slow 20', 'critical 5']);
});

test('a node that shuts down ends its pods, says so, and takes new ones only after it has started again', async () => {
  const runtime = new MemoryRuntime();
  await using node = await openTestNode(runtime);
  const { client } = node;
  const ready = async (): Promise<string> => {
    const { status } = await client.get(resources.nodes, { name: testNodeName }, signal);
    const condition = status?.conditions?.find(({ type }) => type === 'Ready');
    return `${condition?.status ?? ''} ${condition?.message ?? ''}`;
  };
  await node.createPod('plain', { containers });
  await node.createPod('critical', { containers, priorityClassName: 'system-node-critical' });
  for (const name of ['plain', 'critical']) await node.waitPod(name, 'Running', isRunning);
  assert.equal(await node.agent.shutDown({ graceSeconds: 1, criticalGraceSeconds: 1 }, signal), 2);
  assert.deepEqual((await runtime.listContainers()).filter(({ state }) => state === 'running'), []);
  assert.equal(await ready(), 'False node is shutting down');
  for (const name of ['plain', 'critical']) {
    const { status } = await node.waitPod(name, 'Failed', (pod) => pod.status?.phase === 'Failed');
    const disruption = status?.conditions?.find(({ type }) => type === 'DisruptionTarget');
    assert.deepEqual([status?.reason, status?.message, disruption?.status, disruption?.reason], ['Terminated', 'Pod was terminated in response to imminent node shutdown.', 'True', 'TerminationByKubelet']);
  }
  await node.createPod('late', { containers });
  await node.restart();
  await node.waitPod('late', 'Running', isRunning);
  await pollUntil('the node to be ready', async () => ((await ready()).startsWith('True') ? true : undefined), { timeoutMs: 60_000 }, signal);
  assert.equal((await node.pod('plain'))?.status?.phase, 'Failed');
});

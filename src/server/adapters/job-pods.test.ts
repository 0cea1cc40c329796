import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { gantryDefinitions, resources, type Stored, type WorkflowRun } from '../../api/mod.ts';
import { Ci } from '../../ci/mod.ts';
import { memorySource } from '../../ci/testing/memory-source.ts';
import { Informers, type KubeClient } from '../../client/mod.ts';
import { Scheduler } from '../../cluster/scheduler/mod.ts';
import { pollUntil, runServices, silentLogger } from '../../kernel/mod.ts';
import { applyDefinitions } from '../apply-definitions.ts';
import { openRealNode, realNodeImage } from '../testing/real-node.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root: real containers';
const limit = (): AbortSignal => AbortSignal.timeout(60_000);
const name = 'shop-1';

interface Pipeline {
  readonly ci: Ci;
  readonly client: KubeClient;
  readonly run: () => Promise<Stored<WorkflowRun>>;
}

/** Runs the workflow in pods of a real node, without git: the files are the same at every commit. */
async function withPipeline(jobs: string, files: Record<string, string>, body: (pipeline: Pipeline) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-jobs-'));
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => rm(folder, { recursive: true, force: true }));
  const { node } = cleanup.use(await openRealNode());
  const { client } = node;
  await applyDefinitions(client, gantryDefinitions, limit());
  const log = silentLogger();
  const informers = new Informers(client, log);
  const source = memorySource({ ...files, '.github/workflows/ci.yml': `on: push\njobs:\n${jobs}` });
  const environment = { certificateBundle: undefined, proxyVariables: {}, runnerImages: { '*': realNodeImage }, registryHost: '127.0.0.1:5000', cacheFolder: join(folder, 'cache') };
  const ci = await Ci.open({ client, informers, source, environment, logFolder: folder, serverUrl: 'http://127.0.0.1:1', log });
  const stopped = new AbortController();
  const running = runServices([[informers], [new Scheduler(client, informers, {}, log), ci]], log, stopped.signal);
  try {
    const spec = { repository: 'shop', commit: 'c'.repeat(40), ref: 'refs/heads/main', event: 'push' as const, actor: 'alice', workflowPath: '.github/workflows/ci.yml' };
    await client.create(resources.workflowRuns, { metadata: { namespace: 'default', name }, spec }, limit());
    await body({ ci, client, run: () => client.get(resources.workflowRuns, { namespace: 'default', name }, limit()) });
  } finally {
    stopped.abort();
    await running;
  }
}

function finished({ run }: Pipeline): Promise<Stored<WorkflowRun>> {
  return pollUntil('the end of the run', async () => {
    const found = await run();
    return found.status?.finishedAt === undefined ? undefined : found;
  }, { timeoutMs: 50_000 }, limit());
}

async function logOf({ ci }: Pipeline): Promise<string> {
  let text = '';
  for await (const part of ci.readLogs({ namespace: 'default', name }, { follow: true }, limit())) text += part;
  return text;
}

const podsGone = ({ client }: Pipeline): Promise<true> => pollUntil('the pods to go', async () => ((await client.list(resources.pods, { namespace: 'default' }, limit())).items.length === 0 ? true : undefined), { timeoutMs: 30_000 }, limit());

test('jobs run in pods: checkout, services by name, environment, outputs, reports, and nothing is left', { skip }, () =>
  withPipeline(`  first:
    runs-on: x
    outputs: { v: "\${{ steps.make.outputs.v }}" }
    steps:
      - uses: actions/checkout@v4
      - id: make
        env: { SECRET: "it's $5 \\"x\\"" }
        run: |
          cat src/hello.txt
          echo "$SECRET"
          echo v=7 >> $GITHUB_OUTPUT
          echo kept > "$npm_config_cache.txt"
          sleep 1000 &
  second:
    needs: first
    runs-on: x
    services:
      db:
        image: ${realNodeImage}
        env: { PASSWORD: 'a$(B)c' }
        options: --health-cmd "test -n '$PASSWORD'" --health-interval 1s
    steps:
      - run: |
          cat /etc/hosts "$npm_config_cache.txt"
          echo '<testsuite><testcase name="a"/></testsuite>' > junit.xml
          echo "v=\${{ needs.first.outputs.v }}"
`, { 'src/hello.txt': 'hello from the commit\n' }, async (pipeline) => {
    const run = await finished(pipeline);
    const log = await logOf(pipeline);
    assert.deepEqual([run.status?.phase, run.status?.message], ['Succeeded', 'unit: 1 passed'], log);
    assert.match(log, /hello from the commit\nit's \$5 "x"\n/);
    assert.match(log, /127\.0\.0\.1\s+db\n/);
    assert.match(log, /\nkept\nv=7\n/);
    await podsGone(pipeline);
  }));

test('a job fails with the name of the service that did not become ready, or of the image that is nowhere', { skip }, async () => {
  await withPipeline(`  a:
    runs-on: x
    services: { db: { image: ${realNodeImage}, ports: [9999], options: --health-cmd false --health-interval 1s --health-timeout 1s --health-retries 1 } }
    steps: [{ run: "true" }]
`, {}, async (pipeline) => {
    const run = await finished(pipeline);
    assert.equal(run.status?.message, 'job a: the service db was not ready in 10 s');
    await podsGone(pipeline);
  });
  await withPipeline('  a:\n    runs-on: x\n    container: nowhere.invalid/image:1\n    steps: [{ run: "true" }]\n', {}, async (pipeline) => {
    const run = await finished(pipeline);
    assert.match(run.status?.message ?? '', /^job a: the container of the job did not start: /);
    await podsGone(pipeline);
  });
});

test('a cancelled run takes its pods away at once, and a step that runs too long ends with all its processes', { skip }, async () => {
  await withPipeline('  a:\n    runs-on: x\n    steps: [{ run: sleep 1000 }]\n', {}, async (pipeline) => {
    await pollUntil('the step', async () => (await pipeline.run()).status?.jobs?.find(({ steps }) => steps?.[0]?.phase === 'Running'), { timeoutMs: 30_000 }, limit());
    await pipeline.client.patch(resources.workflowRuns, { namespace: 'default', name }, { type: 'merge', body: { spec: { cancelRequested: true } } }, limit());
    assert.equal((await finished(pipeline)).status?.phase, 'Cancelled');
    await podsGone(pipeline);
  });
  await withPipeline(`  a:
    runs-on: x
    steps:
      - { run: sleep 1001 & sleep 1002, timeout-minutes: 0.02, continue-on-error: true }
      - run: for f in /proc/[0-9]*/cmdline; do cat $f; echo; done
`, {}, async (pipeline) => {
    const run = await finished(pipeline);
    assert.deepEqual(run.status?.jobs?.[0]?.steps?.map(({ exitCode }) => exitCode), [124, 0]);
    assert.doesNotMatch((await logOf(pipeline)).split('\n').filter((line) => !line.startsWith('── ')).join('\n').replace(/Error: .*/, ''), /100[12]/);
  });
});

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { gantryDefinitions, type JobStatus, resources, type Stored, type WorkflowRun } from '../../api/mod.ts';
import { Informers, type KubeClient, openKubeClient } from '../../client/mod.ts';
import { openTestApiServer } from '../../cluster/apiserver/testing/test-api-server.ts';
import { GitHosting, type PushGate, type RefUpdate } from '../../git/mod.ts';
import { TestWorkTree } from '../../git/testing/git-server.ts';
import { GantryError, pollUntil, runServices, silentLogger } from '../../kernel/mod.ts';
import { Ci } from '../ci.ts';
import type { JobExecutor, SourceReader } from '../ports.ts';
import { LocalJobExecutor } from '../testing/local-executor.ts';

const log = silentLogger();
const limit = (): AbortSignal => AbortSignal.timeout(60_000);

/** API server, git hosting and ci in this process, the latter two restartable; jobs are processes of this machine. */
class Fixture implements AsyncDisposable {
  readonly folder: string;
  readonly client: KubeClient;
  readonly executor: LocalJobExecutor;
  readonly #stack: AsyncDisposableStack;
  #process: { stop: () => Promise<void>; ci: Ci; port: number } | undefined;

  constructor(folder: string, client: KubeClient, executor: LocalJobExecutor, stack: AsyncDisposableStack) {
    this.folder = folder;
    this.client = client;
    this.executor = executor;
    this.#stack = stack;
  }

  static async open(): Promise<Fixture> {
    const stack = new AsyncDisposableStack();
    const folder = await mkdtemp(join(tmpdir(), 'gantry-ci-'));
    stack.defer(() => rm(folder, { recursive: true, force: true }));
    const api = stack.use(await openTestApiServer());
    const client = stack.use(openKubeClient(api.connection));
    for (const definition of gantryDefinitions) await client.create(resources.customResourceDefinitions, definition, limit());
    await pollUntil('the kinds', async () => (await client.list(resources.repositories, {}, limit()).catch(() => undefined)) && (await client.list(resources.imageBuilds, {}, limit()).catch(() => undefined)), { timeoutMs: 30_000 }, limit());
    const fixture = new Fixture(folder, client, new LocalJobExecutor(), stack);
    await fixture.start();
    return fixture;
  }

  get ci(): Ci {
    assert.ok(this.#process !== undefined);
    return this.#process.ci;
  }

  async start(executor: JobExecutor = this.executor): Promise<void> {
    const stack = new AsyncDisposableStack();
    const informers = new Informers(this.client, log);
    let hosting: GitHosting | undefined;
    const source: SourceReader = {
      readFile: async (repository, ...rest) => (await root().get(repository)).readFile(...rest),
      listFiles: async (repository, ...rest) => (await root().get(repository)).listFiles(...rest),
      changedFiles: async (repository, ...rest) => (await root().get(repository)).changedFiles(...rest),
      archive: async (repository, ...rest) => (await root().get(repository)).archive(...rest),
      commitInfo: async (repository, ...rest) => (await root().get(repository)).commitInfo(...rest),
    };
    const root = (): GitHosting['root'] => {
      if (hosting === undefined) throw new GantryError('unavailable', 'git is not open yet');
      return hosting.root;
    };
    const environment = { certificateBundle: undefined, proxyVariables: {}, runnerImages: { '*': 'node:24-slim' }, registryHost: '127.0.0.1:5000', cacheFolder: undefined };
    const builder = { build: async () => ({ imageId: 'sha256:i', digest: `sha256:${'d'.repeat(64)}` }) };
    const ci = stack.use(await Ci.open({ client: this.client, informers, source, environment, logFolder: join(this.folder, 'logs'), serverUrl: 'http://127.0.0.1:1', log, executor, builder }));
    const toCommit = ({ after, ...update }: RefUpdate): Parameters<Ci['pipeline']['check']>[0] => ({ ...update, commit: after ?? '' });
    const gate: PushGate = {
      check: (update, write, signal) => ci.pipeline.check(toCommit(update), write, signal),
      accepted: (update, write, signal) => (update.isProtected ? Promise.resolve() : ci.pipeline.start(toCommit(update), write, signal)),
    };
    hosting = stack.use(await GitHosting.open({ rootFolder: join(this.folder, 'git'), hooksFolder: join(this.folder, 'hooks'), socketPath: join(this.folder, 'hook.sock'), client: this.client, informers, gate, authenticator: { authenticate: async (user) => user }, log }));
    const { http } = hosting;
    const web = createServer({ requestTimeout: 0 }, (request, response) => void http.handle(request, response));
    await new Promise<void>((resolve) => web.listen(this.#process?.port ?? 0, '127.0.0.1', resolve));
    const stopped = new AbortController();
    const running = runServices([[informers], [hosting, ci]], log, stopped.signal);
    this.#process = {
      ci,
      port: (web.address() as AddressInfo).port,
      stop: async () => {
        web.closeAllConnections();
        await new Promise((resolve) => web.close(resolve));
        await stack.disposeAsync();
        stopped.abort();
        await running;
      },
    };
    await informers.ready(limit());
  }

  stop(): Promise<void> {
    return this.#process?.stop() ?? Promise.resolve();
  }

  /** A Repository and an empty working copy of it. */
  async repository(name: string): Promise<TestWorkTree> {
    await this.client.create(resources.repositories, { metadata: { namespace: 'default', name }, spec: {} }, limit());
    await pollUntil('the repository to be served', async () => (await this.client.get(resources.repositories, { namespace: 'default', name }, limit())).status?.conditions?.find(({ type, status }) => type === 'Ready' && status === 'True'), { timeoutMs: 30_000 }, limit());
    return TestWorkTree.open(join(this.folder, `work-${name}`), `http://alice:t@127.0.0.1:${this.#process?.port ?? 0}/${name}.git`);
  }

  async runs(): Promise<Stored<WorkflowRun>[]> {
    return (await this.client.list(resources.workflowRuns, { namespace: 'default' }, limit())).items;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.#stack.disposeAsync();
  }
}

const workflow = (jobs: string): Record<string, string> => ({ '.github/workflows/ci.yml': `name: CI\non: push\njobs:\n${jobs}` });
const passing = 'printf "  3 passing (1ms)\\n"';

const remoteLines = (stderr: string): string[] => stderr.split('\n').flatMap((line) => /^remote: (.*)$/.exec(line)?.[1]?.trimEnd() ?? []);

test('git push runs the workflow, shows it, moves the branch, and status.branches follows', async () => {
  await using fixture = await Fixture.open();
  const work = await fixture.repository('shop');
  const commit = await work.commit(workflow(`  unit:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n      - run: cat app.txt && ${passing}\n  image:\n    needs: unit\n    runs-on: ubuntu-latest\n    steps:\n      - uses: docker/build-push-action@v6\n        with: { push: true, tags: "shop:1" }\n`));
  await work.commit({ 'app.txt': 'the app\n' });
  const push = await work.tryGit('push', 'origin', 'main');
  assert.equal(push.code, 0, push.stderr);
  const [run] = await fixture.runs();
  const lines = remoteLines(push.stderr).map((line) => line.replace(/\d+\.\d s/, '0.0 s'));
  // The image may be told a moment before its job has ended, or together with it.
  const pushed = `image  pushed shop@sha256:${'d'.repeat(12)}`;
  assert.equal(lines.filter((line) => line === pushed).length, 1);
  assert.deepEqual(lines.filter((line) => line !== pushed), [`run ${run?.metadata.name}: CI`, 'unit   started', 'unit   passed in 0.0 s (unit: 3 passed)', 'image  started', 'image  passed in 0.0 s', 'unit: 3 passed']);
  assert.deepEqual([run?.status?.phase, run?.status?.images?.map(({ name }) => name)], ['Succeeded', ['shop']]);
  const head = await work.git('rev-parse', 'HEAD');
  assert.notEqual(head, commit);
  const branches = await pollUntil('status.branches', async () => (await fixture.client.get(resources.repositories, { namespace: 'default', name: 'shop' }, limit())).status?.branches?.at(0), { timeoutMs: 30_000 }, limit());
  assert.deepEqual(branches, { name: 'main', commit: head });
  let text = '';
  for await (const part of fixture.ci.readLogs({ namespace: 'default', name: run?.metadata.name ?? '' }, { follow: true }, limit())) text += part;
  assert.match(text, /━━ unit\n[^]*the app\n[^]*━━ image\n/);
});

test('git push is refused when a test fails, with its name and the end of the log', async () => {
  await using fixture = await Fixture.open();
  const work = await fixture.repository('shop');
  const junit = '<testsuite><testcase name="pays" classname="cart"><failure message="1 != 2"/></testcase><testcase name="a"/></testsuite>';
  await work.commit(workflow(`  unit:\n    runs-on: x\n    steps:\n      - run: |\n          echo '${junit}' > junit.xml\n          echo some output\n          exit 1\n  after:\n    needs: unit\n    runs-on: x\n    steps: [{ run: exit 0 }]\n`));
  const push = await work.tryGit('push', 'origin', 'main');
  assert.match(push.stderr, /! \[remote rejected\] main -> main \(unit: 1 of 2 failed\)/);
  const lines = remoteLines(push.stderr);
  assert.ok(lines.includes('  ✗ cart › pays') && lines.includes('      1 != 2') && lines.includes('  | some output') && lines.includes('after  skipped'), push.stderr);
  assert.equal(await work.git('ls-remote', 'origin'), '');
  const [run] = await fixture.runs();
  assert.deepEqual([run?.status?.phase, run?.status?.failedTests], ['Failed', [{ level: 'unit', name: 'cart › pays', message: '1 != 2' }]]);
});

test('git push is refused when no test ran, and when there is nothing to run', async () => {
  await using fixture = await Fixture.open();
  const work = await fixture.repository('shop');
  await work.commit({ 'readme.md': 'hello' });
  assert.match((await work.tryGit('push', 'origin', 'main')).stderr, /main -> main \(no test ran: there are no workflows in \.github\/workflows, no test script in package\.json, and no Dockerfile\)/);
  await work.commit(workflow('  build:\n    runs-on: x\n    steps: [{ run: echo built }]\n'));
  assert.match((await work.tryGit('push', 'origin', 'main')).stderr, /main -> main \(no test ran\)/);
  await work.commit({ '.github/workflows/ci.yml': 'on: { push: { branches: [other] } }\njobs:\n  a:\n    runs-on: x\n    steps: [{ run: y }]\n' });
  assert.match((await work.tryGit('push', 'origin', 'main')).stderr, /main -> main \(no test ran: no workflow is started by a push of these files to refs\/heads\/main\)/);
  assert.equal(await work.git('ls-remote', 'origin'), '');
});

test('git push is refused for mistakes in workflow files before anything runs, all of them with their place', async () => {
  await using fixture = await Fixture.open();
  const work = await fixture.repository('shop');
  await work.commit({ '.github/workflows/a.yml': 'on: push\njobs:\n  a:\n    runs-on: x\n    environment: prod\n    steps: [{ run: y }]\n', '.github/workflows/b.yaml': 'on: pull_request\njobs:\n  a:\n    runs-on: x\n    steps: [{ run: y }]\n' });
  const push = await work.tryGit('push', 'origin', 'main');
  assert.match(push.stderr, /main -> main \(\.github\/workflows\/a\.yml:5:5: the key environment of a job is not supported: .* and 1 more\)/);
  assert.deepEqual(remoteLines(push.stderr).map((line) => line.split(': ')[0]), ['.github/workflows/a.yml:5:5', '.github/workflows/b.yaml:1:5']);
  assert.deepEqual(await fixture.runs(), []);
});

test('git push of an unprotected branch moves at once and is tested afterwards', async () => {
  await using fixture = await Fixture.open();
  const work = await fixture.repository('shop');
  const commit = await work.commit(workflow(`  unit:\n    runs-on: x\n    steps: [{ run: exit 1 }]\n`));
  const push = await work.tryGit('push', 'origin', 'main:feature');
  assert.equal(push.code, 0, push.stderr);
  assert.match(push.stderr, /remote: run shop-\w+-\w+ started; see: gantry run logs/);
  assert.equal(await work.git('ls-remote', 'origin', 'feature'), `${commit}\trefs/heads/feature`);
  const run = await pollUntil('the run', async () => (await fixture.runs()).find(({ status }) => status?.phase === 'Failed'), { timeoutMs: 30_000 }, limit());
  assert.equal(run.status?.message, 'job unit: step "Run exit 1": exit code 1');
});

async function runningJob(fixture: Fixture): Promise<JobStatus> {
  return pollUntil('a running step', async () => (await fixture.runs()).flatMap(({ status }) => status?.jobs ?? []).find(({ steps }) => steps?.some(({ phase }) => phase === 'Running')), { timeoutMs: 30_000 }, limit());
}

test('a run is cancelled by its spec: its jobs end at once and the push is refused', async () => {
  await using fixture = await Fixture.open();
  const work = await fixture.repository('shop');
  await work.commit(workflow('  unit:\n    runs-on: x\n    steps: [{ run: sleep 100 }]\n'));
  const push = work.tryGit('push', 'origin', 'main');
  await runningJob(fixture);
  const [run] = await fixture.runs();
  await fixture.client.patch(resources.workflowRuns, { namespace: 'default', name: run?.metadata.name ?? '' }, { type: 'merge', body: { spec: { cancelRequested: true } } }, limit());
  assert.match((await push).stderr, /main -> main \(cancelled\)/);
  await pollUntil('all sessions to end', () => fixture.executor.openSessions === 0 || undefined, { timeoutMs: 30_000 }, limit());
});

test('after a restart of the server a run goes on from the start of the job that was cut off', async () => {
  await using fixture = await Fixture.open();
  const work = await fixture.repository('shop');
  await work.commit(workflow(`  first:
    runs-on: x
    outputs: { v: "\${{ steps.s.outputs.v }}" }
    steps:
      - id: s
        run: |
          echo v=1 >> $GITHUB_OUTPUT
          ${passing}
  second:
    needs: first
    runs-on: x
    steps:
      - run: "[ -e ${fixture.folder}/go ] || sleep 100"
      - run: echo v=\${{ needs.first.outputs.v }}
`));
  await work.git('push', '--quiet', 'origin', 'main:feature');
  await pollUntil('the second job', async () => (await fixture.runs())[0]?.status?.jobs?.find(({ id, steps }) => id === 'second' && steps?.[0]?.phase === 'Running'), { timeoutMs: 30_000 }, limit());
  await fixture.stop();
  assert.equal(fixture.executor.openSessions, 0);
  const [cut] = await fixture.runs();
  assert.deepEqual(cut?.status?.jobs?.map(({ id, phase }) => `${id} ${phase}`), ['first Succeeded', 'second Running']);
  await writeFile(join(fixture.folder, 'go'), '');
  await fixture.start();
  const run = await pollUntil('the end of the run', async () => (await fixture.runs()).find(({ status }) => status?.finishedAt !== undefined), { timeoutMs: 30_000 }, limit());
  assert.deepEqual(run.status?.jobs?.map(({ id, phase, attempt }) => `${id} ${phase} ${attempt}`), ['first Succeeded 1', 'second Succeeded 2']);
  assert.equal(run.status?.message, 'unit: 3 passed');
  let text = '';
  for await (const part of fixture.ci.readLogs({ namespace: 'default', name: run.metadata.name }, { follow: false, job: 'second' }, limit())) text += part;
  assert.match(text, /v=1\n$/);
});

test('after a restart of the server a run that a pusher waited for is cancelled, and the branch has not moved', async () => {
  await using fixture = await Fixture.open();
  const work = await fixture.repository('shop');
  await work.commit(workflow('  unit:\n    runs-on: x\n    steps: [{ run: sleep 100 }]\n'));
  const push = work.tryGit('push', 'origin', 'main');
  await runningJob(fixture);
  await fixture.stop();
  assert.notEqual((await push).code, 0);
  await fixture.start();
  const run = await pollUntil('the end of the run', async () => (await fixture.runs()).find(({ status }) => status?.finishedAt !== undefined), { timeoutMs: 30_000 }, limit());
  assert.equal(run.status?.phase, 'Cancelled');
  assert.deepEqual(fixture.executor.swept, [run.metadata.name]);
  assert.equal(await work.git('ls-remote', 'origin'), '');
});

test('a job whose connection is lost is started again, and the push goes on', async () => {
  await using fixture = await Fixture.open();
  const work = await fixture.repository('shop');
  await fixture.stop();
  let losses = 0;
  await fixture.start({
    sweep: () => Promise.resolve(),
    open: async (...call) => {
      const session = await fixture.executor.open(...call);
      const exec: typeof session.exec = (...command) => {
        losses += 1;
        return losses === 1 ? Promise.reject(new GantryError('unavailable', 'the connection broke')) : session.exec(...command);
      };
      return { workspace: session.workspace, temporary: session.temporary, exec, [Symbol.asyncDispose]: () => session[Symbol.asyncDispose]() };
    },
  });
  await work.commit(workflow(`  unit:\n    runs-on: x\n    steps:\n      - run: ${passing.replaceAll('"', "'")}\n`));
  const push = await work.tryGit('push', 'origin', 'main');
  assert.equal(push.code, 0, push.stderr);
  assert.ok(remoteLines(push.stderr).includes('unit  started again'), push.stderr);
  const [run] = await fixture.runs();
  assert.deepEqual(run?.status?.jobs?.map(({ phase, attempt }) => [phase, attempt]), [['Succeeded', 2]]);
});

test('a deleted run ends its jobs and takes its logs with it', async () => {
  await using fixture = await Fixture.open();
  const work = await fixture.repository('shop');
  await work.commit(workflow('  unit:\n    runs-on: x\n    steps: [{ run: sleep 100 }]\n'));
  await work.git('push', '--quiet', 'origin', 'main:feature');
  await runningJob(fixture);
  const [run] = await fixture.runs();
  const ref = { namespace: 'default', name: run?.metadata.name ?? '' };
  await fixture.client.delete(resources.workflowRuns, ref, {}, limit());
  await pollUntil('all sessions to end', () => fixture.executor.openSessions === 0 || undefined, { timeoutMs: 30_000 }, limit());
  await pollUntil('the logs to go', async () => {
    for await (const part of fixture.ci.logs.read(ref, 'unit', false, limit())) if (part !== '') return undefined;
    return true;
  }, { timeoutMs: 5_000 }, limit());
});

test('git push shows why a job could not start', async () => {
  await using fixture = await Fixture.open();
  const work = await fixture.repository('shop');
  await fixture.stop();
  await fixture.start({ sweep: () => Promise.resolve(), open: () => Promise.reject(new GantryError('unavailable', 'the service db did not start: it ended with exit code 1\nno space left')) });
  await work.commit(workflow('  unit:\n    runs-on: x\n    steps: [{ run: y }]\n'));
  const push = await work.tryGit('push', 'origin', 'main');
  assert.match(push.stderr, /main -> main \(job unit: the service db did not start: it ended with exit code 1\)/);
  assert.ok(remoteLines(push.stderr).includes('  | no space left'), push.stderr);
});

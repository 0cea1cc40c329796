import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { JobStatus } from '../../api/mod.ts';
import { GantryError, systemClock } from '../../kernel/mod.ts';
import { DiskLogStore } from '../logs/disk-log-store.ts';
import type { JobImageBuilder } from '../ports.ts';
import { LocalJobExecutor } from '../testing/local-executor.ts';
import { memorySource } from '../testing/memory-source.ts';
import { parseWorkflow } from '../workflow/parse-workflow.ts';
import { Toolkit } from '../workflow/toolkit.ts';
import { JobRun } from './job-run.ts';

const toolkit = await Toolkit.load();
const commit = 'c'.repeat(40);

interface Outcome { status: JobStatus; log: string; executor: LocalJobExecutor }
interface Options { isProtected?: boolean; files?: Record<string, string>; builder?: JobImageBuilder; head?: string; signal?: AbortSignal; onChange?: (status: JobStatus) => void }

const noBuilder: JobImageBuilder = { build: () => Promise.reject(new GantryError('unavailable', 'no node builds images')) };

/** Runs a job whose steps (and other keys) are given as YAML. */
async function runJob(steps: string, { files = {}, builder = noBuilder, head = 'runs-on: ubuntu-latest', signal = AbortSignal.timeout(30_000), isProtected = true, onChange }: Options = {}): Promise<Outcome> {
  const indent = (text: string): string => text.replaceAll(/^(?=.)/gm, '    ');
  const workflow = parseWorkflow(toolkit, `on: push\nname: CI\nenv: { LEVEL: workflow, W: w }\njobs:\n  job:\n${indent(head)}\n    steps:\n${indent(steps)}\n`, 'ci.yml');
  const [job] = workflow.jobs;
  assert.ok(job !== undefined);
  const folder = await mkdtemp(join(tmpdir(), 'gantry-jobrun-'));
  const logs = new DiskLogStore(folder);
  const executor = new LocalJobExecutor();
  try {
    const run = { namespace: 'default', name: 'shop-1', uid: 'u', serverUrl: 'http://127.0.0.1:1', isProtected, spec: { repository: 'shop', commit, ref: 'refs/heads/main', event: 'push' as const, actor: 'alice' }, commit: { message: 'change', author: 'Alice', email: 'a@example.com', timestamp: '' } };
    const environment = { certificateBundle: undefined, proxyVariables: {}, runnerImages: { 'ubuntu-latest': 'node:24-slim' }, registryHost: '127.0.0.1:5000', cacheFolder: undefined };
    const jobRun: JobRun = new JobRun({ run, workflow, job, needs: { before: { result: 'success', outputs: { v: '7' } } }, podName: 'shop-1-job', attempt: 1, onChange: () => onChange?.(jobRun.status()) }, { toolkit, executor, builder, source: memorySource(files), logs, environment, clock: systemClock });
    await jobRun.run(signal);
    let log = '';
    for await (const part of logs.read(run, job.id, true, AbortSignal.timeout(5_000))) log += part;
    assert.equal(executor.openSessions, 0);
    return { status: jobRun.status(), log, executor };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const phases = ({ status }: Outcome): string[] => status.steps?.map(({ name, phase, exitCode }) => `${name}: ${phase}${exitCode === undefined ? '' : ` ${exitCode}`}`) ?? [];

test('JobRun checks out the commit and runs the steps in the workspace', async () => {
  const outcome = await runJob(`
- uses: actions/checkout@v4
- run: cat src/a.txt && pwd | grep -q "$GITHUB_WORKSPACE" && echo "$GITHUB_SHA $GITHUB_REF_NAME $GITHUB_JOB $CI $GANTRY_REGISTRY"
- name: Second
  working-directory: src
  run: ls
`, { files: { 'src/a.txt': 'hello\n' } });
  assert.deepEqual(phases(outcome), ['actions/checkout: Succeeded', 'Run cat src/a.txt && pwd | grep -q "$GITHUB_WORKSPACE" && echo "$GITHUB_SHA $GITHUB…: Succeeded 0', 'Second: Succeeded 0']);
  assert.equal(outcome.status.phase, 'Succeeded');
  assert.match(outcome.log, new RegExp(`── actions/checkout\nchecked out ${commit}\n── Run cat.*\nhello\n${commit} main job true 127.0.0.1:5000\n── Second\na.txt\n`));
  assert.equal(outcome.executor.requests[0]?.image, 'node:24-slim');
});

test('JobRun hands environment, paths and outputs from step to step, and outputs out of the job', async () => {
  const outcome = await runJob(`
- run: |
    echo "ADDED=from file" >> "$GITHUB_ENV"
    mkdir bin && printf '#!/bin/sh\\necho tool' > bin/mytool && chmod +x bin/mytool
    echo "$PWD/bin" >> "$GITHUB_PATH"
- id: make
  env: { LEVEL: step }
  run: |
    mytool
    echo "$LEVEL $W $ADDED"
    echo "v=it's 1" >> $GITHUB_OUTPUT
    printf 'long<<EOF\\na\\nb\\nEOF\\n' >> $GITHUB_OUTPUT
- run: echo "\${{ env.LEVEL }} \${{ steps.make.outputs.v }} \${{ steps.make.conclusion }} \${{ needs.before.outputs.v }}"
`, { head: 'runs-on: ubuntu-latest\nenv: { LEVEL: job }\noutputs: { long: "${{ steps.make.outputs.long }}", v: "v${{ steps.make.outputs.v }}" }' });
  assert.match(outcome.log, /tool\nstep w from file\n/);
  assert.match(outcome.log, /\njob it's 1 success 7\n/);
  assert.deepEqual(outcome.status.outputs, { long: 'a\nb', v: "vit's 1" });
});

test('JobRun stops at the first failing step, but runs steps that ask for it', async () => {
  const outcome = await runJob(`
- run: exit 3
- run: echo never
- if: failure()
  run: echo after failure
- if: always() && job.status == 'failure'
  run: echo always
- if: success()
  run: echo not this
`);
  assert.deepEqual(phases(outcome), ['Run exit 3: Failed 3', 'Run echo never: Skipped', 'Run echo after failure: Succeeded 0', 'Run echo always: Succeeded 0', 'Run echo not this: Skipped']);
  assert.deepEqual([outcome.status.phase, outcome.status.message], ['Failed', 'step "Run exit 3": exit code 3']);
});

test('JobRun forgives a step with continue-on-error', async () => {
  const outcome = await runJob('- id: x\n  continue-on-error: true\n  run: exit 1\n- run: echo "${{ steps.x.outcome }} ${{ steps.x.conclusion }}"\n');
  assert.equal(outcome.status.phase, 'Succeeded');
  assert.equal(outcome.status.message, undefined);
  assert.match(outcome.log, /\nfailure success\n/);
});

test('JobRun chooses the shell: bash -e by default, pipefail when bash is asked for, any program', async () => {
  const cases: [step: string, expected: string][] = [
    ['- run: "false | true; echo reached"', 'Succeeded'],
    ['- { run: "false | true; echo reached", shell: bash }', 'Failed'],
    ['- { run: "[ -z \\"$BASH_VERSION\\" ] || [ -n \\"$POSIXLY_CORRECT\\" ]", shell: sh }', 'Succeeded'],
    [`- { run: "process.exit(new Set([1, 1]).size)", shell: "${process.execPath} {0}" }`, 'Failed'],
    ['- { run: "cat; echo no input", shell: sh }', 'Succeeded'],
    ['- { run: "true", working-directory: nowhere }', 'Failed'],
  ];
  for (const [step, expected] of cases) assert.equal((await runJob(step)).status.phase, expected, step);
});

test('JobRun honours workflow commands and masks what they announce', async () => {
  const { log, status } = await runJob(`
- run: |
    echo "::add-mask::hunter2"
    echo "the password is hunter2"
    echo "::error file=a.js,line=3::broken%0Abadly"
    echo "::group::Install"
    echo "::endgroup::"
    echo "::debug::nothing"
    echo "::stop-commands::tok"
    echo "::warning::as it is"
    echo "::tok::"
    echo "::warning::seen" >&2
- run: echo again hunter2
`);
  assert.equal(status.phase, 'Succeeded');
  assert.match(log, /\nthe password is \*\*\*\nError: a\.js:3: broken\nbadly\n▸ Install\n::warning::as it is\nWarning: seen\n/);
  assert.match(log, /\nagain \*\*\*\n/);
  assert.doesNotMatch(log.replaceAll(/^── .*$/gm, ''), /hunter2|nothing/);
});

test('JobRun counts tests by level, from reports and else from the console', async () => {
  const junit = '<testsuite><testcase name="a"/><testcase name="b" classname="cart"><failure message="1 != 2"/></testcase></testsuite>';
  const outcome = await runJob(`
- name: Unit tests
  run: |
    printf '  3 passing (2ms)\\n  1 pending\\n'
- run: |
    mkdir -p node_modules/x test-results && echo '${junit}' > node_modules/x/junit.xml && echo '${junit}' > test-results/it.xml
    echo '  9 passing (2ms)'
    # test:integration
`);
  assert.deepEqual(outcome.status.tests, [{ level: 'unit', passed: 3, failed: 0, skipped: 1 }, { level: 'integration', passed: 1, failed: 1, skipped: 0 }]);
  assert.deepEqual(outcome.status.failedTests, [{ level: 'integration', name: 'cart › b', message: '1 != 2' }]);
  assert.deepEqual([outcome.status.phase, outcome.status.message], ['Failed', 'integration: 1 of 2 failed']);
});

test('JobRun does not count a report again that an earlier step wrote', async () => {
  const { status } = await runJob(`
- run: echo '<testsuite><testcase name="a"/></testsuite>' > junit.xml
- run: "true"
`);
  assert.deepEqual(status.tests, [{ level: 'unit', passed: 1, failed: 0, skipped: 0 }]);
});

test('JobRun ends a step that runs too long, with all it started, and goes on with cleanup steps', async () => {
  const outcome = await runJob(`
- timeout-minutes: 0.01
  run: sleep 300 & sleep 300
- if: always()
  run: pgrep -f "^sleep 300$" > /dev/null && echo leftover || echo clean
`);
  assert.deepEqual(phases(outcome), ['Run sleep 300 & sleep 300: Failed 124', 'Run pgrep -f "^sleep 300$" > /dev/null && echo leftover || echo clean: Succeeded 0']);
  assert.equal(outcome.status.message, 'step "Run sleep 300 & sleep 300": it ran longer than 0.01 minutes');
});

test('JobRun ends at its own timeout', async () => {
  const { status } = await runJob('- run: sleep 200\n', { head: 'runs-on: ubuntu-latest\ntimeout-minutes: 0.01' });
  assert.deepEqual([status.phase, status.message, status.steps?.[0]?.phase], ['Failed', 'the job ran longer than its timeout-minutes: 0.01', 'Failed']);
});

test('JobRun is cancelled in the middle of a step', async () => {
  const controller = new AbortController();
  const running = runJob('- run: sleep 100\n- { if: always(), run: echo never }\n', { signal: controller.signal, onChange: (status) => {
    if (status.steps?.[0]?.phase === 'Running') controller.abort(new GantryError('cancelled', 'the pusher went away'));
  } });
  const { status } = await running;
  assert.deepEqual([status.phase, status.message, status.steps?.map(({ phase }) => phase)], ['Cancelled', 'the pusher went away', ['Cancelled', 'Cancelled']]);
});

test('JobRun builds images and passes their digest on', async () => {
  const specs: unknown[] = [];
  const digest = `sha256:${'d'.repeat(64)}`;
  const builder: JobImageBuilder = { build: async (_owner, name, spec, log) => { specs.push([name, spec]); log('STEP 1: FROM scratch\n'); return { imageId: 'sha256:i', digest }; } };
  const outcome = await runJob(`
- id: image
  uses: docker/build-push-action@v6
  with: { context: ./app, file: app/docker/Dockerfile, push: true, tags: "shop:\${{ github.sha }}, localhost:5001/x/shop:1", build-args: "A=1", target: final }
- run: echo "\${{ steps.image.outputs.digest }}"
`, { builder });
  assert.deepEqual(specs, [['shop-1-job-1', { source: { repository: 'shop', commit }, contextPath: 'app', dockerfile: 'docker/Dockerfile', target: 'final', buildArgs: { A: '1' }, tags: [`127.0.0.1:5000/shop:${commit}`, 'localhost:5001/x/shop:1'], push: true }]]);
  await runJob('- uses: docker/build-push-action@v6\n  with: { tags: "shop:x" }\n', { builder, isProtected: false });
  assert.partialDeepStrictEqual(specs[1], ['shop-1-job-1', { untrustedScope: 'default/shop' }]);
  const rest = { 'no-cache': true, 'no-cache-filters': 'a,b', pull: true, platforms: 'linux/amd64', 'cache-from': 'type=registry,ref=cache:1\nghcr.io/x/y', 'cache-to': 'type=inline\ntype=registry,ref=cache:1,mode=max', 'build-contexts': 'base=docker-image://debian\nlib=https://host/lib.git', outputs: 'type=image,compression=zstd,compression-level=9,force-compression=true' };
  const withInputs = (inputs: object): string => `- uses: docker/build-push-action@v6\n  with: ${JSON.stringify({ tags: 'shop:x', ...inputs })}\n`;
  await runJob(withInputs(rest), { builder });
  assert.partialDeepStrictEqual(specs[2], ['shop-1-job-1', {
    noCache: true, noCacheStages: ['a', 'b'], pull: true, platform: 'linux/amd64', cacheFrom: ['127.0.0.1:5000/cache:1', 'ghcr.io/x/y:latest'], inlineCache: true, cacheTo: [{ reference: '127.0.0.1:5000/cache:1', mode: 'max' }],
    contexts: { base: 'docker-image://debian', lib: 'https://host/lib.git' }, format: { compression: 'zstd', level: 9, force: true, mediaTypes: 'oci' },
  }]);
  for (const [inputs, message] of [
    [{ platforms: 'linux/amd64,linux/arm64' }, /one platform/],
    [{ 'cache-to': 'type=gha' }, /cache-to: "type=gha"/],
    [{ 'cache-from': 'type=registry,ref=x,mode=full' }, /the mode is min or max/],
    [{ 'build-contexts': 'x=./folder' }, /the context x is neither/],
    [{ outputs: 'type=local' }, /"local" is not supported/],
    [{ outputs: 'type=image,compression=estargz' }, /compression=estargz is not supported/],
  ] as const) assert.match((await runJob(withInputs(inputs), { builder })).status.message ?? '', message);
  assert.deepEqual(outcome.status.images, [{ name: 'shop', digest, reference: `127.0.0.1:5000/shop@${digest}` }, { name: 'x/shop', digest, reference: `localhost:5001/x/shop@${digest}` }]);
  assert.match(outcome.log, new RegExp(`STEP 1: FROM scratch\n[^]*${digest}\n`));
});

test('JobRun fails with the place of what cannot be evaluated, and with the reason of what cannot start', async () => {
  const unknown = await runJob('- run: "true"\n', { head: 'runs-on: windows-latest' });
  assert.equal(unknown.status.message, 'ci.yml:6:14: there is no image for runs-on: windows-latest; known are ubuntu-latest');
  const build = await runJob('- uses: docker/build-push-action@v6\n  with: { push: true }\n');
  assert.equal(build.status.message, 'step "docker/build-push-action": an image that is pushed needs tags');
  const path = await runJob('- uses: actions/checkout@v4\n  with: { path: ../x }\n');
  assert.equal(path.status.message, 'step "actions/checkout": the path "../x" leaves the workspace');
  const reserved = await runJob('- run: echo "GITHUB_SHA=x" >> $GITHUB_ENV\n');
  assert.match(reserved.status.message ?? '', /\$GITHUB_ENV: the variable GITHUB_SHA cannot be set/);
});

test('JobRun goes on when a step leaves processes in the background, which live on', async () => {
  const outcome = await runJob(`
- run: |
    (while :; do echo tick; sleep 0.05; done) &
    echo $! > pid
    echo started
- run: |
    sleep 0.3
    kill -0 "$(cat pid)" && echo alive && kill "$(cat pid)"
- run: exit 4
`);
  assert.deepEqual(phases(outcome).map((phase) => phase.split(': ').at(-1)), ['Succeeded 0', 'Succeeded 0', 'Failed 4']);
  assert.match(outcome.log, /\nstarted\n[^]*\nalive\n/);
});

import assert from 'node:assert/strict';
import { join, resolve } from 'node:path';
import type { Deployment, HorizontalPodAutoscaler, Pod } from '../../src/api/kubernetes/types.gen.ts';
import type { Release, Repository, WorkflowRun } from '../../src/api/mod.ts';
import { pollUntil, runCommand } from '../../src/kernel/mod.ts';
import type { Figures } from './figures.ts';
import { type Instance, residentBytes } from './instance.ts';
import { get, type LoadResult, percentile, SteadyLoad } from './load.ts';
import { WorkingCopy } from './working-copy.ts';

/** What the steps share. `say` gets progress for people. */
export interface Story {
  readonly instance: Instance;
  readonly shop: WorkingCopy;
  readonly figures: Figures;
  /** Where the application answers. */
  url: string;
  readonly say: (text: string) => void;
}

export interface Step {
  readonly name: string;
  run(story: Story, signal: AbortSignal): Promise<void>;
}

/** The story of README and demo: each step checks what it tells, and throws where it is not so. */
export const steps: readonly Step[] = [
  { name: 'a push is tested, built, rolled out and served', run: firstPush },
  { name: 'a killed container is replaced while requests go on', run: killContainer },
  { name: 'a push with a failing test is refused', run: refuseFailingTest },
  { name: 'a push in which no test ran is refused', run: refuseWithoutTests },
  { name: 'a second version rolls out under load without a failed request', run: rollOut },
  { name: 'a version that never becomes healthy is rolled back by itself', run: rollBack },
  { name: 'the autoscaler follows the load up and down', run: autoscale },
  { name: 'kubectl rollout undo takes the application back one version', run: undo },
  { name: 'kill -9 of server and agent stops no container and fails no request', run: killProcesses },
];

/** Base images, the database image, the repository and a checkout: what stands before the first push. */
export async function prepare(instance: Instance, figures: Figures, say: (text: string) => void, signal: AbortSignal): Promise<Story> {
  say('base images debian:bookworm-slim and node:24-slim (from Debian packages and npm; cached on this machine)');
  await figures.time('base images ready', async () => {
    for (const name of ['debian:bookworm-slim', 'node:24-slim']) await instance.gantry(['image', 'bootstrap', name], signal);
  });
  say('redis:7, built from examples/images/redis through the Docker API');
  await figures.time('database image built', () => buildDatabaseImage(instance, signal));
  const { stdout } = await instance.gantry(['repo', 'create', 'shop'], signal);
  const remote = /^(https?:\/\/\S+)$/m.exec(stdout)?.[1];
  assert.ok(remote, `gantry repo create printed no remote: ${stdout}`);
  return { instance, shop: await WorkingCopy.create('shop', remote, signal), figures, url: '', say };
}

/** With the docker client where there is one; else the same API call by curl. */
async function buildDatabaseImage(instance: Instance, signal: AbortSignal): Promise<void> {
  const folder = resolve(import.meta.dirname, '../../examples/images/redis');
  const hasDocker = (await runCommand('sh', ['-c', 'command -v docker'], { okCodes: [0, 1, 127] }, signal)).code === 0;
  if (hasDocker) return void (await instance.docker(['build', '-q', '-t', 'redis:7', folder], signal));
  const socket = instance.value('DOCKER_HOST').replace('unix://', '');
  const script = `tar -C "$1" -cf - . | curl -sS --fail --unix-socket "$2" -H 'Content-Type: application/x-tar' --data-binary @- 'http://docker/build?t=redis:7'`;
  await runCommand('sh', ['-c', script, 'sh', folder, socket], {}, signal);
}

async function firstPush(story: Story, signal: AbortSignal): Promise<void> {
  const commit = await story.shop.commit('A small shop', signal);
  const { output } = await story.figures.time('first push → served', async () => {
    const push = await story.shop.push(signal);
    assert.ok(push.isAccepted, `the push was refused:\n${push.output}`);
    story.url = await liveUrl(story, commit, signal);
    assert.equal(await servedVersion(story.url), '1.0.0');
    return push;
  });
  story.say(indent(output.split('\n').filter((line) => line.startsWith('remote:')).slice(-12).join('\n')));
  assert.equal(await story.shop.remoteMain(signal), commit);
  for (const level of ['unit', 'integration', 'e2e']) assert.match(output, new RegExp(`^remote: .*${level}`, 'm'), `the push did not stream ${level}`);
  const run = await runOf(story, commit, signal);
  assert.equal(run.status?.phase, 'Succeeded');
  const counts = Object.fromEntries((run.status?.tests ?? []).map(({ level, passed, failed }) => [level, { passed, failed }]));
  assert.equal(counts['unit']?.passed, 12);
  for (const level of ['unit', 'integration', 'e2e']) assert.ok((counts[level]?.passed ?? 0) > 0 && counts[level]?.failed === 0, `${level}: ${JSON.stringify(counts)}`);
  story.figures.add('tests of the push', Object.entries(counts).map(([level, { passed }]) => `${passed} ${level}`).join(', '));
  const image = run.status?.images?.[0];
  assert.ok(image, 'the run recorded no image');
  const deployment = await story.instance.get<Deployment>(['deployment', 'shop'], signal);
  assert.equal(deployment.spec?.template.spec?.containers[0]?.image, image.reference, 'the deployment is not pinned to the digest that was tested');
  const { status } = await get(`http://gantry:${story.instance.value('GANTRY_TOKEN')}@${story.instance.value('GANTRY_REGISTRY')}/v2/${image.name}/manifests/${image.digest}`);
  assert.equal(status, 200, 'the registry does not have the image');
}

async function killContainer(story: Story, signal: AbortSignal): Promise<void> {
  const before = await shopPods(story, signal);
  const victim = before[0];
  const containerId = victim?.status?.containerStatuses?.[0]?.containerID?.replace(/^.*:\/\//, '');
  assert.ok(victim?.metadata?.name !== undefined && containerId !== undefined);
  await using load = new SteadyLoad(`${story.url}/version`, 40);
  await pollUntil('load', () => (load.requests > 20 ? true : undefined), { timeoutMs: 30_000 }, signal);
  await story.figures.time('killed container replaced and ready', async () => {
    await killInContainer(containerId, story, signal);
    await pollUntil('the container to be replaced', async () => (await hasNewContainer(story, victim, containerId, signal)) || undefined, { timeoutMs: 60_000 }, signal);
  });
  const served = load.requests;
  await pollUntil('requests to go on', () => (load.requests > served + 20 ? true : undefined), { timeoutMs: 30_000 }, signal);
  const result = await load.stop();
  // A connection that the killed process held is lost with it; what comes after must not be.
  assert.ok(result.failures.length <= result.requests * 0.1, `too many failures: ${summary(result)}`);
  story.figures.add('  requests meanwhile', summary(result));
}

/** SIGKILL to the container's first process, through the Docker API's own client or its API. */
async function killInContainer(containerId: string, story: Story, signal: AbortSignal): Promise<void> {
  const socket = story.instance.value('DOCKER_HOST').replace('unix://', '');
  await runCommand('curl', ['-sS', '--fail', '--unix-socket', socket, '-X', 'POST', `http://docker/containers/${containerId}/kill?signal=KILL`], {}, signal);
}

async function hasNewContainer(story: Story, victim: Pod, oldId: string, signal: AbortSignal): Promise<boolean> {
  const pods = await shopPods(story, signal);
  const same = pods.find(({ metadata }) => metadata?.uid === victim.metadata?.uid);
  const status = same?.status?.containerStatuses?.[0];
  if (same === undefined) return pods.length >= 2 && pods.every(isReady);
  return status !== undefined && status.ready && status.containerID?.endsWith(oldId) === false && status.restartCount > 0;
}

async function refuseFailingTest(story: Story, signal: AbortSignal): Promise<void> {
  const before = await story.shop.remoteMain(signal);
  await story.shop.edit('test/unit/cart.test.js', /toBe\((\d+)\)/, 'toBe($1 + 1)');
  await story.shop.commit('Break a unit test', signal);
  const { isAccepted, output } = await story.figures.time('push with a failing test refused', () => story.shop.push(signal));
  story.say(indent(output.split('\n').slice(-8).join('\n')));
  assert.equal(isAccepted, false);
  assert.match(output, /! \[remote rejected\] main -> main \(unit: 1 of 12 failed\)/);
  await assertUntouched(story, before, signal);
}

async function refuseWithoutTests(story: Story, signal: AbortSignal): Promise<void> {
  const before = await story.shop.remoteMain(signal);
  await story.shop.edit('package.json', /"test:unit": ".*"/, '"test:unit": "true"');
  await story.shop.edit('package.json', /"test:integration": ".*"/, '"test:integration": "true"');
  await story.shop.edit('package.json', /"test:e2e": ".*"/, '"test:e2e": "true"');
  await story.shop.commit('Run no tests', signal);
  const { isAccepted, output } = await story.figures.time('push without tests refused', () => story.shop.push(signal));
  assert.equal(isAccepted, false);
  assert.match(output, /! \[remote rejected\] main -> main \(.*no test ran.*\)/);
  await assertUntouched(story, before, signal);
}

/** Main has not moved, the site serves what it served, and the checkout is back on what is live. */
async function assertUntouched(story: Story, before: string | undefined, signal: AbortSignal): Promise<void> {
  assert.equal(await story.shop.remoteMain(signal), before);
  assert.equal(await servedVersion(story.url), '1.0.0');
  const { items } = await story.instance.get<{ items: Release[] }>(['releases'], signal);
  assert.equal(items.length, 1, 'a refused push made a release');
  await story.shop.git(['reset', '-q', '--hard', before ?? ''], signal);
}

async function rollOut(story: Story, signal: AbortSignal): Promise<void> {
  await story.shop.edit('package.json', '"version": "1.0.0"', '"version": "2.0.0"');
  const commit = await story.shop.commit('Version 2', signal);
  await using load = new SteadyLoad(`${story.url}/version`, 50);
  await story.figures.time('second version: push → live', async () => {
    const { isAccepted, output } = await story.shop.push(signal);
    assert.ok(isAccepted, output);
    await liveUrl(story, commit, signal);
  });
  await pollUntil('only the new version', async () => (await podsSettled(story, signal)) || undefined, { timeoutMs: 60_000 }, signal);
  const result = await load.stop();
  assert.equal(await servedVersion(story.url), '2.0.0');
  assert.deepEqual(result.failures, [], summary(result));
  assert.ok((result.versions['1.0.0'] ?? 0) > 0 && (result.versions['2.0.0'] ?? 0) > 0, 'the load did not see both versions');
  story.figures.add('  requests meanwhile', summary(result));
}

async function rollBack(story: Story, signal: AbortSignal): Promise<void> {
  await story.shop.edit('package.json', '"version": "2.0.0"', '"version": "3.0.0"');
  await story.shop.edit('deploy/shop.yaml', /(readinessProbe:\s+httpGet:\s+path: )\S+/, '$1/never-there');
  const commit = await story.shop.commit('Version 3, whose health check never passes', signal);
  await using load = new SteadyLoad(`${story.url}/version`, 50);
  const { output, release } = await story.figures.time('unhealthy version: push → rolled back', async () => {
    const push = await story.shop.push(signal);
    assert.ok(push.isAccepted, push.output);
    return { ...push, release: await releaseInPhase(story, commit, ['RolledBack'], signal) };
  });
  await pollUntil('only the old version', async () => (await podsSettled(story, signal)) || undefined, { timeoutMs: 60_000 }, signal);
  const result = await load.stop();
  assert.deepEqual(result.failures, [], summary(result));
  assert.deepEqual(Object.keys(result.versions), ['2.0.0'], 'something else than the old version was served');
  const reason = release.status?.message ?? '';
  assert.match(reason, /readiness|progress/i);
  assert.match(output, /^remote: .*roll.*back/im, `the push did not tell of the rollback:\n${output}`);
  const repository = await story.instance.get<Repository>(['repository', 'shop'], signal);
  assert.ok(repository.status?.badCommits?.some((bad) => bad.commit === commit && bad.reason !== ''), 'the commit is not marked bad');
  await story.shop.git(['fetch', '-q', 'origin', 'refs/notes/gantry:refs/notes/gantry'], signal);
  assert.match((await story.shop.git(['notes', '--ref', 'gantry', 'show', commit], signal)).stdout, /roll/i);
  story.say(`reason: ${reason}`);
  story.figures.add('  requests meanwhile', summary(result));
}

async function autoscale(story: Story, signal: AbortSignal): Promise<void> {
  const replicas = async (): Promise<number> => (await story.instance.get<Deployment>(['deployment', 'shop'], signal)).status?.readyReplicas ?? 0;
  const hpa = await story.instance.get<HorizontalPodAutoscaler>(['hpa', 'shop'], signal);
  const minimum = hpa.spec?.minReplicas ?? 1;
  await pollUntil('the quiet number of pods', async () => ((await replicas()) === minimum ? true : undefined), { timeoutMs: 60_000, intervalMs: 500 }, signal);
  await using load = new SteadyLoad(`${story.url}/search?q=red`, 30);
  await story.figures.time('load rises → pods added and ready', () =>
    pollUntil('more pods', async () => ((await replicas()) > minimum ? true : undefined), { timeoutMs: 120_000, intervalMs: 250 }, signal),
  );
  const most = await replicas();
  await load.stop();
  await story.figures.time('load falls → pods gone', () =>
    pollUntil('fewer pods', async () => ((await replicas()) === minimum ? true : undefined), { timeoutMs: 180_000, intervalMs: 500 }, signal),
  );
  story.figures.add('  pods', `${minimum} → ${most} → ${minimum}`);
}

async function undo(story: Story, signal: AbortSignal): Promise<void> {
  const before = await servedVersion(story.url);
  await story.figures.time('kubectl rollout undo', async () => {
    await story.instance.kubectl(['rollout', 'undo', 'deployment/shop'], signal);
    await story.instance.kubectl(['rollout', 'status', 'deployment/shop', '--timeout=60s'], signal);
  });
  await pollUntil('the version before', async () => ((await podsSettled(story, signal)) && (await servedVersion(story.url)) === '1.0.0') || undefined, { timeoutMs: 30_000 }, signal);
  story.say(`${before} → ${await servedVersion(story.url)}`);
}

async function killProcesses(story: Story, signal: AbortSignal): Promise<void> {
  const before = await identities(story, signal);
  const runsBefore = await story.instance.gantryJson<unknown[]>(['run', 'list'], signal);
  await using load = new SteadyLoad(`${story.url}/version`, 50);
  for (const name of ['server', 'agent'] as const) {
    const old = (await story.instance.processes(signal))[name];
    await story.figures.time(`${name} killed → back`, async () => {
      process.kill(old, 'SIGKILL');
      await pollUntil(`the ${name}`, () => hasComeBack(story, name, old, signal), { timeoutMs: 60_000, intervalMs: 100 }, signal);
    });
  }
  const served = load.requests;
  await pollUntil('requests', () => (load.requests > served + 50 ? true : undefined), { timeoutMs: 30_000 }, signal);
  const result = await load.stop();
  assert.deepEqual(result.failures, [], summary(result));
  assert.deepEqual(await identities(story, signal), before, 'containers were stopped or replaced');
  assert.deepEqual(await story.instance.gantryJson<unknown[]>(['run', 'list'], signal), runsBefore, 'runs were forgotten');
  story.figures.add('  requests meanwhile', summary(result));
  await addFootprint(story, signal);
}

async function hasComeBack(story: Story, name: 'server' | 'agent', old: number, signal: AbortSignal): Promise<true | undefined> {
  try {
    const now = (await story.instance.processes(signal))[name];
    if (now === old) return undefined;
    // The API answers, and the node's agent is behind it: a pod's log passes through both.
    const pod = (await shopPods(story, signal))[0]?.metadata?.name ?? '';
    await story.instance.kubectl(['logs', pod, '--tail=1'], signal);
    return true;
  } catch {
    return undefined;
  }
}

async function addFootprint(story: Story, signal: AbortSignal): Promise<void> {
  const { supervisor, server, agent } = await story.instance.processes(signal);
  const sizes = await Promise.all([supervisor, server, agent].map(residentBytes));
  const mib = sizes.map((bytes) => Math.round(bytes / (1 << 20)));
  story.figures.add('memory of supervisor + server + agent', `${mib.join(' + ')} = ${mib.reduce((sum, size) => sum + size, 0)} MiB`);
}

/** Container ids and start times of all pods: what must not change when our processes die. */
async function identities(story: Story, signal: AbortSignal): Promise<string[]> {
  const { items } = await story.instance.get<{ items: Pod[] }>(['pods'], signal);
  return items
    .flatMap(({ status }) => (status?.containerStatuses ?? []).map(({ containerID, restartCount, state }) => `${containerID ?? ''} ${restartCount} ${state?.running?.startedAt ?? ''}`))
    .toSorted();
}

async function shopPods(story: Story, signal: AbortSignal): Promise<Pod[]> {
  const { items } = await story.instance.get<{ items: Pod[] }>(['pods', '-l', 'app=shop'], signal);
  return items;
}

function isReady({ status }: Pod): boolean {
  return status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') === true;
}

/** No pod is starting or ending, and all are of the deployment's current template. */
async function podsSettled(story: Story, signal: AbortSignal): Promise<boolean> {
  const { metadata, status } = await story.instance.get<Deployment>(['deployment', 'shop'], signal);
  const pods = await shopPods(story, signal);
  return (
    status?.observedGeneration === metadata?.generation &&
    status?.updatedReplicas === pods.length &&
    pods.every((pod) => pod.metadata?.deletionTimestamp === undefined && isReady(pod))
  );
}

async function servedVersion(url: string): Promise<string | undefined> {
  return /"version":\s*"([^"]+)"/.exec((await get(`${url}/version`)).body)?.[1];
}

async function releaseInPhase(story: Story, commit: string, phases: readonly string[], signal: AbortSignal): Promise<Release> {
  return pollUntil(
    `a release of ${commit.slice(0, 10)} that is ${phases.join(' or ')}`,
    async () => {
      const { items } = await story.instance.get<{ items: Release[] }>(['releases'], signal);
      return items.find(({ spec, status }) => spec?.commit === commit && spec.rollbackOf === undefined && phases.includes(status?.phase ?? ''));
    },
    { timeoutMs: 120_000, intervalMs: 100 },
    signal,
  );
}

async function liveUrl(story: Story, commit: string, signal: AbortSignal): Promise<string> {
  const release = await releaseInPhase(story, commit, ['Live'], signal);
  const url = release.status?.urls?.[0];
  assert.ok(url, 'the release names no address');
  return url.replace(/\/$/, '');
}

async function runOf(story: Story, commit: string, signal: AbortSignal): Promise<WorkflowRun> {
  const { items } = await story.instance.get<{ items: WorkflowRun[] }>(['workflowruns'], signal);
  const run = items.find(({ spec }) => spec?.commit === commit);
  assert.ok(run, `no run of ${commit}`);
  return run;
}

function summary(result: LoadResult): string {
  const reasons = [...new Set(result.failures.map(({ reason }) => reason))].join(', ');
  const latency = `p50 ${percentile(result.latenciesMs, 0.5).toFixed(1)} ms, p99 ${percentile(result.latenciesMs, 0.99).toFixed(1)} ms`;
  return `${result.requests}, ${result.failures.length} failed${reasons === '' ? '' : ` (${reasons})`}, ${latency}`;
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, '    ');
}

/** Where the demo keeps its data when it is asked to keep running. */
export const demoFolder = join(resolve(import.meta.dirname, '../..'), '.gantry/demo');

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gantryApiVersion, type Release, type ReleasePhase, resources, type Stored } from '../api/mod.ts';
import type { KubeClient } from '../client/mod.ts';
import { pollUntil } from '../kernel/mod.ts';
import type { ManifestSource } from './ports.ts';
import { planManualRollback } from './release/rollback.ts';
import { openTestCluster, type PodBehaviour } from './testing/test-cluster.ts';

const digestOf = (version: string): string => `sha256:${version.padEnd(64, '0')}`;
const commitOf = (version: string): string => version.padEnd(40, '0');
const imageOf = (version: string): string => `127.0.0.1:5000/shop@${digestOf(version)}`;

/** A repository in memory: version → manifest text, and the notes that were written. */
class Repository implements ManifestSource {
  readonly files = new Map<string, { path: string; text: string }[]>();
  readonly notes = new Map<string, string>();

  readManifests(_: unknown, commit: string): Promise<{ path: string; text: string }[]> {
    return Promise.resolve(this.files.get(commit) ?? []);
  }

  annotateCommit(_: unknown, commit: string, note: string): Promise<void> {
    this.notes.set(commit, note);
    return Promise.resolve();
  }
}

interface ShopOptions { extra?: string; config?: string; replicas?: number }

function shop({ extra = '', config = 'one', replicas = 2 }: ShopOptions = {}): { path: string; text: string }[] {
  const text = `apiVersion: apps/v1
kind: Deployment
metadata: { name: shop }
spec:
  replicas: ${replicas}
  progressDeadlineSeconds: 2
  selector: { matchLabels: { app: shop } }
  template:
    metadata: { labels: { app: shop }, annotations: { config: ${config} } }
    spec:
      containers: [{ name: web, image: shop }]
---
apiVersion: v1
kind: Service
metadata: { name: shop }
spec: { type: NodePort, selector: { app: shop }, ports: [{ port: 80, targetPort: 8080 }] }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: shop }
data: { value: ${config} }
`;
  return [{ path: 'deploy/shop.yaml', text }, ...(extra === '' ? [] : [{ path: 'deploy/zz.yaml', text: extra }])];
}

const badImages = ['bad'].map(imageOf);
/** Pods of a version called bad never get ready. */
const behaviour: PodBehaviour = ({ spec }) =>
  badImages.includes(spec?.containers[0]?.image ?? '') ? { isReady: false, warning: 'Readiness probe failed: HTTP probe failed with statuscode: 500' } : { isReady: true };

const ref = { namespace: 'default', name: 'shop' };

/** What ci and git do: a green run of the commit, and the branch on it. */
async function pushGreen(client: KubeClient, version: string, signal: AbortSignal): Promise<void> {
  const commit = commitOf(version);
  const run = await client.create(resources.workflowRuns, { apiVersion: gantryApiVersion, kind: 'WorkflowRun', metadata: { namespace: 'default', name: `run-${version}` }, spec: { repository: 'shop', commit, ref: 'refs/heads/main', event: 'push', actor: 'dev' } }, signal);
  await client.updateStatus(resources.workflowRuns, { ...run, status: { phase: 'Succeeded', images: [{ name: 'shop', digest: digestOf(version), reference: imageOf(version) }] } }, signal);
  await pollUntil('the branch to be written', async () => {
    const repository = await client.get(resources.repositories, ref, signal);
    return client.updateStatus(resources.repositories, { ...repository, status: { ...repository.status, branches: [{ name: 'main', commit }] } }, signal).then(() => true, () => undefined);
  }, { timeoutMs: 30_000 }, signal);
}

async function releaseIn(client: KubeClient, matches: (release: Stored<Release>) => boolean, phase: ReleasePhase, signal: AbortSignal): Promise<Stored<Release>> {
  let last = 'none';
  try {
    return await pollUntil(`a release that is ${phase}`, async () => {
      const { items } = await client.list(resources.releases, { namespace: 'default' }, signal);
      last = JSON.stringify(items.map(({ spec, status }) => [spec?.number, spec?.rollbackOf, status]));
      return items.find((release) => matches(release) && release.status?.phase === phase);
    }, { timeoutMs: 30_000 }, signal);
  } catch (error) {
    throw new Error(`no release is ${phase}: ${last}`, { cause: error });
  }
}

const ofVersion = (version: string) => ({ spec }: Stored<Release>): boolean => spec?.commit === commitOf(version) && spec.rollbackOf === undefined;

async function deploymentImage(client: KubeClient, signal: AbortSignal): Promise<string | undefined> {
  return (await client.get(resources.deployments, ref, signal)).spec?.template.spec?.containers[0]?.image;
}

/** Runs `story` with a cluster in which the repository shop exists. */
async function withShop(story: (parts: { client: KubeClient; repository: Repository; follow: (version: string) => Promise<string[]> }, signal: AbortSignal) => Promise<void>): Promise<void> {
  const signal = AbortSignal.timeout(60_000);
  const repository = new Repository();
  await using cluster = await openTestCluster(repository, behaviour, signal);
  const { client, delivery } = cluster;
  await client.create(resources.repositories, { apiVersion: gantryApiVersion, kind: 'Repository', metadata: ref, spec: { defaultBranch: 'main' } }, signal);
  const follow = async (version: string): Promise<string[]> => {
    const lines: string[] = [];
    await delivery.follow({ namespace: 'default', repository: 'shop', ref: 'refs/heads/main', commit: commitOf(version) }, (line) => lines.push(line), signal);
    return lines;
  };
  await story({ client, repository, follow }, signal);
}

test('delivery takes a green commit live, pinned to its digest, with an address', () =>
  withShop(async ({ client, repository, follow }, signal) => {
    repository.files.set(commitOf('1'), shop());
    await pushGreen(client, '1', signal);
    const lines = await follow('1');
    const release = await releaseIn(client, ofVersion('1'), 'Live', signal);
    assert.equal(await deploymentImage(client, signal), imageOf('1'));
    const service = await client.get(resources.services, ref, signal);
    assert.deepEqual(release.status?.urls, [`http://127.0.0.1:${service.spec?.ports?.[0]?.nodePort ?? 0}`]);
    assert.equal(release.metadata.name, 'shop-1');
    assert.match(lines.at(-1) ?? '', /^release 1: live at http:\/\/127\.0\.0\.1:\d+$/);
  }));

test('delivery takes a version that never gets ready back, with its configuration, and records why', () =>
  withShop(async ({ client, repository, follow }, signal) => {
    repository.files.set(commitOf('1'), shop({ config: 'one', extra: 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: old }\n' }));
    await pushGreen(client, '1', signal);
    await releaseIn(client, ofVersion('1'), 'Live', signal);
    repository.files.set(commitOf('bad'), shop({ config: 'two', extra: 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: new }\n' }));
    await pushGreen(client, 'bad', signal);
    const lines = await follow('bad');
    const failed = await releaseIn(client, ofVersion('bad'), 'RolledBack', signal);
    const rollback = await releaseIn(client, ({ spec }) => spec?.rollbackOf === failed.metadata.name, 'Live', signal);
    assert.match(failed.status?.message ?? '', /^rolled back: Deployment shop made no progress for 2 s \(ProgressDeadlineExceeded\): pod shop-\S+: Readiness probe failed: HTTP probe failed with statuscode: 500$/);
    assert.match(lines.at(-1) ?? '', /^rolled back: release 3 serves what was live before$/);
    assert.equal(rollback.spec?.commit, commitOf('1'));
    assert.equal(await deploymentImage(client, signal), imageOf('1'));
    assert.deepEqual((await client.get(resources.configMaps, ref, signal)).data, { value: 'one' });
    const names = (await client.list(resources.configMaps, { namespace: 'default' }, signal)).items.map(({ metadata }) => metadata.name);
    assert.deepEqual(names.filter((name) => name === 'old' || name === 'new'), ['old']);
    const bad = await pollUntil('the commit to be marked', async () => (await client.get(resources.repositories, ref, signal)).status?.badCommits, { timeoutMs: 30_000 }, signal);
    assert.deepEqual(bad.map(({ commit, release, reason }) => [commit, release, reason]), [[commitOf('bad'), 'shop-2', failed.status?.message]]);
    assert.match(repository.notes.get(commitOf('bad')) ?? '', /^shop-2: rolled back: /);
    assert.equal((await releaseIn(client, ofVersion('1'), 'Superseded', signal)).metadata.name, 'shop-1');
    // `kubectl rollout undo` must not find the bad revision (docs/adr/0008).
    const replicaSets = (await client.list(resources.replicaSets, { namespace: 'default' }, signal)).items;
    assert.deepEqual(replicaSets.map(({ spec }) => spec?.template?.spec?.containers[0]?.image), [imageOf('1')]);
  }));

test('delivery applies nothing when a manifest is wrong, and names file and line', () =>
  withShop(async ({ client, repository, follow }, signal) => {
    repository.files.set(commitOf('1'), shop({ extra: 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: extra\n  namespace: other\n---\napiVersion: v1\nkind: Service\nmetadata:\n  name: extra\nspec:\n  prots: []\n---\napiVersion: v1\nkind: Sandwich\nmetadata:\n  name: ham\n' }));
    await pushGreen(client, '1', signal);
    await follow('1');
    const release = await releaseIn(client, ofVersion('1'), 'Failed', signal);
    assert.match(release.status?.message ?? '', /^deploy\/zz\.yaml:5: metadata\.namespace is "other", but this repository delivers to "default" \(and \d more\)$/);
    assert.deepEqual((await client.list(resources.deployments, { namespace: 'default' }, signal)).items, []);
    const bad = await pollUntil('the commit to be marked', async () => (await client.get(resources.repositories, ref, signal)).status?.badCommits?.[0], { timeoutMs: 30_000 }, signal);
    assert.equal(bad.commit, commitOf('1'));
  }));

test('delivery leaves the replicas of an autoscaled Deployment alone', () =>
  withShop(async ({ client, repository }, signal) => {
    const autoscaler = 'apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: { name: shop }\nspec: { scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: shop }, minReplicas: 2, maxReplicas: 6 }\n';
    repository.files.set(commitOf('1'), shop({ extra: autoscaler }));
    await pushGreen(client, '1', signal);
    await releaseIn(client, ofVersion('1'), 'Live', signal);
    await client.patch(resources.deployments, ref, { type: 'merge', body: { spec: { replicas: 5 } } }, signal);
    repository.files.set(commitOf('2'), shop({ extra: autoscaler, config: 'two' }));
    await pushGreen(client, '2', signal);
    await releaseIn(client, ofVersion('2'), 'Live', signal);
    assert.equal((await client.get(resources.deployments, ref, signal)).spec?.replicas, 5);
    assert.equal(await deploymentImage(client, signal), imageOf('2'));
  }));

test('delivery lets a newer commit overtake one that is still rolling out', () =>
  withShop(async ({ client, repository }, signal) => {
    repository.files.set(commitOf('bad'), shop());
    repository.files.set(commitOf('2'), shop({ config: 'two' }));
    await pushGreen(client, 'bad', signal);
    await releaseIn(client, ofVersion('bad'), 'Deploying', signal);
    await pushGreen(client, '2', signal);
    await releaseIn(client, ofVersion('2'), 'Live', signal);
    assert.match((await releaseIn(client, ofVersion('bad'), 'Superseded', signal)).status?.message ?? '', /^superseded by release 2/);
  }));

test('delivery takes an application back by hand and marks what it took back', () =>
  withShop(async ({ client, repository }, signal) => {
    for (const version of ['1', '2']) {
      repository.files.set(commitOf(version), shop({ config: `v${version}` }));
      await pushGreen(client, version, signal);
      await releaseIn(client, ofVersion(version), 'Live', signal);
    }
    await releaseIn(client, ofVersion('1'), 'Superseded', signal);
    const { items } = await client.list(resources.releases, { namespace: 'default' }, signal);
    await client.create(resources.releases, planManualRollback(items, undefined), signal);
    await releaseIn(client, ({ spec }) => spec?.rollbackOf === 'shop-2', 'Live', signal);
    assert.equal((await releaseIn(client, ofVersion('2'), 'RolledBack', signal)).status?.message, 'taken back by release 3');
    assert.equal(await deploymentImage(client, signal), imageOf('1'));
    await pollUntil('the commit to be marked', async () => (await client.get(resources.repositories, ref, signal)).status?.badCommits?.[0], { timeoutMs: 30_000 }, signal);
  }));

test('delivery says so when a commit has no manifests', () =>
  withShop(async ({ client, follow }, signal) => {
    await pushGreen(client, '1', signal);
    assert.deepEqual(await follow('1'), ['no manifests in deploy/: nothing to deliver']);
    assert.deepEqual((await client.list(resources.releases, { namespace: 'default' }, signal)).items, []);
  }));


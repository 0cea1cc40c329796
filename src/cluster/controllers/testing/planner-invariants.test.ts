import assert from 'node:assert/strict';
import { test } from 'node:test';
import { array, assert as check, boolean, constantFrom, integer, property, record } from 'fast-check';
import { type k8s, resources, type Stored } from '../../../api/mod.ts';
import type { DaemonSet } from '../daemon-set/observed.ts';
import { planDaemonSet } from '../daemon-set/plan.ts';
import { indexAnnotation, type Job, trackingFinalizer } from '../job/observed.ts';
import { planJob } from '../job/plan.ts';
import { planClaim } from '../ownership/claim.ts';
import { hashOf, planRevision, type Revision, revisionLabel } from '../revisions/revisions.ts';
import { ordinalOf, type StatefulSet } from '../stateful-set/observed.ts';
import { planStatefulSet } from '../stateful-set/plan.ts';
import { ago, podOf, testNowMs } from './objects.ts';

/** Pods of a played cluster: they become ready, and go, when the play says so. */
class PlayedPods {
  readonly pods = new Map<string, Stored<k8s.Pod>>();
  #count = 0;

  add(pod: k8s.Pod, owner: { uid: string; kind: string; name: string }): void {
    this.#count += 1;
    const base = podOf({ name: pod.metadata?.name ?? '', owner, node: '' });
    const metadata = { ...base.metadata, ...pod.metadata, name: base.metadata.name, uid: `uid-${this.#count}`, ownerReferences: base.metadata.ownerReferences };
    this.pods.set(metadata.uid, { ...base, metadata, spec: pod.spec });
  }

  get all(): Stored<k8s.Pod>[] {
    return [...this.pods.values()];
  }

  markDeleting(pods: readonly Stored<k8s.Pod>[]): void {
    for (const pod of pods) this.pods.set(pod.metadata.uid, { ...pod, metadata: { ...pod.metadata, deletionTimestamp: ago(1) } });
  }

  /** One pod that waits gets on: it becomes ready, or is gone. */
  step(choice: number): boolean {
    const waiting = this.all.filter((pod) => pod.metadata.deletionTimestamp !== undefined || !isAvailable(pod));
    const pod = waiting[choice % Math.max(1, waiting.length)];
    if (pod === undefined) return false;
    if (pod.metadata.deletionTimestamp !== undefined) this.pods.delete(pod.metadata.uid);
    else this.pods.set(pod.metadata.uid, { ...pod, status: { ...pod.status, phase: 'Running', conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: ago(100) }] } });
    return true;
  }
}

function isAvailable({ metadata, status }: Stored<k8s.Pod>): boolean {
  return metadata.deletionTimestamp === undefined && status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') === true;
}

const choices = array(integer({ min: 0, max: 50 }), { minLength: 5, maxLength: 40 });
const enough = 400;

test('StatefulSets: an ordered one is never out of order, an update never takes more than it may, and it always converges', () => {
  const scenario = record({ replicas: integer({ min: 0, max: 5 }), grown: integer({ min: 0, max: 5 }), isParallel: boolean(), maxUnavailable: integer({ min: 1, max: 3 }), partition: integer({ min: 0, max: 3 }), choices });
  check(
    property(scenario, ({ replicas, grown, isParallel, maxUnavailable, partition, choices: order }) => {
      const labels = { app: 'db' };
      const owner = { uid: 'uid-db', kind: 'StatefulSet', name: 'db' };
      let set: StatefulSet = {
        apiVersion: 'apps/v1',
        kind: 'StatefulSet',
        metadata: { name: 'db', namespace: 'default', uid: 'uid-db', resourceVersion: '1', generation: 1, creationTimestamp: ago(500) },
        spec: { replicas, podManagementPolicy: isParallel ? 'Parallel' : 'OrderedReady', selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [{ name: 'app', image: 'db:1' }] } }, updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 0, maxUnavailable } } },
      };
      const played = new PlayedPods();
      const revisions: Revision[] = [];
      let isUpdating = false;
      const pass = (): number => {
        const { actions, status } = planStatefulSet({ set, claim: planClaim(set, set.spec.selector, played.all), revisions, volumeClaims: new Map(), pendingCreations: 0, pendingDeletions: new Set(), nowMs: testNowMs });
        for (const action of actions) {
          if (action.type === 'create-revision') revisions.push({ ...action.revision, metadata: { ...action.revision.metadata, name: action.revision.metadata?.name ?? '', uid: `r${revisions.length}`, resourceVersion: '1', creationTimestamp: ago(9) } });
          if (action.type === 'create') {
            for (const pod of action.pods) {
              played.add(pod, owner);
              const created = played.all.at(-1);
              const ordinal = created === undefined ? 0 : (ordinalOf(set, created) ?? 0);
              const below = played.all.filter((other) => (ordinalOf(set, other) ?? 0) < ordinal);
              if (!isParallel) assert.ok(below.length >= ordinal && below.every(isAvailable), 'a pod is made only above ready ones');
            }
          }
          if (action.type === 'delete') {
            played.markDeleting(action.pods);
            const inRange = played.all.filter((pod) => (ordinalOf(set, pod) ?? 99) < (set.spec.replicas ?? 0));
            const isScaleDown = action.pods.some((pod) => (ordinalOf(set, pod) ?? 0) >= (set.spec.replicas ?? 0));
            if (isUpdating && !isScaleDown) {
              assert.ok((set.spec.replicas ?? 0) - inRange.filter(isAvailable).length <= Math.max(maxUnavailable, 1), 'never fewer available than allowed');
              for (const pod of action.pods) assert.ok((ordinalOf(set, pod) ?? 0) >= (set.spec.updateStrategy?.rollingUpdate?.partition ?? 0), 'never below the partition');
            }
          }
        }
        set = { ...set, ...(status === undefined ? {} : { status }) };
        const names = played.all.map(({ metadata }) => metadata.name);
        assert.equal(new Set(names).size, names.length, 'no pod is there twice');
        return actions.length;
      };
      const settle = (): void => {
        for (let step = 0; step < enough; step += 1) {
          const done = pass();
          const moved = played.step(order[step % order.length] ?? 0);
          if (done === 0 && !moved && pass() === 0) return;
        }
        assert.fail('it does not converge');
      };
      const ordinals = (): string => played.all.map((pod) => ordinalOf(set, pod) ?? -1).toSorted((a, b) => a - b).join();
      settle();
      assert.equal(ordinals(), Array.from({ length: replicas }, (_, index) => index).join());
      set = { ...set, spec: { ...set.spec, replicas: grown } };
      settle();
      assert.equal(ordinals(), Array.from({ length: grown }, (_, index) => index).join());
      isUpdating = true;
      set = { ...set, spec: { ...set.spec, template: { metadata: { labels }, spec: { containers: [{ name: 'app', image: 'db:2' }] } }, updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition, maxUnavailable } } } };
      settle();
      for (const pod of played.all) assert.equal(pod.spec?.containers[0]?.image, (ordinalOf(set, pod) ?? 0) >= partition ? 'db:2' : 'db:1');
    }),
    { numRuns: 60 },
  );
});

test('DaemonSets: never more nodes without one than allowed, never two without surge, and they always converge', () => {
  const scenario = record({ nodes: integer({ min: 1, max: 6 }), limit: constantFrom<number | string>(1, 2, '50%'), isSurging: boolean(), choices });
  check(
    property(scenario, ({ nodes, limit, isSurging, choices: order }) => {
      const labels = { app: 'agent' };
      const rollingUpdate = isSurging ? { maxSurge: limit, maxUnavailable: 0 } : { maxSurge: 0, maxUnavailable: limit };
      const allowed = typeof limit === 'number' ? limit : Math.ceil(nodes / 2);
      let set: DaemonSet = {
        apiVersion: 'apps/v1',
        kind: 'DaemonSet',
        metadata: { name: 'agent', namespace: 'default', uid: 'uid-agent', resourceVersion: '1', generation: 1, creationTimestamp: ago(500) },
        spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [{ name: 'app', image: 'agent:1' }] } }, updateStrategy: { type: 'RollingUpdate', rollingUpdate } },
      };
      const nodeList = Array.from({ length: nodes }, (_, index): Stored<k8s.Node> => ({ metadata: { name: `n${index}`, uid: `n${index}`, resourceVersion: '1', creationTimestamp: ago(900) }, spec: {} }));
      const played = new PlayedPods();
      const revisions: Revision[] = [];
      let [made, isUpdating] = [0, false];
      const pass = (): number => {
        const { actions } = planDaemonSet({ set, nodes: nodeList, claim: planClaim(set, set.spec.selector, played.all), revisions, pendingCreations: 0, pendingDeletions: new Set(), nowMs: testNowMs });
        for (const action of actions) {
          if (action.type === 'create-revision') revisions.push({ ...action.revision, metadata: { ...action.revision.metadata, name: action.revision.metadata?.name ?? '', uid: `r${revisions.length}`, resourceVersion: '1', creationTimestamp: ago(9) } });
          if (action.type === 'delete') played.markDeleting(action.pods);
          if (action.type !== 'create') continue;
          for (const node of action.nodes) played.add({ metadata: { name: `agent-${(made += 1)}`, labels: { ...labels, [revisionLabel]: action.hash } }, spec: { containers: [], nodeName: node } }, { uid: 'uid-agent', kind: 'DaemonSet', name: 'agent' });
        }
        const served = new Set(played.all.filter(isAvailable).map(({ spec }) => spec?.nodeName));
        if (isUpdating) assert.ok(nodes - served.size <= (isSurging ? 0 : Math.max(1, allowed)), 'never more nodes without one than allowed');
        const staying = played.all.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
        const doubled = staying.length - new Set(staying.map(({ spec }) => spec?.nodeName)).size;
        assert.ok(doubled <= (isSurging ? Math.max(1, allowed) : 0), 'never more than surge');
        return actions.length;
      };
      const settle = (): void => {
        for (let step = 0; step < enough; step += 1) {
          const done = pass();
          const moved = played.step(order[step % order.length] ?? 0);
          if (done === 0 && !moved && pass() === 0) return;
        }
        assert.fail('it does not converge');
      };
      settle();
      assert.equal(played.all.length, nodes);
      isUpdating = true;
      set = { ...set, spec: { ...set.spec, template: { metadata: { labels }, spec: { containers: [{ name: 'app', image: 'agent:2' }] } } } };
      settle();
      const wanted = hashOf(planRevision(resources.daemonSets, set, revisions).update);
      assert.deepEqual(played.all.map(({ metadata }) => metadata.labels?.[revisionLabel]), Array.from({ length: nodes }, () => wanted));
    }),
    { numRuns: 60 },
  );
});

test('Jobs: never more pods at once than allowed, every end counted once whatever the cache shows, and they always end', () => {
  const scenario = record({ completions: integer({ min: 1, max: 6 }), parallelism: integer({ min: 1, max: 4 }), isIndexed: boolean(), backoffLimit: integer({ min: 0, max: 3 }), outcomes: array(constantFrom('ok', 'ok', 'ok', 'fail', 'vanish'), { minLength: 30, maxLength: 60 }), choices });
  check(
    property(scenario, ({ completions, parallelism, isIndexed, backoffLimit, outcomes, choices: order }) => {
      const selector = { matchLabels: { job: 'work' } };
      let job: Job = {
        apiVersion: 'batch/v1',
        kind: 'Job',
        metadata: { name: 'work', namespace: 'default', uid: 'uid-work', resourceVersion: '1', creationTimestamp: ago(100) },
        spec: { parallelism, completions, backoffLimit, completionMode: isIndexed ? 'Indexed' : 'NonIndexed', selector, template: { metadata: { labels: { job: 'work' } }, spec: { restartPolicy: 'Never', containers: [] } } },
      };
      const played = new PlayedPods();
      let [made, succeeded, failed, next] = [0, 0, 0, 0];
      const isOver = (): boolean => job.status?.conditions?.some(({ type, status }) => (type === 'Complete' || type === 'Failed') && status === 'True') === true;
      for (let step = 0; step < enough && !isOver(); step += 1) {
        const { actions, status } = planJob({ job, claim: planClaim(job, selector, played.all), pendingCreations: 0, pendingDeletions: new Set(), backoff: { initialMs: 0, maxMs: 0 }, nowMs: testNowMs });
        for (const action of actions) {
          if (action.type === 'create') for (const { index } of action.pods) played.add({ metadata: { name: `work-${(made += 1)}`, labels: selector.matchLabels, finalizers: [trackingFinalizer], ...(index === undefined ? {} : { annotations: { [indexAnnotation]: String(index) } }) } }, { uid: 'uid-work', kind: 'Job', name: 'work' });
          if (action.type === 'untrack') for (const { metadata } of action.pods) {
            const pod = played.pods.get(metadata.uid);
            if (pod !== undefined) played.pods.set(metadata.uid, { ...pod, metadata: { ...pod.metadata, finalizers: [] } });
          }
          if (action.type === 'delete') for (const { metadata } of action.pods) {
            const pod = played.pods.get(metadata.uid);
            if (pod === undefined) continue;
            if (action.isCounted) failed += 1;
            played.pods.set(metadata.uid, { ...pod, status: { ...pod.status, phase: 'Failed' }, metadata: { ...pod.metadata, ...(action.isCounted ? {} : { finalizers: [] }) } });
          }
        }
        const running = played.all.filter(({ status: own }) => own?.phase === 'Running');
        assert.ok(running.length <= Math.min(parallelism, completions), `never more at once than allowed: ${running.length}`);
        // Sometimes the status is not written before the next pass: the same is decided again.
        if ((order[step % order.length] ?? 0) % 5 !== 0) job = { ...job, ...(status === undefined ? {} : { status: JSON.parse(JSON.stringify(status)) as k8s.JobStatus }) };
        const pod = running[(order[step % order.length] ?? 0) % Math.max(1, running.length)];
        if (pod === undefined) continue;
        const outcome = outcomes[next % outcomes.length] ?? 'ok';
        next += 1;
        if (outcome === 'ok') succeeded += 1;
        else failed += 1;
        if (outcome === 'vanish') played.markDeleting([pod]);
        else played.pods.set(pod.metadata.uid, { ...pod, status: { ...pod.status, phase: outcome === 'ok' ? 'Succeeded' : 'Failed' } });
        if (outcome === 'vanish') played.pods.set(pod.metadata.uid, { ...(played.pods.get(pod.metadata.uid) ?? pod), status: { ...pod.status, phase: 'Failed' } });
      }
      assert.ok(isOver(), `it ends: ${JSON.stringify(job.status)}`);
      const isComplete = job.status?.conditions?.some(({ type }) => type === 'Complete') === true;
      assert.deepEqual([job.status?.succeeded ?? 0, job.status?.failed ?? 0], [succeeded, failed], 'each end is counted once');
      if (isComplete) assert.equal(job.status?.succeeded, completions);
      else assert.ok((job.status?.failed ?? 0) > backoffLimit);
    }),
    { numRuns: 100 },
  );
});

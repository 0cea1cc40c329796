import assert from 'node:assert/strict';
import { test } from 'node:test';
import { array, assert as check, constantFrom, integer, property, record } from 'fast-check';
import { ago, deploymentOf, testNowMs } from '../testing/objects.ts';
import { fencepostsOf } from './fenceposts.ts';
import { type Deployment, type ReplicaSet, sizeOf } from './observed.ts';
import { planDeployment } from './plan.ts';

/** A ReplicaSet and its pods as they are; `set.status` is what a cache shows, which may lag behind. */
interface Played { set: ReplicaSet; ready: number; unready: number }

/** A Deployment in a played cluster, where pods come, become ready and are reported one at a time, in the order the play says. */
class PlayedDeployment {
  deployment: Deployment;
  readonly sets = new Map<string, Played>();
  readonly #order: readonly number[];
  #steps = 0;
  #count = 0;
  /** Asked after whatever changes pods. */
  invariant: () => void = () => undefined;

  constructor(deployment: Deployment, order: readonly number[]) {
    this.deployment = deployment;
    this.#order = order;
  }

  get pods(): number {
    return this.#sum(({ ready, unready }) => ready + unready);
  }

  get askedFor(): number {
    return this.#sum(({ set }) => sizeOf(set));
  }

  get ready(): number {
    return this.#sum(({ ready }) => ready);
  }

  get revisionsWithPods(): number {
    return [...this.sets.values()].filter(({ ready, unready }) => ready + unready > 0).length;
  }

  change(change: Partial<Deployment['spec']>): void {
    const { metadata, spec } = this.deployment;
    this.deployment = { ...this.deployment, metadata: { ...metadata, generation: (metadata.generation ?? 0) + 1 }, spec: { ...spec, ...change } };
  }

  /** Until nothing is to be done any more. */
  settle(): void {
    for (let step = 0; step < 2_000; step += 1) {
      const done = this.#plan();
      if (!this.#move() && done === 0 && this.#plan() === 0) return;
    }
    assert.fail('it does not converge');
  }

  #plan(): number {
    const owned = [...this.sets.values()].map(({ set }) => set);
    const runningReplicaSets = new Set([...this.sets].filter(([, { ready, unready }]) => ready + unready > 0).map(([uid]) => uid));
    const { actions, status } = planDeployment({ deployment: this.deployment, claim: { owned, adopt: [], release: [] }, runningReplicaSets, nowMs: testNowMs });
    for (const action of actions) {
      if (action.type === 'annotate') this.deployment = { ...this.deployment, metadata: { ...this.deployment.metadata, annotations: { ...this.deployment.metadata.annotations, ...action.annotations } } };
      if (action.type === 'create') this.#create(action.replicaSet);
      if (action.type === 'delete') {
        assert.equal((this.sets.get(action.replicaSet.metadata.uid)?.ready ?? 0) + (this.sets.get(action.replicaSet.metadata.uid)?.unready ?? 0), 0, 'a ReplicaSet with pods stays');
        this.sets.delete(action.replicaSet.metadata.uid);
      }
      if (action.type === 'update') {
        const played = this.sets.get(action.replicaSet.metadata.uid) ?? assert.fail('an unknown ReplicaSet');
        played.set = { ...action.replicaSet, metadata: { ...action.replicaSet.metadata, generation: (played.set.metadata.generation ?? 0) + 1 } };
      }
    }
    if (status !== undefined) this.deployment = { ...this.deployment, status };
    return actions.length;
  }

  #create(made: Extract<ReturnType<typeof planDeployment>['actions'][number], { type: 'create' }>['replicaSet']): void {
    this.#count += 1;
    const uid = `uid-${this.#count}`;
    assert.ok([...this.sets.values()].every(({ set }) => set.metadata.name !== made.metadata.name), 'no ReplicaSet is made twice');
    const set: ReplicaSet = { ...made, apiVersion: 'apps/v1', kind: 'ReplicaSet', metadata: { ...made.metadata, name: made.metadata.name ?? '', uid, resourceVersion: '1', generation: 1, creationTimestamp: ago(1000 - this.#count) } };
    this.sets.set(uid, { set, ready: 0, unready: 0 });
  }

  /** One thing happens to one ReplicaSet: a pod is made or removed, becomes ready, or the status is written. */
  #move(): boolean {
    const moves = [...this.sets.values()].flatMap((played) => this.#movesOf(played));
    const move = moves[(this.#order[this.#steps++ % this.#order.length] ?? 0) % Math.max(1, moves.length)];
    move?.();
    this.invariant();
    return move !== undefined;
  }

  #movesOf(played: Played): (() => void)[] {
    const { set, ready, unready } = played;
    const wanted = sizeOf(set);
    const isReported = set.status?.replicas === ready + unready && set.status.availableReplicas === ready && set.status.observedGeneration === set.metadata.generation;
    const status = { replicas: ready + unready, availableReplicas: ready, readyReplicas: ready, fullyLabeledReplicas: ready + unready, observedGeneration: set.metadata.generation ?? 0 };
    return [
      ...(ready + unready < wanted ? [() => void (played.unready += 1)] : []),
      // As the ReplicaSet's controller chooses: first what is of no use yet.
      ...(ready + unready > wanted ? [() => void (unready > 0 ? (played.unready -= 1) : (played.ready -= 1))] : []),
      ...(unready > 0 ? [() => void ((played.unready -= 1), (played.ready += 1))] : []),
      ...(isReported ? [] : [() => void (played.set = { ...played.set, status })]),
    ];
  }

  #sum(of: (played: Played) => number): number {
    return [...this.sets.values()].reduce((sum, played) => sum + of(played), 0);
  }
}

const template = (image: string): Deployment['spec']['template'] => ({ metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'app', image }] } });
const order = array(integer({ min: 0, max: 60 }), { minLength: 5, maxLength: 40 });
const amount = constantFrom<(number | string)[]>(0, 1, 2, '25%', '50%', '100%');

test('Deployments, RollingUpdate: never fewer ready than allowed, never more pods than surge, and they always converge', () => {
  const scenario = record({ replicas: integer({ min: 0, max: 7 }), grown: integer({ min: 0, max: 7 }), maxSurge: amount, maxUnavailable: amount, order });
  check(
    property(scenario, ({ replicas, grown, maxSurge, maxUnavailable, order: given }) => {
      const played = new PlayedDeployment(deploymentOf({ replicas, revisionHistoryLimit: 1, strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge, maxUnavailable } } }), given);
      const roll = (image: string): void => {
        const { spec } = played.deployment;
        const limits = fencepostsOf(spec);
        played.invariant = () => {
          // As in Kubernetes it is what is asked for that is bounded: the ReplicaSet that shrinks may be later than the one that grows.
          assert.ok(played.askedFor <= (spec.replicas ?? 0) + limits.maxSurge, `never more than surge: ${played.askedFor}`);
          assert.ok(played.ready >= (spec.replicas ?? 0) - limits.maxUnavailable, `never fewer than allowed: ${played.ready}`);
        };
        played.change({ template: template(image) });
        played.settle();
        played.invariant = () => undefined;
        assert.deepEqual([played.ready, played.pods, played.revisionsWithPods], [spec.replicas, spec.replicas, Math.min(1, spec.replicas ?? 0)]);
      };
      played.settle();
      assert.equal(played.ready, replicas);
      roll('app:2');
      roll('app:3');
      played.change({ replicas: grown });
      played.settle();
      assert.deepEqual([played.ready, played.pods], [grown, grown]);
      // Back to what it was: the old ReplicaSet again, not a third.
      roll('app:2');
      assert.ok(played.sets.size <= 2, 'history is kept as short as it says');
    }),
    { numRuns: 150 },
  );
});

test('Deployments, Recreate: pods of two revisions are never there at once, and they always converge', () => {
  check(
    property(record({ replicas: integer({ min: 0, max: 5 }), order }), ({ replicas, order: given }) => {
      const played = new PlayedDeployment(deploymentOf({ replicas, strategy: { type: 'Recreate' } }), given);
      played.invariant = () => assert.ok(played.revisionsWithPods <= 1, 'pods of one revision only');
      played.settle();
      for (const image of ['app:2', 'app:3', 'app:1']) {
        played.change({ template: template(image) });
        played.settle();
        assert.deepEqual([played.ready, played.pods], [replicas, replicas]);
      }
    }),
    { numRuns: 100 },
  );
});

test('Deployments that are paused roll nothing, are scaled in proportion, and go on when they are resumed', () => {
  check(
    property(record({ replicas: integer({ min: 1, max: 5 }), grown: integer({ min: 1, max: 7 }), order }), ({ replicas, grown, order: given }) => {
      const played = new PlayedDeployment(deploymentOf({ replicas }), given);
      played.settle();
      played.change({ paused: true, template: template('app:2') });
      played.settle();
      assert.equal(played.sets.size, 1, 'no new revision while paused');
      played.change({ replicas: grown });
      played.settle();
      assert.deepEqual([played.ready, played.sets.size], [grown, 1]);
      played.change({ paused: false });
      played.settle();
      assert.deepEqual([played.ready, played.pods, played.sets.size], [grown, grown, 2]);
    }),
    { numRuns: 60 },
  );
});

import { isDeepStrictEqual } from 'node:util';
import { type k8s, keyOf, type KubeObject, refOf, resources, type ResourceType } from '../../../api/mod.ts';
import { type Change, Controller, discoverResources, type Plan, readGroupVersion, type Reconciler } from '../../../client/mod.ts';
import { aborted, type Backoff, backoffMs, formatError, isError, type Service } from '../../../kernel/mod.ts';
import type { ControllerContext } from '../context.ts';
import { type GraphNode, ObjectGraph, ownersOf } from './object-graph.ts';
import { foregroundFinalizer, type GarbageAction, type ObservedObject, orphanFinalizer, type OwnerState, planGarbage } from './plan.ts';

const discoveryBackoff: Backoff = { initialMs: 100, factor: 2, maxMs: 10_000, jitter: 0.2 };

/** Kinds that own nothing, are owned by nothing, and are many. */
const ignoredPlurals = new Set(['events']);

/** Deletes what has lost its owners, over every kind the server has, custom ones included. */
export class GarbageCollector implements Service {
  readonly name = 'garbage-collector';
  readonly #context: ControllerContext;
  readonly #graph = new ObjectGraph();
  readonly #watched = new Set<string>();
  readonly #controller: Controller<ObservedObject, GarbageAction, never>;
  #wake = Promise.withResolvers<void>();

  constructor(context: ControllerContext) {
    this.#context = context;
    this.#controller = new Controller(new GarbageReconciler(context, this.#graph), { workers: 8, ...context.controllerOptions }, context.log);
    context.informers.of(resources.customResourceDefinitions).onChange((change) => {
      const isNew = change.type === 'added' || (change.type === 'modified' && !isDeepStrictEqual(change.previous.status?.conditions, change.object.status?.conditions));
      if (isNew) this.#wake.resolve();
    });
  }

  async run(signal: AbortSignal): Promise<void> {
    await this.#discover(signal);
    await Promise.all([this.#controller.run(signal), this.#followDefinitions(signal)]);
  }

  async #followDefinitions(signal: AbortSignal): Promise<void> {
    const stopped = aborted(signal);
    while (!signal.aborted) {
      await Promise.race([this.#wake.promise, stopped]);
      this.#wake = Promise.withResolvers();
      if (!signal.aborted) await this.#discover(signal);
    }
  }

  /** Watches every kind that is not watched yet. Tries until the server answers. */
  async #discover(signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted; failures += 1) {
      try {
        for (const type of await discoverResources(this.#context.client, signal)) {
          const isDeletable = ['list', 'watch', 'delete'].every((verb) => type.verbs.includes(verb));
          if (isDeletable && !ignoredPlurals.has(type.plural)) this.#watch(type);
        }
        return;
      } catch (error) {
        if (signal.aborted) return;
        this.#context.log.debug('discovery failed', { error: formatError(error), failures });
        await this.#context.clock.sleep(backoffMs(discoveryBackoff, failures), signal).catch(() => undefined);
      }
    }
  }

  #watch(type: ResourceType): void {
    const key = `${type.group}/${type.plural}`;
    if (this.#watched.has(key)) return;
    this.#watched.add(key);
    const { group, version, plural, kind, isNamespaced } = type;
    const informer = this.#context.informers.of({ group, version, plural, kind, isNamespaced });
    informer.onChange((change) => this.#onChange(type, change));
    this.#controller.reads(informer);
  }

  #onChange(type: ResourceType, change: Change<KubeObject>): void {
    const { metadata } = change.object;
    if (change.type === 'deleted') {
      const before = this.#graph.get(metadata.uid);
      const dependents = this.#graph.dependentsOf(metadata.uid);
      this.#graph.remove(metadata.uid);
      for (const dependent of dependents) this.#controller.enqueue(dependent.object.metadata.uid);
      for (const owner of ownersOf(before?.object)) if (this.#isHeld(owner.uid)) this.#controller.enqueue(owner.uid);
      return;
    }
    const before = ownersOf(this.#graph.get(metadata.uid)?.object);
    this.#graph.set(type, change.object);
    if (!isDeepStrictEqual(before, ownersOf(change.object))) {
      this.#controller.enqueue(metadata.uid);
      for (const owner of before) if (this.#isHeld(owner.uid)) this.#controller.enqueue(owner.uid);
    }
    if (this.#isHeld(metadata.uid)) {
      this.#controller.enqueue(metadata.uid);
      for (const dependent of this.#graph.dependentsOf(metadata.uid)) this.#controller.enqueue(dependent.object.metadata.uid);
    }
  }

  /** Whether the object is being deleted and waits for this controller. */
  #isHeld(uid: string): boolean {
    const { deletionTimestamp, finalizers } = this.#graph.get(uid)?.object.metadata ?? {};
    return deletionTimestamp !== undefined && (finalizers ?? []).some((finalizer) => finalizer === foregroundFinalizer || finalizer === orphanFinalizer);
  }
}

class GarbageReconciler implements Reconciler<ObservedObject, GarbageAction, never> {
  readonly name = 'garbage-collector';
  readonly #context: ControllerContext;
  readonly #graph: ObjectGraph;

  constructor(context: ControllerContext, graph: ObjectGraph) {
    this.#context = context;
    this.#graph = graph;
  }

  async observe(uid: string, signal: AbortSignal): Promise<ObservedObject | undefined> {
    const node = this.#graph.get(uid);
    if (node === undefined) return undefined;
    const owners = ownersOf(node.object);
    const states = node.object.metadata.deletionTimestamp === undefined ? await Promise.all(owners.map((owner) => this.#stateOf(owner, node, signal))) : [];
    return { node, owners: new Map(owners.map((owner, index) => [owner.uid, states[index] ?? 'unknown'])), dependents: this.#graph.dependentsOf(uid) };
  }

  plan(observed: ObservedObject): Plan<GarbageAction, never> {
    return planGarbage(observed);
  }

  async act(action: GarbageAction, _observed: ObservedObject, signal: AbortSignal): Promise<void> {
    const { type, object } = action.node;
    const { uid, resourceVersion } = object.metadata;
    const { client } = this.#context;
    const ref = refOf(keyOf(object));
    switch (action.type) {
      case 'delete':
        // The resourceVersion guards against owners that were added since.
        return client.delete(type, ref, { propagationPolicy: action.policy, preconditions: { uid, resourceVersion } }, signal);
      case 'disown': {
        const ownerReferences = ownersOf(object).filter((owner) => !action.ownerUids.includes(owner.uid));
        return this.#patch(type, ref, { metadata: { uid, resourceVersion, ownerReferences } }, signal);
      }
      case 'remove-finalizer': {
        const finalizers = (object.metadata.finalizers ?? []).filter((finalizer) => finalizer !== action.finalizer);
        return this.#patch(type, ref, { metadata: { uid, resourceVersion, finalizers } }, signal);
      }
    }
  }

  async #patch(type: ResourceType, ref: { namespace?: string; name: string }, body: object, signal: AbortSignal): Promise<void> {
    try {
      await this.#context.client.patch(type, ref, { type: 'merge', body }, signal);
    } catch (error) {
      if (!isError(error, 'not-found')) throw error;
    }
  }

  /** The caches may be behind: an owner they do not have is asked for before it counts as absent. */
  async #stateOf(owner: k8s.OwnerReference, { object }: GraphNode, signal: AbortSignal): Promise<OwnerState> {
    const known = this.#graph.get(owner.uid);
    if (known !== undefined) {
      const { deletionTimestamp, finalizers } = known.object.metadata;
      return deletionTimestamp !== undefined && finalizers?.includes(foregroundFinalizer) === true ? 'waiting' : 'present';
    }
    try {
      const type = (await readGroupVersion(this.#context.client, owner.apiVersion, signal)).find(({ kind }) => kind === owner.kind);
      if (type === undefined) return 'unknown';
      const namespace = type.isNamespaced ? object.metadata.namespace : undefined;
      const live = await this.#context.client.get(type, { namespace, name: owner.name }, signal).catch((error: unknown) => {
        if (isError(error, 'not-found')) return undefined;
        throw error;
      });
      return live?.metadata.uid === owner.uid ? 'present' : 'absent';
    } catch (error) {
      if (isError(error, 'not-found')) return 'unknown';
      throw error;
    }
  }
}

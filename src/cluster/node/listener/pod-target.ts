import { type k8s, keyOf, type Stored } from '../../../api/mod.ts';
import type { Lister } from '../../../client/mod.ts';
import { GantryError } from '../../../kernel/mod.ts';
import { allContainers, latestAttempt, previousAttempt } from '../pod-view.ts';
import type { PodContainer, Sandbox } from '../ports.ts';
import type { RuntimeIndex } from '../runtime-index.ts';

/** Finds what a request of the listener is about. */
export class PodTargets {
  readonly #pods: Lister<k8s.Pod>;
  readonly #index: RuntimeIndex;
  readonly #uidOnNode: (pod: Stored<k8s.Pod>) => string;

  /** `uidOnNode`: the uid that a pod's containers carry. */
  constructor(pods: Lister<k8s.Pod>, index: RuntimeIndex, uidOnNode: (pod: Stored<k8s.Pod>) => string) {
    this.#pods = pods;
    this.#index = index;
    this.#uidOnNode = uidOnNode;
  }

  sandbox(namespace: string, name: string): Sandbox {
    const sandbox = this.#index.sandboxOf(this.#uidOnNode(this.#pod(namespace, name)));
    if (sandbox === undefined) throw new GantryError('conflict', `pod ${name} is not running`);
    return sandbox;
  }

  /** The running container. `invalid` as kubelet answers when it does not run. */
  running(namespace: string, name: string, container: string): PodContainer {
    const found = this.#latest(namespace, name, container);
    if (found?.state !== 'running') throw new GantryError('invalid', `container ${container} of pod ${name} is not running`);
    return found;
  }

  /** The attempt whose log is asked for. */
  logged(namespace: string, name: string, container: string, isPrevious: boolean): PodContainer {
    const latest = this.#latest(namespace, name, container);
    if (!isPrevious) {
      if (latest === undefined || latest.state === 'created') throw new GantryError('invalid', `container "${container}" in pod "${name}" is waiting to start: ContainerCreating`);
      return latest;
    }
    const pod = this.#pod(namespace, name);
    const all = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])];
    // While it waits for its next start, the attempt that ended last is the previous one.
    const isWaiting = all.find((status) => status.name === container)?.state?.waiting !== undefined;
    const previous = isWaiting && latest?.state === 'exited' ? latest : previousAttempt(this.#index.containersOf(this.#uidOnNode(pod)), container);
    if (previous === undefined) throw new GantryError('invalid', `previous terminated container "${container}" in pod "${name}" not found`);
    return previous;
  }

  #latest(namespace: string, name: string, container: string): PodContainer | undefined {
    const pod = this.#pod(namespace, name);
    if (!allContainers(pod.spec).some((one) => one.name === container)) {
      throw new GantryError('invalid', `container ${container} is not valid for pod ${name}`);
    }
    return latestAttempt(this.#index.containersOf(this.#uidOnNode(pod)), container);
  }

  #pod(namespace: string, name: string) {
    const pod = this.#pods.get(keyOf({ namespace, name }));
    if (pod === undefined) throw new GantryError('not-found', `pods "${name}" not found on this node`);
    return pod;
  }
}

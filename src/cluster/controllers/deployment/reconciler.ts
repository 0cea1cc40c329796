import { type k8s, keyOf, refOf, resources, type Stored } from '../../../api/mod.ts';
import { Controller, type Informer, type Plan, type Reconciler } from '../../../client/mod.ts';
import { formatError, isError } from '../../../kernel/mod.ts';
import type { ControllerContext } from '../context.ts';
import { adopt, release } from '../ownership/adoption.ts';
import { controllerOf, planClaim } from '../ownership/claim.ts';
import { orphanIndex, orphansOf } from '../ownership/orphans.ts';
import { isFinished } from '../pods/readiness.ts';
import { writeStatus } from '../write-status.ts';
import type { DeploymentAction, ObservedDeployment, ReplicaSet } from './observed.ts';
import { planDeployment } from './plan.ts';
import { isSameTemplate } from './template-hash.ts';

const kind = resources.deployments;

/** Rolls Deployments out by creating and sizing their ReplicaSets. */
export function deploymentController(context: ControllerContext): Controller<ObservedDeployment, DeploymentAction, k8s.DeploymentStatus> {
  const deployments = context.informers.of(kind);
  const replicaSets = orphanIndex(context.informers.of(resources.replicaSets));
  const pods = context.informers.of(resources.pods);
  const reconciler = new DeploymentReconciler(context, deployments, replicaSets, pods);
  const ownersOf = (replicaSet: ReplicaSet): string[] => {
    const controller = controllerOf(replicaSet);
    if (controller !== undefined) return controller.kind === kind.kind ? [keyOf({ namespace: replicaSet.metadata.namespace, name: controller.name })] : [];
    return deployments.list(replicaSet.metadata.namespace ?? '').map(keyOf);
  };
  /** Only Recreate waits for pods. */
  const waitingFor = (pod: Stored<k8s.Pod>): string[] => {
    const controller = controllerOf(pod);
    const replicaSet = controller?.kind === 'ReplicaSet' ? replicaSets.get(keyOf({ namespace: pod.metadata.namespace, name: controller.name })) : undefined;
    return (replicaSet === undefined ? [] : ownersOf(replicaSet)).filter((key) => deployments.get(key)?.spec?.strategy?.type === 'Recreate');
  };
  return new Controller(reconciler, { workers: 4, ...context.controllerOptions }, context.log).watch(deployments).watch(replicaSets, ownersOf).watch(pods, waitingFor);
}

class DeploymentReconciler implements Reconciler<ObservedDeployment, DeploymentAction, k8s.DeploymentStatus> {
  readonly name = 'deployment';
  readonly #context: ControllerContext;
  readonly #deployments: Informer<k8s.Deployment>;
  readonly #replicaSets: Informer<k8s.ReplicaSet>;
  readonly #pods: Informer<k8s.Pod>;

  constructor(context: ControllerContext, deployments: Informer<k8s.Deployment>, replicaSets: Informer<k8s.ReplicaSet>, pods: Informer<k8s.Pod>) {
    this.#context = context;
    this.#deployments = deployments;
    this.#replicaSets = replicaSets;
    this.#pods = pods;
  }

  observe(key: string): ObservedDeployment | undefined {
    const deployment = this.#deployments.get(key);
    if (deployment?.spec === undefined) return undefined;
    const { uid, namespace = '' } = deployment.metadata;
    const claim = planClaim(deployment, deployment.spec.selector, [...this.#replicaSets.ownedBy(uid), ...orphansOf(this.#replicaSets, namespace)]);
    const isRunning = ({ metadata }: ReplicaSet): boolean => this.#pods.ownedBy(metadata.uid).some((pod) => !isFinished(pod));
    const running = deployment.spec.strategy?.type === 'Recreate' ? claim.owned.filter(isRunning) : [];
    return { deployment: { ...deployment, spec: deployment.spec }, claim, runningReplicaSets: new Set(running.map(({ metadata }) => metadata.uid)), nowMs: this.#context.clock.now() };
  }

  plan(observed: ObservedDeployment): Plan<DeploymentAction, k8s.DeploymentStatus> {
    return planDeployment(observed);
  }

  async act(action: DeploymentAction, observed: ObservedDeployment, signal: AbortSignal): Promise<void> {
    const { client } = this.#context;
    const { deployment } = observed;
    switch (action.type) {
      case 'adopt':
        return adopt(client, kind, deployment, resources.replicaSets, action.replicaSet, signal);
      case 'release':
        return release(client, deployment, resources.replicaSets, action.replicaSet, signal);
      case 'create':
        return this.#create(action.replicaSet, observed, signal);
      case 'update':
        await client.update(resources.replicaSets, action.replicaSet, signal);
        if (action.scaled !== undefined) this.#tellScaled(deployment, action.replicaSet, action.scaled);
        return;
      case 'delete': {
        const { uid, resourceVersion } = action.replicaSet.metadata;
        return client.delete(resources.replicaSets, refOf(keyOf(action.replicaSet)), { propagationPolicy: 'Background', preconditions: { uid, resourceVersion } }, signal);
      }
      case 'annotate':
        await client.patch(kind, refOf(keyOf(deployment)), { type: 'merge', body: { metadata: { uid: deployment.metadata.uid, annotations: action.annotations } } }, signal);
        return;
    }
  }

  report(status: k8s.DeploymentStatus, { deployment }: ObservedDeployment, signal: AbortSignal): Promise<void> {
    return writeStatus(this.#context.client, kind, deployment, status, signal);
  }

  async #create(replicaSet: (DeploymentAction & { type: 'create' })['replicaSet'], observed: ObservedDeployment, signal: AbortSignal): Promise<void> {
    const { deployment } = observed;
    try {
      await this.#context.client.create(resources.replicaSets, replicaSet, signal);
      this.#tellScaled(deployment, replicaSet, { from: 0, to: replicaSet.spec.replicas ?? 1 });
    } catch (error) {
      if (!isError(error, 'already-exists')) {
        this.#context.events.warning(deployment, 'ReplicaSetCreateError', `Failed to create new replica set "${replicaSet.metadata.name ?? ''}": ${formatError(error)}`);
        throw error;
      }
      await this.#resolveCollision(replicaSet, observed, signal);
    }
  }

  /** The name is taken: by our own ReplicaSet that the cache does not have yet, or by a stranger; then the next hash is tried. */
  async #resolveCollision(replicaSet: k8s.ReplicaSet, { deployment }: ObservedDeployment, signal: AbortSignal): Promise<void> {
    const existing = await this.#context.client.get(resources.replicaSets, refOf(keyOf(replicaSet)), signal);
    if (controllerOf(existing)?.uid === deployment.metadata.uid && isSameTemplate(existing.spec?.template, deployment.spec.template)) return;
    const collisionCount = (deployment.status?.collisionCount ?? 0) + 1;
    await this.#context.client.patch(kind, refOf(keyOf(deployment)), { type: 'merge', subresource: 'status', body: { status: { collisionCount } } }, signal);
  }

  #tellScaled(deployment: Stored<k8s.Deployment>, { metadata }: k8s.ReplicaSet, { from, to }: { from: number; to: number }): void {
    this.#context.events.normal(deployment, 'ScalingReplicaSet', `Scaled ${to > from ? 'up' : 'down'} replica set ${metadata?.name ?? ''} from ${from} to ${to}`);
  }
}

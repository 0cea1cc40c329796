import { type ControllerOptions, EventRecorder, type Informers, type KubeClient } from '../../client/mod.ts';
import { type Clock, type Logger, type Service, systemClock } from '../../kernel/mod.ts';
import { autoscalerController } from './autoscaler/reconciler.ts';
import { type ControllerSettings, defaultControllerSettings } from './config.ts';
import type { ControllerContext } from './context.ts';
import { configRollControllers } from './config-roll/reconciler.ts';
import { cronJobController } from './cron-job/reconciler.ts';
import { daemonSetController } from './daemon-set/reconciler.ts';
import { deploymentController } from './deployment/reconciler.ts';
import { disruptionController } from './disruption/reconciler.ts';
import { endpointSliceController } from './endpoint-slice/reconciler.ts';
import { endpointsController } from './endpoints/reconciler.ts';
import { EventExpiry } from './event-expiry/event-expiry.ts';
import { GarbageCollector } from './garbage-collector/reconciler.ts';
import { jobController } from './job/reconciler.ts';
import { loadBalancerController } from './load-balancer/reconciler.ts';
import { namespaceController } from './namespace/reconciler.ts';
import { nodeLifecycleController } from './node-lifecycle/reconciler.ts';
import { replicaSetController } from './replica-set/reconciler.ts';
import { serviceAccountController } from './service-account/reconciler.ts';
import { statefulSetController } from './stateful-set/reconciler.ts';
import { ttlController } from './ttl/ttl-after-finished.ts';
import { volumeClaimController } from './volumes/claim-reconciler.ts';
import { volumeController } from './volumes/volume-reconciler.ts';

export interface ControllerServicesOptions extends Partial<ControllerSettings> {
  readonly clock?: Clock;
  /** Passed to every controller; for metrics. */
  readonly controllerOptions?: ControllerOptions;
}

/** All controllers of the cluster, to be run in a group after (or beside) `informers`. They start when their caches are filled. */
export function controllerServices(client: KubeClient, informers: Informers, options: ControllerServicesOptions, log: Logger): Service[] {
  const settings: ControllerSettings = { ...defaultControllerSettings, ...options };
  const contextOf = (component: string): ControllerContext => ({
    client,
    informers,
    events: new EventRecorder(client, component, log),
    clock: options.clock ?? systemClock,
    log,
    controllerOptions: options.controllerOptions ?? {},
  });
  const services: Service[] = [
    deploymentController(contextOf('deployment-controller')),
    replicaSetController(contextOf('replicaset-controller')),
    statefulSetController(contextOf('statefulset-controller')),
    daemonSetController(contextOf('daemonset-controller')),
    volumeClaimController(contextOf('persistentvolume-controller')),
    volumeController(contextOf('persistentvolume-controller')),
    disruptionController(contextOf('disruption-controller')),
    loadBalancerController(contextOf('service-load-balancer'), settings),
    ...configRollControllers(contextOf),
    jobController(contextOf('job-controller'), settings),
    ttlController(contextOf('ttl-after-finished-controller')),
    cronJobController(contextOf('cronjob-controller')),
    endpointSliceController(contextOf('endpoint-slice-controller')),
    endpointsController(contextOf('endpoint-controller')),
    autoscalerController(contextOf('horizontal-pod-autoscaler'), settings),
    new GarbageCollector(contextOf('garbage-collector')),
    namespaceController(contextOf('namespace-controller')),
    nodeLifecycleController(contextOf('node-controller'), settings),
    serviceAccountController(contextOf('service-account-controller'), settings),
    new EventExpiry(contextOf('event-expiry'), settings),
  ];
  return services.filter(({ name }) => !settings.disabled.includes(name));
}

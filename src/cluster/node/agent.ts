import { mkdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { type k8s, keyOf, type KubeObject, resources, type Stored } from '../../api/mod.ts';
import { EventRecorder, type Informer, type Informers, type KubeClient } from '../../client/mod.ts';
import { aborted, type Clock, formatError, type Logger, type Service, systemClock } from '../../kernel/mod.ts';
import { CachedConfigSource } from './cached-config-source.ts';
import { ImageKeeper } from './image-keeper.ts';
import { type ExtraRoute, NodeListener, type ListenerTls } from './listener/node-listener.ts';
import { readMachine } from './machine.ts';
import { NodeRegistration } from './node-registration.ts';
import type { NodeServices } from './node-services.ts';
import { allocatableOf } from './node-status.ts';
import { PodWorker } from './pod-worker.ts';
import type { ContainerRuntime, PodSockets, ServiceDrain } from './ports.ts';
import { RuntimeIndex } from './runtime-index.ts';
import type { DnsSettings } from './sandbox-spec.ts';
import { Slots } from './slots.ts';
import { type ShutdownGrace, shutDownPods } from './node-shutdown.ts';
import { mirroredUid } from './static-pods/mirror.ts';
import { type StaticPodOptions, StaticPods, type StaticWorker } from './static-pods/static-pods.ts';
import { ClaimVolumes } from './volumes/claim-volumes.ts';
import type { ConfigKind } from './volumes/config-references.ts';
import { localProvisionerController } from './volumes/local-provisioner.ts';
import { VolumeManager } from './volumes/volume-manager.ts';

export interface NodeAgentOptions {
  readonly nodeName: string;
  /** The address pods and other nodes reach this machine at; on one machine the gateway of the pod bridge does. */
  readonly nodeIp: string;
  readonly podCidr: string;
  /** Disk: emptyDir volumes and termination messages, by pod uid. */
  readonly dataFolder: string;
  /** Memory (below /run): configuration and secret volumes. */
  readonly runFolder: string;
  /** Disk: volumes of claims. They outlive pods and are removed only when their claim is. */
  readonly claimsFolder: string;
  readonly dns: DnsSettings;
  readonly listen: { readonly host: string; readonly port: number; readonly tls: ListenerTls };
  /** Further routes of the listener, for example build logs. */
  readonly extraRoutes?: readonly ExtraRoute[];
  /** Shown as the node's runtime, for example `gantry-runc://1.1.5`. */
  readonly runtimeVersion: string;
  readonly version: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly maxPods?: number;
  readonly podPidsLimit?: number;
  readonly reservedMemoryBytes?: number;
  /** Where manifests of static pods are. Default: there are none. */
  readonly staticPods?: StaticPodOptions;
}

/** Where what pods mount comes from. */
interface Sources {
  readonly source: CachedConfigSource;
  readonly claims: ClaimVolumes;
  readonly provisioner: Service;
}

export interface NodeAgentParts {
  readonly client: KubeClient;
  /** The process's caches; the caller runs them. The agent asks for pods of its node, ConfigMaps, Secrets and Services. */
  readonly informers: Informers;
  readonly runtime: ContainerRuntime;
  /** Without one, pods are stopped at once when they are deleted. */
  readonly drain?: ServiceDrain;
  /** Without it pods cannot have Docker sockets. */
  readonly sockets?: PodSockets;
  readonly clock?: Clock;
  readonly log: Logger;
}

/** The node agent: turns the pods bound to this node into containers and reports what becomes of them. Its end stops no container. */
export class NodeAgent implements Service, AsyncDisposable {
  readonly name = 'node agent';
  readonly listener: NodeListener;
  readonly #services: NodeServices;
  readonly #sources: Sources;
  readonly #pods: Informer<k8s.Pod>;
  readonly #registration: NodeRegistration;
  readonly #staticPods: StaticPods | undefined;
  readonly #workers = new Map<string, PodWorker>();
  readonly #runs = new Set<Promise<void>>();
  #isShuttingDown = false;

  /** Opens the listener; nothing else happens before `run`. Ask for it before the informers run. */
  static async open(options: NodeAgentOptions, parts: NodeAgentParts): Promise<NodeAgent> {
    await mkdir(options.dataFolder, { recursive: true, mode: 0o711 });
    await mkdir(options.runFolder, { recursive: true, mode: 0o711 });
    const machine = readMachine(options.dataFolder);
    const reservedMemoryBytes = options.reservedMemoryBytes ?? Math.min(256 << 20, Math.floor(machine.memoryBytes / 10));
    const source = new CachedConfigSource(parts.client, parts.informers, allocatableOf(machine, reservedMemoryBytes));
    const { client, runtime, log } = parts;
    const claims = new ClaimVolumes(parts.informers, options.nodeName);
    const clock = parts.clock ?? systemClock;
    const services: NodeServices = {
      runtime,
      index: new RuntimeIndex(runtime, log),
      client,
      source,
      images: new ImageKeeper(runtime, source),
      volumes: new VolumeManager(options, source, claims, parts.sockets),
      drain: parts.drain,
      events: new EventRecorder(client, 'gantry-agent', log, options.nodeName),
      clock,
      log,
      node: { name: options.nodeName, ip: options.nodeIp, dns: options.dns, memoryBytes: machine.memoryBytes, podPidsLimit: options.podPidsLimit ?? 4096 },
      starts: new Slots(2 * availableParallelism()),
    };
    const pods = parts.informers.of(resources.pods, { fieldSelector: `spec.nodeName=${options.nodeName}` });
    let agent: NodeAgent | undefined;
    const uidOnNode = (pod: Stored<k8s.Pod>): string => agent?.uidOnNode(pod) ?? pod.metadata.uid;
    const listener = await NodeListener.open(options.listen, options.extraRoutes ?? [], { runtime, index: services.index, pods, uidOnNode, log });
    const identity = {
      name: options.nodeName,
      ip: options.nodeIp,
      podCidr: options.podCidr,
      listenerHost: options.listen.host,
      listenerPort: listener.port,
      maxPods: options.maxPods ?? 250,
      reservedMemoryBytes,
      runtimeVersion: options.runtimeVersion,
      version: options.version,
      labels: options.labels ?? {},
    };
    const provisioner = localProvisionerController({ nodeName: options.nodeName, folder: options.claimsFolder }, { client, informers: parts.informers, events: services.events, log });
    agent = new NodeAgent(services, { source, claims, provisioner }, pods, listener, new NodeRegistration(client, identity, machine, clock, log), options.staticPods);
    return agent;
  }

  private constructor(services: NodeServices, sources: Sources, pods: Informer<k8s.Pod>, listener: NodeListener, registration: NodeRegistration, staticPods: StaticPodOptions | undefined) {
    this.#services = services;
    this.#sources = sources;
    this.#pods = pods;
    this.listener = listener;
    this.#registration = registration;
    const { client, log, node } = services;
    const onRefused = (file: string, reason: string): void => {
      log.warn('static pod refused', { file, reason });
      services.events.warning({ apiVersion: 'v1', kind: 'Node', metadata: { name: node.name, uid: node.name } }, 'StaticPodRefused', `${file}: ${reason}`);
    };
    if (staticPods !== undefined) this.#staticPods = new StaticPods(staticPods, { nodeName: node.name, client, pods, start: (pod, signal) => this.#startStatic(pod, signal), onRefused, log });
  }

  /** The uid that the containers of a pod of the API carry. */
  uidOnNode(pod: Stored<k8s.Pod>): string {
    return this.#staticPods?.uidOnNode(pod) ?? pod.metadata.uid;
  }

  /** Resolves when the node is registered. */
  async ready(signal: AbortSignal): Promise<void> {
    await this.#registration.ready(signal);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { index } = this.#services;
    const registering = this.#registration.run(signal);
    const indexing = index.run(signal);
    const { source, claims, provisioner } = this.#sources;
    const provisioning = provisioner.run(signal);
    try {
      // What runs already has to be known before any pod is looked at: nothing is ever started twice.
      await index.refresh(signal);
      await this.#staticPods?.open(signal);
      await Promise.all([this.#pods.ready(signal), source.configMaps.ready(signal), source.secrets.ready(signal), claims.ready(signal)]);
      const stops = this.#follow(signal);
      await this.#removeOrphans(signal);
      await Promise.all([aborted(signal), this.#staticPods?.run(signal)]);
      for (const stop of stops) stop();
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      await Promise.all([registering, indexing, provisioning, ...this.#runs]);
      await this.#services.events.flush();
    }
  }

  /** Ends all pods by priority (Kubernetes, "Graceful node shutdown") and starts none any more. Resolves when nothing runs; how many pods there were. */
  async shutDown(grace: ShutdownGrace, signal: AbortSignal): Promise<number> {
    this.#isShuttingDown = true;
    await this.#registration.announceShutdown(signal);
    const workers = [...this.#workers.values()];
    await shutDownPods(workers, grace);
    await Promise.all(workers.map((worker) => worker.statusWritten()));
    return workers.length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.listener[Symbol.asyncDispose]();
    await this.#services.events[Symbol.asyncDispose]();
  }

  #follow(signal: AbortSignal): (() => unknown)[] {
    return [
      this.#services.index.onChange((podUid) => this.#workers.get(podUid)?.wake()),
      this.#pods.onChange((change) => {
        const { uid } = change.object.metadata;
        if (mirroredUid(change.object) !== undefined) return this.#staticPods?.mirrorChanged(change.object);
        if (change.type === 'deleted') return this.#workers.get(uid)?.markGone();
        const worker = this.#workers.get(uid);
        // After a shutdown has begun, what comes waits for the next start.
        if (worker === undefined && !this.#isShuttingDown) this.#start(change.object, signal);
        else worker?.update(change.object);
      }),
      this.#sources.source.configMaps.onChange(({ object }) => this.#configChanged('ConfigMap', object)),
      this.#sources.source.secrets.onChange(({ object }) => this.#configChanged('Secret', object)),
      this.#sources.claims.claims.onChange(({ object }) => this.#configChanged('PersistentVolumeClaim', object)),
    ];
  }

  #configChanged(kind: ConfigKind, { metadata }: Stored<KubeObject>): void {
    for (const worker of this.#workers.values()) {
      if (worker.pod.metadata.namespace === metadata.namespace) worker.configChanged(kind, metadata.name);
    }
  }

  #startStatic(pod: Stored<k8s.Pod>, signal: AbortSignal): StaticWorker {
    const { worker, run } = this.#start(pod, signal, (own) => this.#staticPods?.mirrorOf(own));
    return { update: (changed) => worker.update(changed), markGone: () => worker.markGone(), done: run };
  }

  /** `statusOf`: the API's object that gets the pod's status. */
  #start(pod: Stored<k8s.Pod>, signal: AbortSignal, statusOf?: (pod: Stored<k8s.Pod>) => Stored<k8s.Pod> | undefined): { worker: PodWorker; run: Promise<void> } {
    const worker = new PodWorker(this.#services, pod, statusOf);
    this.#workers.set(pod.metadata.uid, worker);
    const run = worker
      .run(signal)
      .catch((error: unknown) => this.#services.log.error('pod worker failed', { pod: keyOf(pod), err: error }))
      .finally(() => {
        this.#runs.delete(run);
        this.#workers.delete(pod.metadata.uid);
      });
    this.#runs.add(run);
    return { worker, run };
  }

  /** Pods that were deleted while the agent was away left sandboxes, containers and volumes behind. */
  async #removeOrphans(signal: AbortSignal): Promise<void> {
    const { index, volumes, runtime, log } = this.#services;
    const orphans = new Set([...index.podUids(), ...(await volumes.listPods())].filter((podUid) => !this.#workers.has(podUid)));
    for (const podUid of orphans) {
      try {
        const running = index.containersOf(podUid).filter(({ state }) => state === 'running');
        await Promise.all(running.map(({ id }) => runtime.stopContainer(id, 10, signal)));
        const sandbox = index.sandboxOf(podUid);
        if (sandbox !== undefined) await runtime.removeSandbox(sandbox.id, signal);
        await volumes.release(podUid);
        log.info('removed what a deleted pod left', { podUid });
      } catch (error) {
        if (signal.aborted) return;
        log.warn('cannot remove what a deleted pod left', { podUid, error: formatError(error) });
      }
    }
    if (orphans.size > 0) await index.refresh(signal);
  }
}

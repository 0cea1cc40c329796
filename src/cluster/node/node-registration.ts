import { type k8s, resources } from '../../api/mod.ts';
import type { KubeClient } from '../../client/mod.ts';
import { type Backoff, backoffMs, type Clock, GantryError, isError, type Logger, type Service, withTimeout } from '../../kernel/mod.ts';
import type { Machine } from './machine.ts';
import { type NodeIdentity, toNode, toNodeStatus } from './node-status.ts';

/** Kubernetes' figures: a lease that is not renewed for its duration means that the node is lost. */
const leaseNamespace = 'kube-node-lease';
const leaseDurationSeconds = 40;
const heartbeatMs = 10_000;
/** The whole status is written this rarely; the lease is the sign of life. */
const statusPeriodMs = 300_000;
const callTimeoutMs = 8_000;
const retryBackoff: Backoff = { initialMs: 100, factor: 2, maxMs: heartbeatMs, jitter: 0.2 };

/** Registers the node and keeps its lease (Kubernetes, "Node heartbeats"). It never gives up: the API may come later than the node. */
export class NodeRegistration implements Service {
  readonly name = 'node registration';
  readonly #client: KubeClient;
  readonly #identity: NodeIdentity;
  readonly #machine: Machine;
  readonly #clock: Clock;
  readonly #log: Logger;
  #isShuttingDown = false;
  readonly #registered = Promise.withResolvers<void>();

  constructor(client: KubeClient, identity: NodeIdentity, machine: Machine, clock: Clock, log: Logger) {
    this.#client = client;
    this.#identity = identity;
    this.#machine = machine;
    this.#clock = clock;
    this.#log = log;
  }

  async ready(signal: AbortSignal): Promise<void> {
    await Promise.race([this.#registered.promise, new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))]);
  }

  /** Says that the node takes no more pods, for as long as this process runs. What the API cannot be told is told later. */
  async announceShutdown(signal: AbortSignal): Promise<void> {
    this.#isShuttingDown = true;
    try {
      await this.#register(withTimeout(signal, callTimeoutMs));
    } catch (error) {
      this.#log.warn('cannot report that this node shuts down', { err: error });
    }
  }

  async run(signal: AbortSignal): Promise<void> {
    let statusDueMs = 0;
    for (let failures = 0; !signal.aborted; ) {
      try {
        const limited = withTimeout(signal, callTimeoutMs);
        if (this.#clock.now() >= statusDueMs) {
          await this.#register(limited);
          statusDueMs = this.#clock.now() + statusPeriodMs;
        }
        await this.#renewLease(limited);
        this.#registered.resolve();
        failures = 0;
        await this.#clock.sleep(heartbeatMs, signal);
      } catch (error) {
        if (signal.aborted) return;
        // After a silence the node may have been declared lost: its status is written again.
        statusDueMs = 0;
        if (failures === 3) this.#log.warn('cannot report this node', { err: error });
        await this.#clock.sleep(backoffMs(retryBackoff, failures++), signal).catch(() => undefined);
      }
    }
  }

  async #register(signal: AbortSignal): Promise<void> {
    const wanted = toNode(this.#identity, this.#machine);
    const ref = { name: this.#identity.name };
    const known = await this.#client.get(resources.nodes, ref, signal).catch((error: unknown) => {
      if (isError(error, 'not-found')) return this.#client.create<k8s.Node>(resources.nodes, wanted, signal);
      throw error;
    });
    const { labels = {}, annotations = {} } = wanted.metadata ?? {};
    const has = (present: Record<string, string> = {}, own: Record<string, string>): boolean => Object.entries(own).every(([key, value]) => present[key] === value);
    if (!has(known.metadata.labels, labels) || !has(known.metadata.annotations, annotations)) {
      await this.#client.patch(resources.nodes, ref, { type: 'merge', body: { metadata: { labels, annotations } } }, signal);
    }
    const status = toNodeStatus(this.#identity, this.#machine, known.status, this.#clock.now(), this.#isShuttingDown);
    await this.#client.patch(resources.nodes, ref, { type: 'merge', subresource: 'status', body: { status } }, signal);
  }

  async #renewLease(signal: AbortSignal): Promise<void> {
    const ref = { namespace: leaseNamespace, name: this.#identity.name };
    const renewTime = new Date(this.#clock.now()).toISOString().replace(/Z$/, '000Z');
    const spec = { holderIdentity: this.#identity.name, leaseDurationSeconds, renewTime };
    try {
      await this.#client.patch(resources.leases, ref, { type: 'merge', body: { spec } }, signal);
    } catch (error) {
      if (!isError(error, 'not-found')) throw error;
      await this.#client.create<k8s.Namespace>(resources.namespaces, { metadata: { name: leaseNamespace } }, signal).catch(ignoreExisting);
      await this.#client.create<k8s.Lease>(resources.leases, { metadata: { ...ref }, spec }, signal);
    }
  }
}

function ignoreExisting(error: unknown): void {
  if (!(error instanceof GantryError) || error.code !== 'already-exists') throw error;
}

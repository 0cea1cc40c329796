import { resources } from '../../api/mod.ts';
import type { Informer, Informers } from '../../client/mod.ts';
import type { k8s } from '../../api/mod.ts';
import { ConnectionTable, deleteTable, type Nftables, writeSysctl } from '../../host/mod.ts';
import { aborted, cancelled, type Logger, type Service } from '../../kernel/mod.ts';
import { renderRuleset, type Ruleset } from './ruleset.ts';
import { staleFlows } from './stale-flows.ts';
import { type KnownPlans, planServices, type ServicePlan } from './service-plan.ts';

export interface ServiceProxyOptions {
  nodeName: string;
  /** Name of the instance's table. */
  table: string;
  serviceCidr: string;
  /** The bridge that pods are on; it must exist when the proxy runs. Pods reach even each other through its address (/32 addresses). */
  podBridge: string;
}

/** How long rules that the kernel refused stay as they are, unless a service changes. */
const retryMs = 5_000;

/**
 * Keeps this node's rules as the cluster's services are. Changes that come together become one transaction.
 * The rules stay when the proxy ends: a stopped agent must not cut off what runs.
 */
export class ServiceProxy implements Service {
  readonly name = 'service proxy';
  readonly #services: Informer<k8s.Service>;
  readonly #slices: Informer<k8s.EndpointSlice>;
  readonly #nftables: Nftables;
  readonly #options: ServiceProxyOptions;
  readonly #log: Logger;
  readonly #waiting = new Set<() => void>();
  readonly #applied = Promise.withResolvers<void>();
  readonly #known: KnownPlans = new Map();
  #ruleset: Ruleset | undefined;
  #udpPlans: readonly ServicePlan[] = [];
  #isScheduled = false;
  #isRunning = false;
  #inRules: ReadonlySet<string> = new Set();

  constructor(informers: Informers, nftables: Nftables, options: ServiceProxyOptions, log: Logger) {
    this.#services = informers.of(resources.services);
    this.#slices = informers.of(resources.endpointSlices);
    this.#nftables = nftables;
    this.#options = options;
    this.#log = log;
    this.#services.onChange(() => this.#schedule());
    this.#slices.onChange(() => this.#schedule());
  }

  /** Resolves when the rules are in the kernel for the first time. */
  ready(): Promise<void> {
    return this.#applied.promise;
  }

  async run(signal: AbortSignal): Promise<void> {
    // Node ports on 127.0.0.1 leave by the bridge with a loopback address; the ruleset guards what that opens.
    writeSysctl(`net.ipv4.conf.${this.#options.podBridge}.route_localnet`, '1');
    await Promise.all([this.#services.ready(signal), this.#slices.ready(signal)]);
    this.#isRunning = true;
    this.#apply();
    await aborted(signal);
    this.#isRunning = false;
  }

  /** Resolves when no rule in the kernel sends new connections to the pod's address. */
  drained(podIp: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const check = (): void => {
        if (this.#inRules.has(podIp)) return;
        finish();
        resolve();
      };
      const onAbort = (): void => {
        finish();
        reject(cancelled(signal));
      };
      const finish = (): void => {
        this.#waiting.delete(check);
        signal.removeEventListener('abort', onAbort);
      };
      if (signal.aborted) return onAbort();
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(check);
      check();
    });
  }

  /** Removes the instance's rules: part of a purge, not of a stop. */
  static purge(nftables: Nftables, table: string): void {
    nftables.apply(deleteTable('ip', table));
  }

  /** All changes of one turn of the event loop become one transaction. */
  #schedule(): void {
    if (this.#isScheduled || !this.#isRunning) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      if (this.#isRunning) this.#apply();
    });
  }

  #apply(): void {
    const plans = planServices(this.#services.list(), this.#slices.list(), this.#options.nodeName, this.#known);
    const ruleset = renderRuleset(plans, this.#options, this.#ruleset);
    try {
      if (ruleset.script !== '') this.#nftables.apply(ruleset.script);
      this.#ruleset = ruleset;
      this.#forgetFlows(plans);
      this.#tell(plans);
    } catch (error) {
      // The table may have been changed by someone else: the next attempt, at once, replaces it whole. If that fails too, later.
      this.#log.error('cannot apply service rules', { err: error });
      if (this.#ruleset === undefined) setTimeout(() => this.#schedule(), retryMs).unref();
      else this.#schedule();
      this.#ruleset = undefined;
    }
  }

  /** Only when something of UDP changed: the kernel's table may be long. */
  #forgetFlows(plans: readonly ServicePlan[]): void {
    const before = this.#udpPlans;
    this.#udpPlans = plans.filter(({ protocol }) => protocol === 'udp');
    if (this.#udpPlans.length === before.length && this.#udpPlans.every((plan, index) => plan === before[index])) return;
    try {
      using connections = ConnectionTable.open();
      for (const flow of staleFlows(connections.udpFlows(), this.#udpPlans)) connections.forget(flow);
    } catch (error) {
      this.#log.warn('cannot forget flows of UDP to endpoints that are gone', { err: error });
    }
  }

  #tell(plans: readonly ServicePlan[]): void {
    this.#inRules = new Set(plans.flatMap(({ endpoints, nodePortEndpoints }) => [...endpoints, ...nodePortEndpoints].map(({ address }) => address)));
    this.#applied.resolve();
    for (const check of this.#waiting) check();
  }
}

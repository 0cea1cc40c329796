import { isDeepStrictEqual } from 'node:util';
import { type gatewayApi, type k8s, keyOf, type KubeObject, refOf, resources, type ResourceType, type Stored } from '../../api/mod.ts';
import { EventRecorder, type Informer, type Informers, type KubeClient } from '../../client/mod.ts';
import { aborted, cancelled, formatError, isError, type Logger, type Service } from '../../kernel/mod.ts';
import { EndpointView } from './endpoints.ts';
import { type GatewayPlan, planGateways } from './gateway-plan.ts';
import { HaproxyProcess } from './haproxy-process.ts';
import { type IngressPlan, planIngresses } from './ingress-plan.ts';
import { balancedPorts } from './host-ports.ts';
import { mergeListeners } from './model.ts';

export interface IngressProxyOptions {
  /** In memory (below /run), for HAProxy's configuration, keys and sockets. */
  readonly folder: string;
  /** What Ingresses say they are reached at. */
  readonly addresses: readonly string[];
  /** Default 80 and 443. */
  readonly ports?: { readonly http: number; readonly https: number };
  /** Where the ports are bound. Default every address. */
  readonly bindAddress?: string;
  /** Default `haproxy`. */
  readonly program?: string;
}

const retryMs = 5_000;

/** Keeps this node's HAProxy as the cluster's Ingresses are. It runs only while there are any, and goes on when the agent ends. */
export class IngressProxy implements Service {
  readonly name = 'ingress proxy';
  readonly #client: KubeClient;
  readonly #ingresses: Informer<k8s.Ingress>;
  readonly #classes: Informer<k8s.IngressClass>;
  readonly #services: Informer<k8s.Service>;
  readonly #slices: Informer<k8s.EndpointSlice>;
  readonly #secrets: Informer<k8s.Secret>;
  readonly #gatewayClasses: Informer<gatewayApi.GatewayClass>;
  readonly #gateways: Informer<gatewayApi.Gateway>;
  readonly #routes: Informer<gatewayApi.HTTPRoute>;
  readonly #grants: Informer<gatewayApi.ReferenceGrant>;
  readonly #namespaces: Informer<k8s.Namespace>;
  readonly #sources: readonly { ready(signal: AbortSignal): Promise<void> }[];
  readonly #options: IngressProxyOptions;
  readonly #haproxy: HaproxyProcess;
  readonly #events: EventRecorder;
  readonly #log: Logger;
  readonly #waiting = new Set<() => void>();
  readonly #told = new Map<string, string>();
  #isDirty = true;
  #wake = Promise.withResolvers<void>();
  #inUse: ReadonlySet<string> = new Set();

  constructor(client: KubeClient, informers: Informers, options: IngressProxyOptions, log: Logger) {
    this.#client = client;
    this.#options = options;
    this.#log = log;
    this.#events = new EventRecorder(client, 'ingress-proxy', log);
    this.#haproxy = new HaproxyProcess({ folder: options.folder, ...(options.bindAddress === undefined ? {} : { address: options.bindAddress }), ...(options.program === undefined ? {} : { program: options.program }) }, log);
    this.#ingresses = informers.of(resources.ingresses);
    this.#classes = informers.of(resources.ingressClasses);
    this.#services = informers.of(resources.services);
    this.#slices = informers.of(resources.endpointSlices);
    this.#secrets = informers.of(resources.secrets);
    this.#gatewayClasses = informers.of(resources.gatewayClasses);
    this.#gateways = informers.of(resources.gateways);
    this.#routes = informers.of(resources.httpRoutes);
    this.#grants = informers.of(resources.referenceGrants);
    this.#namespaces = informers.of(resources.namespaces);
    const changed = (): void => this.#changed();
    this.#sources = [this.#ingresses, this.#classes, this.#services, this.#slices, this.#secrets, this.#gatewayClasses, this.#gateways, this.#routes, this.#grants, this.#namespaces];
    this.#ingresses.onChange(changed);
    this.#classes.onChange(changed);
    this.#services.onChange(changed);
    this.#slices.onChange(changed);
    this.#secrets.onChange(changed);
    this.#gatewayClasses.onChange(changed);
    this.#gateways.onChange(changed);
    this.#routes.onChange(changed);
    this.#grants.onChange(changed);
    this.#namespaces.onChange(changed);
  }

  async run(signal: AbortSignal): Promise<void> {
    try {
      // What is not known yet would look as if nothing were to be served.
      await Promise.all(this.#sources.map((source) => source.ready(signal)));
    } catch (error) {
      if (signal.aborted) return;
      throw error;
    }
    const stopped = aborted(signal);
    while (!signal.aborted) {
      this.#wake = Promise.withResolvers<void>();
      if (this.#isDirty) await this.#apply(signal);
      else await Promise.race([this.#wake.promise, stopped]);
    }
    await this.#events.flush();
  }

  /** Resolves when no request is sent to the address any more. */
  drained(podIp: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const check = (): void => {
        if (this.#inUse.has(podIp)) return;
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

  #changed(): void {
    this.#isDirty = true;
    this.#wake.resolve();
  }

  async #apply(signal: AbortSignal): Promise<void> {
    this.#isDirty = false;
    const { ports = { http: 80, https: 443 } } = this.#options;
    const endpoints = new EndpointView(this.#services.list(), this.#slices.list());
    const secret = (namespace: string, name: string): k8s.Secret | undefined => this.#secrets.get(keyOf({ namespace, name }));
    const now = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
    const [ingresses, all] = [this.#ingresses.list(), this.#gateways.list()];
    const busy = await this.#haproxy.busyPorts([...(ingresses.length === 0 ? [] : Object.values(ports)), ...all.flatMap(({ spec }) => spec.listeners.map(({ port }) => port))]);
    const balanced = balancedPorts(this.#services.list());
    const taken = (port: number): string | undefined => balanced.get(port) ?? busy.get(port);
    const plan = planIngresses({ ingresses, classes: this.#classes.list(), endpoints, secret, ports, portProblem: taken });
    const protocols = new Map(plan.listeners.map(({ port, certificates }) => [port, certificates !== undefined]));
    const portProblem = (port: number, isTls: boolean): string | undefined => taken(port) ?? ((protocols.get(port) ?? isTls) === isTls ? undefined : `port ${port} has another protocol for Ingresses`);
    const gateways = planGateways({ classes: this.#gatewayClasses.list(), gateways: all, routes: this.#routes.list(), grants: this.#grants.list(), namespaces: this.#namespaces.list(), endpoints, secret, portProblem, addresses: this.#options.addresses, now });
    try {
      const listeners = mergeListeners(plan.listeners, gateways.listeners);
      await this.#haproxy.apply({ listeners }, signal);
      this.#inUse = new Set(listeners.flatMap(({ routes }) => routes.flatMap(({ targets }) => targets.flatMap((target) => target.endpoints.map(({ address }) => address)))));
      for (const check of this.#waiting) check();
      this.#tell(plan);
      await this.#report(plan, signal);
      await this.#reportGateways(gateways, signal);
      // Nobody tells when another program gives a port back.
      if (busy.size > 0) setTimeout(() => this.#changed(), retryMs).unref();
    } catch (error) {
      if (signal.aborted) return;
      this.#log.error('cannot serve ingresses', { err: error });
      for (const ingress of plan.served) this.#events.warning(ingress, 'NotServed', formatError(error));
      setTimeout(() => this.#changed(), retryMs).unref();
    }
  }

  /** Each problem once, until it is another one. */
  #tell({ problems, served }: IngressPlan): void {
    const known = new Set(served.map(({ metadata }) => metadata.uid));
    for (const uid of this.#told.keys()) if (!known.has(uid)) this.#told.delete(uid);
    for (const ingress of served) {
      const messages = problems.filter((problem) => problem.ingress === ingress).map(({ message }) => message);
      const text = messages.join('; ');
      if (this.#told.get(ingress.metadata.uid) !== text) for (const message of messages) this.#events.warning(ingress, 'Incomplete', message);
      this.#told.set(ingress.metadata.uid, text);
    }
  }

  async #reportGateways({ classStatuses, gatewayStatuses, routeStatuses }: GatewayPlan, signal: AbortSignal): Promise<void> {
    await Promise.all([
      ...classStatuses.map(({ object, status }) => this.#patchStatus(resources.gatewayClasses, object, status, signal)),
      ...gatewayStatuses.map(({ object, status }) => this.#patchStatus(resources.gateways, object, status, signal)),
      ...routeStatuses.map(({ object, status }) => this.#patchStatus(resources.httpRoutes, object, status, signal)),
    ]);
  }

  /** Nothing is written when it says so already: every write would start the next pass. */
  async #patchStatus<T extends KubeObject & { status?: object }>(type: ResourceType<T>, object: Stored<T>, status: object, signal: AbortSignal): Promise<void> {
    const wanted: unknown = JSON.parse(JSON.stringify(status));
    if (isDeepStrictEqual(object.status ?? {}, wanted)) return;
    await this.#client.patch(type, refOf(keyOf(object)), { type: 'merge', subresource: 'status', body: { metadata: { uid: object.metadata.uid }, status: wanted } }, signal).catch((error: unknown) => {
      if (!isError(error, 'not-found', 'conflict')) throw error;
    });
  }

  async #report({ served, listeners }: IngressPlan, signal: AbortSignal): Promise<void> {
    const wanted = listeners.length === 0 ? [] : this.#options.addresses.map((ip) => ({ ip }));
    const isSaid = ({ status }: Stored<k8s.Ingress>): boolean => JSON.stringify((status?.loadBalancer?.ingress ?? []).map(({ ip }) => ({ ip }))) === JSON.stringify(wanted);
    await Promise.all(
      served.filter((ingress) => !isSaid(ingress)).map((ingress) =>
        this.#client.patch(resources.ingresses, refOf(keyOf(ingress)), { type: 'merge', subresource: 'status', body: { metadata: { uid: ingress.metadata.uid }, status: { loadBalancer: { ingress: wanted } } } }, signal).catch((error: unknown) => {
          if (!isError(error, 'not-found', 'conflict')) throw error;
        }),
      ),
    );
  }
}

import { type k8s, keyOf, refOf, resources, type Stored } from '../../api/mod.ts';
import { EventRecorder, type Informer, type Informers, type KubeClient } from '../../client/mod.ts';
import { aborted, cancelled, formatError, isError, type Logger, type Service } from '../../kernel/mod.ts';
import { EndpointView } from './endpoints.ts';
import { HaproxyProcess } from './haproxy-process.ts';
import { type IngressPlan, planIngresses } from './ingress-plan.ts';

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
    for (const informer of [this.#ingresses, this.#classes, this.#services, this.#slices, this.#secrets]) informer.onChange(() => this.#changed());
  }

  async run(signal: AbortSignal): Promise<void> {
    try {
      await Promise.all([this.#ingresses, this.#classes, this.#services, this.#slices, this.#secrets].map((informer) => informer.ready(signal)));
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
    const plan = planIngresses({
      ingresses: this.#ingresses.list(),
      classes: this.#classes.list(),
      endpoints: new EndpointView(this.#services.list(), this.#slices.list()),
      secret: (namespace, name) => this.#secrets.get(keyOf({ namespace, name })),
      ports: this.#options.ports ?? { http: 80, https: 443 },
    });
    try {
      await this.#haproxy.apply({ listeners: plan.listeners }, signal);
      this.#inUse = new Set(plan.listeners.flatMap(({ routes }) => routes.flatMap(({ targets }) => targets.flatMap(({ endpoints }) => endpoints.map(({ address }) => address)))));
      for (const check of this.#waiting) check();
      this.#tell(plan);
      await this.#report(plan, signal);
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

  async #report({ served }: IngressPlan, signal: AbortSignal): Promise<void> {
    const wanted = this.#options.addresses.map((ip) => ({ ip }));
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

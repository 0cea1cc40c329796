import type { k8s, Stored } from '../../api/mod.ts';
import type { Target } from './model.ts';

const serviceNameLabel = 'kubernetes.io/service-name';

/** Finds the endpoints behind Services. */
export class EndpointView {
  readonly #services: ReadonlyMap<string, Stored<k8s.Service>>;
  readonly #slices: ReadonlyMap<string, readonly Stored<k8s.EndpointSlice>[]>;

  constructor(services: readonly Stored<k8s.Service>[], slices: readonly Stored<k8s.EndpointSlice>[]) {
    this.#services = new Map(services.map((service) => [`${service.metadata.namespace ?? ''}/${service.metadata.name}`, service]));
    this.#slices = Map.groupBy(slices, ({ metadata }) => `${metadata.namespace ?? ''}/${metadata.labels?.[serviceNameLabel] ?? ''}`);
  }

  /** The target of a Service's port; undefined when there is no such Service or port. A Service without endpoints is a target without any. */
  target(namespace: string, name: string, port: { name?: string; number?: number }, weight = 1): Target | undefined {
    const key = `${namespace}/${name}`;
    const service = this.#services.get(key);
    const found = service?.spec?.ports?.find((one) => (port.name === undefined ? one.port === port.number : one.name === port.name));
    if (service === undefined || found === undefined) return undefined;
    return { service: `${key}:${found.port}`, weight, endpoints: this.#endpoints(key, found), ...(found.appProtocol === 'kubernetes.io/h2c' ? { isHttp2: true } : {}) };
  }

  /** The ready ones; where there is none, those that end but still serve. */
  #endpoints(key: string, { name = '' }: k8s.ServicePort): { address: string; port: number }[] {
    const all = (this.#slices.get(key) ?? []).filter(({ addressType }) => addressType === 'IPv4').flatMap((slice) => {
      const port = slice.ports?.find((one) => (one.name ?? '') === name)?.port;
      return port === undefined ? [] : (slice.endpoints ?? []).flatMap(({ addresses, conditions }) => addresses.slice(0, 1).map((address) => ({ address, port, conditions })));
    });
    const ready = all.filter(({ conditions }) => conditions?.ready !== false && conditions?.terminating !== true);
    const chosen = ready.length > 0 ? ready : all.filter(({ conditions }) => conditions?.serving !== false && conditions?.terminating === true);
    const unique = new Map(chosen.map(({ address, port }) => [`${address}:${port}`, { address, port }]));
    return [...unique.values()].toSorted((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : a.port - b.port));
  }
}

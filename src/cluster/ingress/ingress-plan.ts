import { controllerAnnotations, type k8s, keyOf, proxyController, type Stored } from '../../api/mod.ts';
import { certificateOf } from './certificates.ts';
import type { EndpointView } from './endpoints.ts';
import { type Certificate, type HttpListener, type HttpRoute, inMatchOrder, isPlainText } from './model.ts';

export interface IngressInputs {
  readonly ingresses: readonly Stored<k8s.Ingress>[];
  readonly classes: readonly Stored<k8s.IngressClass>[];
  readonly endpoints: EndpointView;
  readonly secret: (namespace: string, name: string) => k8s.Secret | undefined;
  readonly ports: { readonly http: number; readonly https: number };
  /** Why a port cannot be had; undefined when it can. */
  readonly portProblem: (port: number) => string | undefined;
}

/** What an Ingress has to be told. */
export interface IngressProblem { readonly ingress: Stored<k8s.Ingress>; readonly message: string }

export interface IngressPlan {
  readonly listeners: readonly HttpListener[];
  readonly served: readonly Stored<k8s.Ingress>[];
  readonly problems: readonly IngressProblem[];
}

/** All Ingresses of our classes as listeners. Of two that claim the same host and path the older one has it. */
export function planIngresses({ ingresses, classes, endpoints, secret, ports, portProblem }: IngressInputs): IngressPlan {
  const ours = new Set(classes.filter(({ spec }) => spec?.controller === proxyController).map(({ metadata }) => metadata.name));
  const served = ingresses.filter(({ spec, metadata }) => metadata.deletionTimestamp === undefined && ours.has(spec?.ingressClassName ?? '')).toSorted(byAge);
  const problems: IngressProblem[] = [];
  const routes = new Map<string, HttpRoute>();
  const certificates = new Map<string, Certificate>();
  for (const ingress of served) {
    const tell = (message: string): number => problems.push({ ingress, message });
    for (const annotation of controllerAnnotations(ingress.metadata)) tell(`annotation ${annotation} has no effect: it is another controller's`);
    for (const route of routesOf(ingress, endpoints, tell)) {
      const place = `${route.host ?? '*'} ${route.path.type} ${route.path.value}`;
      if (routes.has(place)) tell(`${place} belongs to an older Ingress`);
      else routes.set(place, route);
    }
    for (const { hosts = [], secretName = '' } of ingress.spec?.tls ?? []) {
      if (secretName === '') continue;
      const key = `${ingress.metadata.namespace ?? ''}/${secretName}`;
      const names = hosts.filter(isPlainText);
      const certificate = certificateOf(secret(ingress.metadata.namespace ?? '', secretName), key, [...new Set([...(certificates.get(key)?.hosts ?? []), ...names])]);
      if (typeof certificate === 'string') tell(certificate);
      else certificates.set(key, certificate);
    }
  }
  if (served.length === 0) return { listeners: [], served, problems };
  const ordered = inMatchOrder([...routes.values()]);
  const wanted: HttpListener[] = [{ port: ports.http, routes: ordered }, ...(certificates.size === 0 ? [] : [{ port: ports.https, routes: ordered, certificates: [...certificates.values()] }])];
  const listeners = wanted.filter(({ port }) => {
    const problem = portProblem(port);
    if (problem !== undefined) for (const ingress of served) problems.push({ ingress, message: problem });
    return problem === undefined;
  });
  return { listeners, served, problems };
}

function* routesOf({ metadata, spec }: Stored<k8s.Ingress>, endpoints: EndpointView, tell: (message: string) => void): Generator<HttpRoute> {
  const namespace = metadata.namespace ?? '';
  const name = keyOf({ namespace, name: metadata.name });
  const targetOf = (backend: k8s.IngressBackend): HttpRoute['targets'] | undefined => {
    const { service } = backend;
    if (service === undefined) {
      tell('backends that are not Services are not supported');
      return undefined;
    }
    const target = endpoints.target(namespace, service.name, { ...(service.port?.name === undefined ? {} : { name: service.port.name }), ...(service.port?.number === undefined ? {} : { number: service.port.number }) });
    if (target === undefined) tell(`service ${service.name} or its port ${service.port?.name ?? service.port?.number ?? ''} does not exist`);
    return target === undefined ? [] : [target];
  };
  for (const [ruleIndex, { host, http }] of (spec?.rules ?? []).entries()) {
    for (const [pathIndex, { path = '/', pathType, backend }] of (http?.paths ?? []).entries()) {
      const targets = targetOf(backend);
      if (targets === undefined || !isPlainText(path)) continue;
      const value = pathType === 'Exact' ? path : path.replace(/\/+$/, '') || '/';
      yield { key: `ingress ${name} ${ruleIndex}.${pathIndex}`, ...(host === undefined || host === '' ? {} : { host: host.toLowerCase() }), path: { type: pathType === 'Exact' ? 'Exact' : 'Prefix', value }, targets };
    }
  }
  if (spec?.defaultBackend === undefined) return;
  const targets = targetOf(spec.defaultBackend);
  if (targets !== undefined) yield { key: `ingress ${name} default`, path: { type: 'Prefix', value: '/' }, targets };
}

function byAge(a: Stored<k8s.Ingress>, b: Stored<k8s.Ingress>): number {
  return a.metadata.creationTimestamp < b.metadata.creationTimestamp ? -1 : a.metadata.creationTimestamp > b.metadata.creationTimestamp ? 1 : keyOf(a) < keyOf(b) ? -1 : 1;
}

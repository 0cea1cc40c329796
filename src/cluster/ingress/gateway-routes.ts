import { type gatewayApi, keyOf } from '../../api/mod.ts';
import { fails, holds, type Verdict } from './gateway-conditions.ts';
import { filtersOf, redirectOf, timeoutMs } from './gateway-filters.ts';
import { type GatewayInputs, isGranted, type Route } from './gateway-inputs.ts';
import type { PlannedListener } from './gateway-listeners.ts';
import type { HttpRoute, Target, ValueMatch } from './model.ts';
import { patternProblem } from './patterns.ts';

/** What a route asks for that cannot be done; undefined when everything can. */
export function unsupportedIn({ spec }: Route): string | undefined {
  for (const { matches = [], filters = [] } of spec.rules ?? []) {
    const patterns = matches.flatMap(({ path, headers = [], queryParams = [] }) => [...(path === undefined ? [] : [path]), ...headers, ...queryParams]).filter(({ type }) => type === 'RegularExpression');
    const problem = patterns.map(({ value = '' }) => patternProblem(value)).find((one) => one !== undefined);
    if (problem !== undefined) return problem;
    const isPrefixed = filters.some(({ urlRewrite, requestRedirect }) => [urlRewrite, requestRedirect].some((change) => change?.path?.type === 'ReplacePrefixMatch'));
    if (isPrefixed && matches.some(({ path }) => (path?.type ?? 'PathPrefix') !== 'PathPrefix')) return 'ReplacePrefixMatch needs a match by PathPrefix';
  }
  return undefined;
}

/** Whether every reference of a route leads somewhere: the first that does not gives the reason. */
export function resolve(inputs: GatewayInputs, route: Route): Verdict {
  const problems = (route.spec.rules ?? []).flatMap((rule) => targetsOf(inputs, route, rule).problems);
  const [first] = problems;
  if (first === undefined) return holds('ResolvedRefs');
  return fails('ResolvedRefs', first.reason, [...new Set(problems.map(({ message }) => message))].join('; '));
}

interface Resolved { readonly targets: Target[]; readonly lostWeight: number; readonly problems: { reason: string; message: string }[] }

function targetsOf({ endpoints, grants }: GatewayInputs, route: Route, rule: gatewayApi.HTTPRouteRule): Resolved {
  const own = route.metadata.namespace ?? '';
  const targets: Target[] = [];
  const problems: { reason: string; message: string }[] = [];
  let lostWeight = 0;
  for (const { group = '', kind = 'Service', name, namespace = own, port, weight = 1 } of rule.backendRefs ?? []) {
    const refuse = (reason: string, message: string): void => {
      problems.push({ reason, message });
      lostWeight += weight;
    };
    if (group !== '' || kind !== 'Service') refuse('InvalidKind', `${kind} ${name} is not a Service`);
    else if (!isGranted(grants, { kind: 'HTTPRoute', namespace: own }, { kind, namespace, name })) refuse('RefNotPermitted', `no ReferenceGrant in ${namespace} lets HTTPRoutes of ${own} name Service ${name}`);
    else {
      const target = port === undefined ? undefined : endpoints.target(namespace, name, { number: port }, weight);
      if (target === undefined) refuse('BackendNotFound', `Service ${keyOf({ namespace, name })} or its port ${port ?? ''} does not exist`);
      else if (targets.some(({ isHttp2 }) => isHttp2 !== target.isHttp2)) refuse('UnsupportedProtocol', `Service ${name} speaks another version of HTTP than the first Service of its rule`);
      else targets.push(target);
    }
  }
  return { targets, lostWeight, problems };
}

/** The rules of an attached route for hosts of one listener. */
export function routesOf(inputs: GatewayInputs, { gateway, listener }: PlannedListener, route: Route, hosts: readonly (string | undefined)[]): HttpRoute[] {
  const rules = (route.spec.rules ?? []).map((rule) => ({ rule, ...targetsOf(inputs, route, rule) }));
  return hosts.flatMap((host) =>
    rules.flatMap(({ rule, targets, lostWeight }, index) => {
      const filters = filtersOf(rule.filters ?? []);
      const redirect = redirectOf(rule.filters ?? []);
      const [requestMs, backendMs] = [timeoutMs(rule.timeouts?.request), timeoutMs(rule.timeouts?.backendRequest)];
      const common = {
        ...(host === undefined ? {} : { host: host.startsWith('*.') ? `*${host}` : host }),
        ...(filters === undefined ? {} : { filters }),
        ...(redirect === undefined ? {} : { redirect }),
        timeouts: { ...(requestMs === undefined ? {} : { requestMs }), ...(backendMs === undefined ? {} : { backendMs }) },
        targets,
        ...(lostWeight === 0 ? {} : { lostWeight }),
      };
      const matches = (rule.matches ?? []).length === 0 ? [{}] : (rule.matches ?? []);
      return matches.map((match, place): HttpRoute => ({ key: `gateway ${keyOf(gateway)} ${listener.name} ${host ?? '*'} ${keyOf(route)} ${index}.${place}`, ...common, ...matchOf(match) }));
    }),
  );
}

const pathTypes: Readonly<Record<string, HttpRoute['path']['type']>> = { Exact: 'Exact', PathPrefix: 'Prefix', RegularExpression: 'Pattern' };

function matchOf({ path: { type = 'PathPrefix', value = '/' } = {}, method, headers, queryParams }: gatewayApi.HTTPRouteMatch): Pick<HttpRoute, 'path' | 'method' | 'headers' | 'query'> {
  const values = (list: readonly gatewayApi.HTTPValueMatch[]): ValueMatch[] => list.map((one) => ({ name: one.name, value: one.value, ...(one.type === 'RegularExpression' ? { isPattern: true } : {}) }));
  return {
    path: { type: pathTypes[type] ?? 'Prefix', value: type === 'PathPrefix' ? value.replace(/\/+$/, '') || '/' : value },
    ...(method === undefined ? {} : { method }),
    ...(headers === undefined ? {} : { headers: values(headers) }),
    ...(queryParams === undefined ? {} : { query: values(queryParams) }),
  };
}

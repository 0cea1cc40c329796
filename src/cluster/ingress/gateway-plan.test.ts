import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type gatewayApi, type k8s, proxyController, type Stored } from '../../api/mod.ts';
import { EndpointView } from './endpoints.ts';
import { timeoutMs } from './gateway-filters.ts';
import { hostsOf } from './gateway-listeners.ts';
import { planGateways } from './gateway-plan.ts';
import { mergeListeners } from './model.ts';
import { patternProblem } from './patterns.ts';

const meta = (name: string, namespace = 'shop') => ({ name, namespace, uid: name, resourceVersion: '1', generation: 1, creationTimestamp: '2030-01-01T00:00:00Z' });
const services: Stored<k8s.Service>[] = ['old', 'new'].map((name) => ({ metadata: meta(name), spec: { ports: [{ port: 80, protocol: 'TCP' }] } }));
services.push({ metadata: meta('grpc'), spec: { ports: [{ port: 80, protocol: 'TCP', appProtocol: 'kubernetes.io/h2c' }] } });
const classes: Stored<gatewayApi.GatewayClass>[] = [{ metadata: meta('haproxy'), spec: { controllerName: proxyController } }];

interface Given { namespace?: string; grants?: gatewayApi.ReferenceGrant['spec'][]; portProblem?: string; more?: Stored<gatewayApi.Gateway>[] }

function plan(listeners: gatewayApi.GatewayListener[], spec: gatewayApi.HTTPRouteSpec, { namespace = 'shop', grants = [], portProblem, more = [] }: Given = {}) {
  const gateways: Stored<gatewayApi.Gateway>[] = [{ metadata: meta('front'), spec: { gatewayClassName: 'haproxy', listeners } }, ...more];
  const routes: Stored<gatewayApi.HTTPRoute>[] = [{ metadata: meta('route', namespace), spec: { parentRefs: [{ name: 'front', namespace: 'shop' }], ...spec } }];
  const result = planGateways({
    classes,
    gateways,
    routes,
    grants: grants.map((granted) => ({ metadata: meta('grant', 'shop'), spec: granted })),
    namespaces: [{ metadata: { ...meta('team', ''), labels: { team: 'blue' } } }],
    endpoints: new EndpointView(services, []),
    secret: () => undefined,
    portProblem: () => portProblem,
    addresses: ['192.0.2.1'],
    now: '2030-01-01T00:00:00Z',
  });
  const told = (conditions: readonly k8s.Condition[] | undefined): string[] => (conditions ?? []).filter(({ type, status }) => status !== (type === 'Conflicted' ? 'False' : 'True')).map(({ type, reason }) => `${type}: ${reason}`);
  return {
    routes: result.listeners.flatMap(({ port, routes: own }) => own.filter(({ isNotFound }) => isNotFound !== true).map(({ host = '*', path, method, targets, lostWeight }) => `${port} ${host} ${method ?? ''} ${path.type} ${path.value} → ${targets.map(({ service, weight }) => `${service}×${weight}`).join(' ')}${lostWeight === undefined ? '' : ` lost×${lostWeight}`}`.replaceAll(/ +/g, ' '))),
    route: told(result.routeStatuses[0]?.status.parents[0]?.conditions),
    listener: told(result.gatewayStatuses[0]?.status.listeners?.[0]?.conditions),
    gateway: result.gatewayStatuses.map(({ status }) => (status.conditions ?? []).map(({ type, status: is, reason }) => `${type}=${is} ${reason}`).join()),
  };
}

const web: gatewayApi.GatewayListener = { name: 'web', port: 80, protocol: 'HTTP' };

test('planGateways() turns routes into routes, by weight', () => {
  const rules: gatewayApi.HTTPRouteRule[] = [
    { backendRefs: [{ name: 'old', port: 80, weight: 90 }, { name: 'new', port: 80, weight: 10 }] },
    { matches: [{ path: { type: 'PathPrefix', value: '/api/' }, method: 'GET' }, { path: { type: 'Exact', value: '/x' } }], backendRefs: [{ name: 'new', port: 80 }] },
  ];
  assert.deepEqual(plan([web], { hostnames: ['a.example', '*.b.example'], rules }).routes, [
    '80 a.example Exact /x → shop/new:80×1',
    '80 a.example GET Prefix /api → shop/new:80×1',
    '80 a.example Prefix / → shop/old:80×90 shop/new:80×10',
    '80 **.b.example Exact /x → shop/new:80×1',
    '80 **.b.example GET Prefix /api → shop/new:80×1',
    '80 **.b.example Prefix / → shop/old:80×90 shop/new:80×10',
  ]);
});

test('planGateways() says why a route or a listener is not served', () => {
  const rules = [{ backendRefs: [{ name: 'old', port: 80 }] }];
  const all: gatewayApi.GatewayListener = { ...web, allowedRoutes: { namespaces: { from: 'All' } } };
  const blue = (team: string): gatewayApi.GatewayListener => ({ ...web, allowedRoutes: { namespaces: { from: 'Selector', selector: { matchLabels: { team } } } } });
  const elsewhere = [{ backendRefs: [{ name: 'old', port: 80, namespace: 'shop' }] }];
  const grant = (namespace: string, name?: string): gatewayApi.ReferenceGrant['spec'] => ({ from: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', namespace }], to: [{ group: '', kind: 'Service', ...(name === undefined ? {} : { name }) }] });
  const served = '80 * Prefix / → shop/old:80×1';
  const fine = ['Accepted=True Accepted,Programmed=True Programmed'];
  const none = ['Accepted=False ListenersNotValid,Programmed=False Invalid'];
  const partly = ['Accepted=True ListenersNotValid,Programmed=True Programmed'];
  const tls = (ref: gatewayApi.SecretReference): gatewayApi.GatewayListener => ({ ...web, protocol: 'HTTPS', tls: { certificateRefs: [ref] } });
  const pattern = (value: string): gatewayApi.HTTPRouteRule[] => [{ matches: [{ path: { type: 'RegularExpression', value } }], backendRefs: [{ name: 'old', port: 80 }] }];
  const cases: [string, ReturnType<typeof plan>, Partial<ReturnType<typeof plan>>][] = [
    ['nothing wrong', plan([web], { rules }), { route: [], listener: [], routes: [served], gateway: fine }],
    ['another namespace', plan([web], { rules }, { namespace: 'team' }), { route: ['Accepted: NotAllowedByListeners', 'ResolvedRefs: BackendNotFound'], routes: [], gateway: fine }],
    ['a namespace that is selected', plan([blue('blue')], { rules: elsewhere }, { namespace: 'team', grants: [grant('team')] }), { route: [], routes: [served] }],
    ['a namespace that is not selected', plan([blue('red')], { rules: elsewhere }, { namespace: 'team', grants: [grant('team')] }), { route: ['Accepted: NotAllowedByListeners'], routes: [] }],
    ['no grant', plan([all], { rules: elsewhere }, { namespace: 'team' }), { route: ['ResolvedRefs: RefNotPermitted'], routes: ['80 * Prefix / → lost×1'] }],
    ['a grant for another namespace', plan([all], { rules: elsewhere }, { namespace: 'team', grants: [grant('other')] }), { route: ['ResolvedRefs: RefNotPermitted'] }],
    ['a grant for another name', plan([all], { rules: elsewhere }, { namespace: 'team', grants: [grant('team', 'new')] }), { route: ['ResolvedRefs: RefNotPermitted'] }],
    ['a grant by name', plan([all], { rules: elsewhere }, { namespace: 'team', grants: [grant('team', 'old')] }), { route: [], routes: [served] }],
    ['no such listener', plan([web], { parentRefs: [{ name: 'front', sectionName: 'other' }], rules }), { route: ['Accepted: NoMatchingParent'], routes: [] }],
    ['another port', plan([web], { parentRefs: [{ name: 'front', port: 81 }], rules }), { route: ['Accepted: NoMatchingParent'], routes: [] }],
    ['kinds that are not known', plan([{ ...web, allowedRoutes: { kinds: [{ kind: 'TLSRoute' }] } }], { rules }), { listener: ['ResolvedRefs: InvalidRouteKinds', 'Programmed: Invalid'], route: ['Accepted: NotAllowedByListeners'], gateway: none }],
    ['kinds of which one is known', plan([{ ...web, allowedRoutes: { kinds: [{ kind: 'TLSRoute' }, { kind: 'HTTPRoute' }] } }], { rules }), { listener: ['ResolvedRefs: InvalidRouteKinds'], route: [], routes: [served], gateway: partly }],
    ['no common host', plan([{ ...web, hostname: 'a.example' }], { hostnames: ['b.example'], rules }), { route: ['Accepted: NoMatchingListenerHostname'] }],
    ['the narrower host', plan([{ ...web, hostname: '*.example' }], { hostnames: ['b.example'], rules }), { routes: ['80 b.example Prefix / → shop/old:80×1'] }],
    ['no such service', plan([web], { rules: [{ backendRefs: [{ name: 'none', port: 80 }] }] }), { route: ['ResolvedRefs: BackendNotFound'], routes: ['80 * Prefix / → lost×1'] }],
    ['not a Service', plan([web], { rules: [{ backendRefs: [{ kind: 'Bucket', name: 'old' }, { name: 'new', port: 80, weight: 3 }] }] }), { route: ['ResolvedRefs: InvalidKind'], routes: ['80 * Prefix / → shop/new:80×3 lost×1'] }],
    ['two versions of HTTP', plan([web], { rules: [{ backendRefs: [{ name: 'old', port: 80 }, { name: 'grpc', port: 80 }] }] }), { route: ['ResolvedRefs: UnsupportedProtocol'] }],
    ['no certificate', plan([tls({ name: 'none' })], { rules }), { listener: ['ResolvedRefs: InvalidCertificateRef', 'Programmed: Invalid'], routes: [], gateway: none }],
    ['a certificate of another namespace', plan([tls({ name: 'none', namespace: 'other' })], { rules }), { listener: ['ResolvedRefs: RefNotPermitted', 'Programmed: Invalid'] }],
    ['a taken port', plan([web], { rules }, { portProblem: 'taken' }), { listener: ['Accepted: PortUnavailable', 'Programmed: Invalid'], routes: [], gateway: none }],
    ['two protocols', plan([web, { ...tls({ name: 'none' }), name: 'tls' }], { rules }), { listener: ['Accepted: ProtocolConflict', 'Conflicted: ProtocolConflict', 'Programmed: Invalid'], routes: [] }],
    ['twice the same host', plan([web, { ...web, name: 'again' }], { rules }), { listener: ['Accepted: HostnameConflict', 'Conflicted: HostnameConflict', 'Programmed: Invalid'] }],
    ['a pattern that is none', plan([web], { rules: pattern('/(') }), { route: ['Accepted: UnsupportedValue'], routes: [] }],
    ['a pattern', plan([web], { rules: pattern('/v[12]/.*') }), { route: [], routes: ['80 * Pattern /v[12]/.* → shop/old:80×1'] }],
  ];
  for (const [what, actual, expected] of cases) assert.deepEqual({ ...actual, ...expected }, actual, what);
});

test('hostsOf() leaves to each listener what is its own', () => {
  const cases: [wanted: string[], own: string | undefined, more: string[], expected: (string | undefined)[] | undefined][] = [
    [[], undefined, ['a.example'], [undefined]],
    [['a.example', 'b.example'], undefined, ['a.example'], ['b.example']],
    [['a.example'], '*.example', ['*.example', 'a.example'], undefined],
    [['*.example'], 'a.example', ['*.example', 'a.example'], ['a.example']],
    [[], '*.example', ['*.example', '*.b.example'], ['*.example']],
    [['x.b.example'], '*.example', ['*.b.example'], undefined],
    [['example'], '*.example', [], undefined],
  ];
  for (const [wanted, own, more, expected] of cases) assert.deepEqual(hostsOf(wanted, own, more), expected, `${wanted.join()} of ${own ?? '*'} beside ${more.join()}`);
});

test('patternProblem() takes what every engine reads the same way', () => {
  const good = ['/v[0-9]+/.*', '(?:a|b)c?', '\\d{1,3}\\.x', '[^/]+', 'a\\/b'];
  const bad = ['(', '(?=a)', '(?<n>a)', '(a)\\1', '\\p{L}', '[]a]', '[^]', 'a{2000}', '(a+)+', '(a*)*', 'a{', '[[:alpha:]]', '\\x41'];
  assert.deepEqual(good.filter((text) => patternProblem(text) !== undefined), []);
  assert.deepEqual(bad.filter((text) => patternProblem(text) === undefined), []);
});

test('mergeListeners() joins what shares a port and a protocol', () => {
  const route = (key: string) => ({ key, path: { type: 'Prefix' as const, value: '/' }, targets: [] });
  const merged = mergeListeners([{ port: 80, routes: [route('a')] }], [{ port: 80, routes: [route('b')] }, { port: 81, routes: [route('c')] }]);
  assert.deepEqual(merged.map(({ port, routes }) => [port, routes.map(({ key }) => key)]), [[80, ['a', 'b']], [81, ['c']]]);
});

test('timeoutMs() reads durations', () => {
  assert.deepEqual(['10s', '1m30s', '500ms', '0s', undefined].map(timeoutMs), [10_000, 90_000, 500, undefined, undefined]);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { gatewayApi, k8s, Stored } from '../../api/mod.ts';
import { EndpointView } from './endpoints.ts';
import { timeoutMs } from './gateway-filters.ts';
import { gatewayController, planGateways } from './gateway-plan.ts';
import { mergeListeners } from './model.ts';

const meta = (name: string, namespace = 'shop') => ({ name, namespace, uid: name, resourceVersion: '1', generation: 1, creationTimestamp: '2030-01-01T00:00:00Z' });
const services: Stored<k8s.Service>[] = ['old', 'new'].map((name) => ({ metadata: meta(name), spec: { ports: [{ port: 80, protocol: 'TCP' }] } }));
const classes: Stored<gatewayApi.GatewayClass>[] = [{ metadata: meta('haproxy'), spec: { controllerName: gatewayController } }];

function plan(listeners: gatewayApi.GatewayListener[], spec: gatewayApi.HTTPRouteSpec, namespace = 'shop') {
  const gateways: Stored<gatewayApi.Gateway>[] = [{ metadata: meta('front'), spec: { gatewayClassName: 'haproxy', listeners } }];
  const routes: Stored<gatewayApi.HTTPRoute>[] = [{ metadata: meta('route', namespace), spec: { parentRefs: [{ name: 'front', namespace: 'shop' }], ...spec } }];
  const result = planGateways({ classes, gateways, routes, endpoints: new EndpointView(services, []), secret: () => undefined, addresses: ['192.0.2.1'], now: '2030-01-01T00:00:00Z' });
  const told = (conditions: readonly k8s.Condition[] | undefined): string[] => (conditions ?? []).filter(({ status }) => status !== 'True').map(({ type, reason }) => `${type}: ${reason}`);
  return {
    routes: result.listeners.flatMap(({ port, routes: own }) => own.map(({ host = '*', path, method, targets }) => `${port} ${host} ${method ?? ''} ${path.type} ${path.value} → ${targets.map(({ service, weight }) => `${service}×${weight}`).join(' ')}`.replaceAll(/ +/g, ' '))),
    route: told(result.routeStatuses[0]?.status.parents[0]?.conditions),
    listener: told(result.gatewayStatuses[0]?.status.listeners?.[0]?.conditions),
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
  const cases: [string, ReturnType<typeof plan>, Partial<ReturnType<typeof plan>>][] = [
    ['another namespace', plan([web], { rules }, 'elsewhere'), { route: ['Accepted: NotAllowedByListeners'] }],
    ['no common host', plan([{ ...web, hostname: 'a.example' }], { hostnames: ['b.example'], rules }), { route: ['Accepted: NoMatchingListenerHostname'] }],
    ['the narrower host', plan([{ ...web, hostname: '*.example' }], { hostnames: ['b.example'], rules }), { routes: ['80 b.example Prefix / → shop/old:80×1'] }],
    ['no such service', plan([web], { rules: [{ backendRefs: [{ name: 'none', port: 80 }] }] }), { route: ['ResolvedRefs: BackendNotFound'], routes: ['80 * Prefix / → '] }],
    ['no certificate', plan([{ ...web, protocol: 'HTTPS', tls: { certificateRefs: [{ name: 'none' }] } }], { rules }), { listener: ['ResolvedRefs: InvalidCertificateRef', 'Programmed: Invalid'], routes: [] }],
  ];
  for (const [what, actual, expected] of cases) assert.deepEqual({ ...actual, ...expected }, actual, what);
});

test('mergeListeners() joins what shares a port and a protocol', () => {
  const route = (key: string) => ({ key, path: { type: 'Prefix' as const, value: '/' }, targets: [] });
  const merged = mergeListeners([{ port: 80, routes: [route('a')] }], [{ port: 80, routes: [route('b')] }, { port: 81, routes: [route('c')] }]);
  assert.deepEqual(merged.map(({ port, routes }) => [port, routes.map(({ key }) => key)]), [[80, ['a', 'b']], [81, ['c']]]);
});

test('timeoutMs() reads durations', () => {
  assert.deepEqual(['10s', '1m30s', '500ms', '0s', undefined].map(timeoutMs), [10_000, 90_000, 500, undefined, undefined]);
});

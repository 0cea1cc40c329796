import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type k8s, proxyController, type Stored } from '../../api/mod.ts';
import { EndpointView } from './endpoints.ts';
import { renderHaproxy } from './haproxy-config.ts';
import { planIngresses } from './ingress-plan.ts';
import { type HttpRoute, inMatchOrder } from './model.ts';

const meta = (name: string, more: object = {}) => ({ name, namespace: 'shop', uid: name, resourceVersion: '1', creationTimestamp: '2030-01-01T00:00:00Z', ...more });
const classes: Stored<k8s.IngressClass>[] = [{ metadata: meta('haproxy'), spec: { controller: proxyController } }];
const services: Stored<k8s.Service>[] = [{ metadata: meta('web'), spec: { ports: [{ name: 'http', port: 80, protocol: 'TCP' }] } }];
const slices: Stored<k8s.EndpointSlice>[] = [
  { metadata: meta('web-1', { labels: { 'kubernetes.io/service-name': 'web' } }), addressType: 'IPv4', ports: [{ name: 'http', port: 8080, protocol: 'TCP' }], endpoints: ['10.1.0.6', '10.1.0.5'].map((address) => ({ addresses: [address], conditions: { ready: true } })) },
];
const backend = { service: { name: 'web', port: { number: 80 } } };

function ingressOf(name: string, spec: k8s.IngressSpec, more: object = {}): Stored<k8s.Ingress> {
  return { metadata: meta(name, more), spec: { ingressClassName: 'haproxy', ...spec } };
}

function plan(...ingresses: Stored<k8s.Ingress>[]) {
  return planIngresses({ ingresses, classes, endpoints: new EndpointView(services, slices), secret: () => undefined, ports: { http: 80, https: 443 }, portProblem: () => undefined });
}

test('planIngresses() turns rules into routes and says what is wrong with the rest', () => {
  const rule = (host: string, path: string, pathType = 'Prefix', to: k8s.IngressBackend = backend): k8s.IngressRule => ({ host, http: { paths: [{ path, pathType, backend: to }] } });
  const { listeners, problems } = plan(
    ingressOf('young', { rules: [rule('a.example', '/')] }, { creationTimestamp: '2031-01-01T00:00:00Z' }),
    ingressOf('old', { rules: [rule('a.example', '/'), rule('A.example', '/api/'), rule('*.example', '/x', 'Exact')], tls: [{ hosts: ['a.example'], secretName: 'cert' }] }),
    ingressOf('broken', { rules: [rule('b.example', '/', 'Prefix', { service: { name: 'none', port: { number: 80 } } })] }),
    ingressOf('noted', { rules: [rule('n.example', '/')] }, { creationTimestamp: '2032-01-01T00:00:00Z', annotations: { 'nginx.ingress.kubernetes.io/rewrite-target': '/', 'kubernetes.io/ingress.class': 'haproxy', 'example.com/ingress': 'x' } }),
    ingressOf('foreign', { ingressClassName: 'other', rules: [rule('c.example', '/')] }),
    ingressOf('rest', { defaultBackend: { service: { name: 'web', port: { name: 'http' } } } }),
  );
  assert.deepEqual(listeners.map(({ port }) => port), [80]);
  assert.deepEqual(listeners[0]?.routes.map(({ host = '*', path, targets }) => `${host} ${path.type} ${path.value} → ${targets[0]?.endpoints.map(({ address, port }) => `${address}:${port}`).join() ?? 'nobody'}`), [
    'a.example Prefix /api → 10.1.0.5:8080,10.1.0.6:8080',
    'b.example Prefix / → nobody',
    'a.example Prefix / → 10.1.0.5:8080,10.1.0.6:8080',
    'n.example Prefix / → 10.1.0.5:8080,10.1.0.6:8080',
    '*.example Exact /x → 10.1.0.5:8080,10.1.0.6:8080',
    '* Prefix / → 10.1.0.5:8080,10.1.0.6:8080',
  ]);
  assert.deepEqual(problems.map(({ ingress, message }) => `${ingress.metadata.name}: ${message}`), ['broken: service none or its port 80 does not exist', 'old: secret shop/cert does not exist', 'young: a.example Prefix / belongs to an older Ingress', "noted: annotation nginx.ingress.kubernetes.io/rewrite-target has no effect: it is another controller's"]);
});

test('inMatchOrder() tries the more exact first', () => {
  const route = (host: string | undefined, type: 'Exact' | 'Prefix', value: string, more: Partial<HttpRoute> = {}): HttpRoute => ({ key: '', ...(host === undefined ? {} : { host }), path: { type, value }, targets: [], ...more });
  const shuffled = [route(undefined, 'Prefix', '/'), route('*.a', 'Exact', '/x'), route('b.a', 'Prefix', '/'), route('b.a', 'Prefix', '/long'), route('b.a', 'Exact', '/'), route('*.c.a', 'Prefix', '/'), route('b.a', 'Prefix', '/', { method: 'GET' })];
  assert.deepEqual(inMatchOrder(shuffled).map(({ host = '*', path, method = '' }) => `${host} ${path.type} ${path.value} ${method}`.trim()), ['b.a Exact /', 'b.a Prefix /long', 'b.a Prefix / GET', 'b.a Prefix /', '*.c.a Prefix /', '*.a Exact /x', '* Prefix /']);
});

test('renderHaproxy() keeps its structure while endpoints come and go', () => {
  const target = (...addresses: string[]) => ({ service: 's', weight: 1, endpoints: addresses.map((address) => ({ address, port: 80 })) });
  const render = (addresses: string[], before = new Map<string, number>()) => renderHaproxy({ listeners: [{ port: 80, routes: [{ key: 'k', path: { type: 'Prefix', value: '/' }, targets: [target(...addresses)] }] }] }, { folder: '/f', address: '*' }, before);
  const one = render(['10.0.0.1']);
  const three = render(['10.0.0.1', '10.0.0.2', '10.0.0.3']);
  assert.equal(one.structure, three.structure);
  assert.notEqual(one.text, three.text);
  const five = render(['1', '2', '3', '4', '5'].map((end) => `10.0.0.${end}`));
  assert.notEqual(five.structure, one.structure);
  const kept = render(['10.0.0.1'], new Map(five.backends.map(({ name, slots }) => [name, slots])));
  assert.equal(kept.structure, five.structure, 'a backend never shrinks');
});

test('renderHaproxy() shares by weight', () => {
  const target = (weight: number, ...addresses: string[]) => ({ service: 's', weight, endpoints: addresses.map((address) => ({ address, port: 80 })) });
  const weights = (...targets: ReturnType<typeof target>[]) => renderHaproxy({ listeners: [{ port: 80, routes: [{ key: 'k', path: { type: 'Prefix', value: '/' }, targets }] }] }, { folder: '/f', address: '*' }, new Map()).backends[0]?.servers.map(({ weight }) => weight);
  assert.deepEqual(weights(target(1, 'a', 'b')), [1, 1]);
  assert.deepEqual(weights(target(90, 'a', 'b'), target(10, 'c')), [256, 256, 57]);
  assert.deepEqual(weights(target(1, 'a'), target(0, 'b')), [1]);
});

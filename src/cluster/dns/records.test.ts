import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { k8s, Stored } from '../../api/mod.ts';
import { type ClusterNames, lookup } from './records.ts';

const meta = (namespace: string, name: string) => ({ namespace, name, uid: name, resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' });
const service = (name: string, spec: k8s.ServiceSpec): Stored<k8s.Service> => ({ metadata: meta('shop', name), spec });
const slice: Stored<k8s.EndpointSlice> = {
  metadata: { ...meta('shop', 'db-1'), labels: { 'kubernetes.io/service-name': 'db' } },
  addressType: 'IPv4',
  ports: [{ name: 'sql', port: 5432, protocol: 'TCP' }],
  endpoints: [
    { addresses: ['10.1.0.5'], hostname: 'db-0', conditions: { ready: true } },
    { addresses: ['10.1.0.6'], conditions: { ready: true } },
    { addresses: ['10.1.0.7'], hostname: 'db-2', conditions: { ready: false } },
  ],
};
const services = [
  service('web', { clusterIP: '10.2.0.9', clusterIPs: ['10.2.0.9'], ports: [{ name: 'http', port: 80, protocol: 'TCP' }] }),
  service('db', { clusterIP: 'None', clusterIPs: ['None'], ports: [{ name: 'sql', port: 5432 }] }),
  service('early', { clusterIP: 'None', publishNotReadyAddresses: true }),
  service('elsewhere', { type: 'ExternalName', externalName: 'db.example.org' }),
];
const names: ClusterNames = {
  service: (namespace, name) => (namespace === 'shop' ? services.find(({ metadata }) => metadata.name === name) : undefined),
  slicesOf: (_, name) => (name === 'db' || name === 'early' ? [slice] : []),
  slicesOfAddress: (ip) => (slice.endpoints?.some(({ addresses }) => addresses.includes(ip)) === true ? [slice] : []),
  hasNamespace: (name) => name === 'shop',
  serviceOfAddress: (ip) => (ip === '10.2.0.9' ? services[0] : undefined),
};

/** The answer in short: `forward`, `missing`, or the records' data. */
function ask(name: string, type: string): unknown {
  const result = lookup(names, 'cluster.local', name, type);
  if (result.kind !== 'found') return result.kind;
  return result.records.map(({ data }) => (typeof data === 'string' ? data : `${data.port} ${data.target}`));
}

test('lookup() answers as the Kubernetes DNS specification says', () => {
  const cases: [string, string, unknown][] = [
    ['web.shop.svc.cluster.local', 'A', ['10.2.0.9']],
    ['WEB.shop.SVC.cluster.local', 'A', ['10.2.0.9']],
    ['web.shop.svc.cluster.local', 'AAAA', []],
    ['web.shop.svc.cluster.local', 'TXT', []],
    ['shop.svc.cluster.local', 'A', []],
    ['nobody.shop.svc.cluster.local', 'A', 'missing'],
    ['web.other.svc.cluster.local', 'A', 'missing'],
    ['x.web.shop.svc.cluster.local', 'A', 'missing'],
    ['db.shop.svc.cluster.local', 'A', ['10.1.0.5', '10.1.0.6']],
    ['early.shop.svc.cluster.local', 'A', ['10.1.0.5', '10.1.0.6', '10.1.0.7']],
    ['db-0.db.shop.svc.cluster.local', 'A', ['10.1.0.5']],
    ['10-1-0-6.db.shop.svc.cluster.local', 'A', ['10.1.0.6']],
    ['db-2.db.shop.svc.cluster.local', 'A', 'missing'],
    ['_http._tcp.web.shop.svc.cluster.local', 'SRV', ['80 web.shop.svc.cluster.local']],
    ['_http._udp.web.shop.svc.cluster.local', 'SRV', 'missing'],
    ['_sql._tcp.db.shop.svc.cluster.local', 'SRV', ['5432 db-0.db.shop.svc.cluster.local', '5432 10-1-0-6.db.shop.svc.cluster.local']],
    ['elsewhere.shop.svc.cluster.local', 'A', ['db.example.org']],
    ['10-1-0-5.shop.pod.cluster.local', 'A', ['10.1.0.5']],
    ['not-an-address.shop.pod.cluster.local', 'A', 'missing'],
    ['dns-version.cluster.local', 'TXT', ['1.1.0']],
    ['cluster.local', 'A', []],
    ['nonsense.cluster.local', 'A', 'missing'],
    ['9.0.2.10.in-addr.arpa', 'PTR', ['web.shop.svc.cluster.local']],
    ['5.0.1.10.in-addr.arpa', 'PTR', ['db-0.db.shop.svc.cluster.local']],
    ['6.0.1.10.in-addr.arpa', 'PTR', ['10-1-0-6.db.shop.svc.cluster.local']],
    ['7.0.1.10.in-addr.arpa', 'PTR', 'forward'],
    ['svc.cluster.local', 'A', []],
    ['pod.cluster.local', 'A', []],
    ['shop.pod.cluster.local', 'A', []],
    ['other.pod.cluster.local', 'A', 'missing'],
    ['_tcp.web.shop.svc.cluster.local', 'SRV', []],
    ['_udp.web.shop.svc.cluster.local', 'SRV', 'missing'],
    ['_tcp.db.shop.svc.cluster.local', 'A', []],
    ['example.org', 'A', 'forward'],
    ['notcluster.local', 'A', 'forward'],
  ];
  for (const [name, type, answer] of cases) assert.deepEqual(ask(name, type), answer, `${type} ${name}`);
});

test('lookup() sends the addresses of SRV targets along', () => {
  const result = lookup(names, 'cluster.local', '_sql._tcp.db.shop.svc.cluster.local', 'SRV');
  assert.deepEqual(result.kind === 'found' && result.additional.map(({ name, data }) => [name, data]), [
    ['db-0.db.shop.svc.cluster.local', '10.1.0.5'],
    ['10-1-0-6.db.shop.svc.cluster.local', '10.1.0.6'],
  ]);
});

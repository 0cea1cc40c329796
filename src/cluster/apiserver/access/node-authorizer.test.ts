import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gatewayDefinitions } from '../../../api/mod.ts';
import { apiCaller, patchHeaders } from '../testing/api-caller.ts';
import { openTestApiServer, testToken } from '../testing/test-api-server.ts';
import { TokenAuthenticator } from './authenticators.ts';
import { authenticated, systemMasters } from './user.ts';

const users = [
  { token: testToken, user: authenticated('admin', '', [systemMasters]) },
  { token: 'n1', user: authenticated('system:node:n1', '', ['system:nodes']) },
];
const asNode = { authorization: 'Bearer n1' };
const core = '/api/v1/namespaces/default';
const gatewayApi = '/apis/gateway.networking.k8s.io/v1';
const networking = '/apis/networking.k8s.io/v1';
const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';

const pod = (name: string, nodeName: string, serviceAccountName = 'default'): object => ({ metadata: { name, labels: { a: 'b' } }, spec: { nodeName, serviceAccountName, containers: [{ name: 'c', image: 'i' }] } });
const volume = (name: string, node: string): object => ({
  metadata: { name },
  spec: { accessModes: ['ReadWriteOnce'], capacity: { storage: '1Gi' }, local: { path: '/v' }, nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [node] }] }] } } },
});

/** Method, path, body and whether an agent of node n1 may. `false`: refused by what it asks, with 403. */
const requests: readonly (readonly [method: string, path: string, body: object | undefined, isAllowed: boolean])[] = [
  // Reads.
  ['GET', `${core}/pods`, undefined, true],
  ['GET', `${core}/pods/other`, undefined, true],
  ['GET', `${core}/secrets`, undefined, true],
  ['GET', `${core}/pods/other/log`, undefined, false],
  ['GET', `${core}/pods/own/exec?command=id`, undefined, false],
  ['GET', '/apis/apps/v1/deployments', undefined, false],
  ['GET', '/apis/rbac.authorization.k8s.io/v1/clusterroles', undefined, false],
  // Pods.
  ['POST', `${core}/pods`, pod('new', 'n1'), false],
  ['PATCH', `${core}/pods/own`, { metadata: { labels: { x: 'y' } } }, false],
  ['PATCH', `${core}/pods/own/status`, { status: { phase: 'Running' } }, true],
  ['PATCH', `${core}/pods/own/status`, { metadata: { labels: { x: 'y' } }, status: { phase: 'Running' } }, false],
  ['PATCH', `${core}/pods/own/status`, { metadata: { annotations: { x: 'y' } } }, false],
  ['PATCH', `${core}/pods/other/status`, { status: { phase: 'Running' } }, false],
  ['POST', `${core}/pods/other/eviction`, { metadata: { name: 'other' } }, false],
  ['POST', `${core}/pods/own/binding`, { target: { name: 'n1' } }, false],
  ['DELETE', `${core}/pods/other`, undefined, false],
  ['DELETE', `${core}/pods`, undefined, false],
  ['DELETE', `${core}/pods/own`, undefined, true],
  // Nodes and leases.
  ['POST', '/api/v1/nodes', { metadata: { name: 'n3' } }, false],
  ['PATCH', '/api/v1/nodes/n1', { metadata: { labels: { zone: 'a' } } }, true],
  ['PATCH', '/api/v1/nodes/n1', { metadata: { labels: { 'node-restriction.kubernetes.io/secure': 'yes' } } }, false],
  ['PATCH', '/api/v1/nodes/n1', { spec: { taints: [{ key: 'a', effect: 'NoSchedule' }] } }, false],
  ['PATCH', '/api/v1/nodes/n2', { metadata: { labels: { zone: 'a' } } }, false],
  ['PATCH', '/api/v1/nodes/n1/status', { status: { capacity: { cpu: '1' } } }, true],
  ['PATCH', '/api/v1/nodes/n2/status', { status: { capacity: { cpu: '1' } } }, false],
  ['DELETE', '/api/v1/nodes/n1', undefined, false],
  ['POST', leases, { metadata: { name: 'n1' } }, true],
  ['POST', leases, { metadata: { name: 'n2' } }, false],
  ['PATCH', `${leases}/n1`, { spec: { holderIdentity: 'n1' } }, true],
  ['DELETE', leases, undefined, false],
  ['POST', '/api/v1/namespaces', { metadata: { name: 'mine' } }, false],
  // Volumes.
  ['POST', '/api/v1/persistentvolumes', volume('v1', 'n1'), true],
  ['POST', '/api/v1/persistentvolumes', volume('v2', 'n2'), false],
  ['PATCH', '/api/v1/persistentvolumes/theirs', { metadata: { labels: { a: 'b' } } }, false],
  ['DELETE', '/api/v1/persistentvolumes/theirs', undefined, false],
  ['DELETE', '/api/v1/persistentvolumes/v1', undefined, true],
  ['DELETE', '/api/v1/persistentvolumes', undefined, false],
  // What its proxy serves.
  ['PATCH', `${networking}/namespaces/default/ingresses/ours/status`, { status: { loadBalancer: {} } }, true],
  ['PATCH', `${networking}/namespaces/default/ingresses/theirs/status`, { status: { loadBalancer: {} } }, false],
  ['PATCH', `${networking}/namespaces/default/ingresses/ours`, { metadata: { labels: { a: 'b' } } }, false],
  ['PATCH', `${gatewayApi}/gatewayclasses/ours/status`, { status: {} }, true],
  ['PATCH', `${gatewayApi}/gatewayclasses/theirs/status`, { status: {} }, false],
  ['PATCH', `${gatewayApi}/namespaces/default/gateways/ours/status`, { status: {} }, true],
  ['PATCH', `${gatewayApi}/namespaces/default/gateways/theirs/status`, { status: {} }, false],
  ['PATCH', `${gatewayApi}/namespaces/default/httproutes/ours/status`, { status: { parents: [] } }, true],
  ['PATCH', `${gatewayApi}/namespaces/default/httproutes/theirs/status`, { status: { parents: [] } }, false],
  // Tokens and events.
  ['POST', `${core}/serviceaccounts/default/token`, { spec: { boundObjectRef: { kind: 'Pod', name: 'stays' } } }, true],
  ['POST', `${core}/serviceaccounts/default/token`, {}, false],
  ['POST', `${core}/serviceaccounts/default/token`, { spec: { boundObjectRef: { kind: 'Pod', name: 'other-default' } } }, false],
  ['POST', `${core}/serviceaccounts/robot/token`, { spec: { boundObjectRef: { kind: 'Pod', name: 'other' } } }, false],
  ['POST', `${core}/events`, { metadata: { name: 'e' }, involvedObject: { namespace: 'default' } }, true],
  ['DELETE', `${core}/events/e`, undefined, false],
  ['POST', `${core}/secrets`, { metadata: { name: 's' } }, false],
  ['POST', `${core}/configmaps`, { metadata: { name: 's' } }, false],
];

test('an agent may, verb by verb, what its node needs and nothing of another', async () => {
  await using server = await openTestApiServer({ authenticators: [new TokenAuthenticator(users)] });
  const call = apiCaller(server);
  const make = async (path: string, ...objects: object[]): Promise<void> => {
    for (const object of objects) {
      const { code, text } = await call('POST', path, object);
      assert.equal(code, 201, text);
    }
  };
  await make('/api/v1/nodes', { metadata: { name: 'n1' } }, { metadata: { name: 'n2' } });
  await make(`${core}/serviceaccounts`, { metadata: { name: 'default' } }, { metadata: { name: 'robot' } });
  await make(`${core}/pods`, pod('own', 'n1'), pod('stays', 'n1'), pod('other', 'n2', 'robot'), pod('other-default', 'n2'));
  await make('/api/v1/persistentvolumes', volume('theirs', 'n2'));
  await make('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', ...gatewayDefinitions);
  await make(`${networking}/ingressclasses`, { metadata: { name: 'foreign' }, spec: { controller: 'example.com/other' } });
  const backend = { service: { name: 's', port: { number: 80 } } };
  await make(`${networking}/namespaces/default/ingresses`, { metadata: { name: 'ours' }, spec: { ingressClassName: 'haproxy', defaultBackend: backend } }, { metadata: { name: 'theirs' }, spec: { ingressClassName: 'foreign', defaultBackend: backend } });
  await make(`${gatewayApi}/gatewayclasses`, { metadata: { name: 'ours' }, spec: { controllerName: 'gantry.dev/haproxy' } }, { metadata: { name: 'theirs' }, spec: { controllerName: 'example.com/other' } });
  for (const name of ['ours', 'theirs']) {
    await make(`${gatewayApi}/namespaces/default/gateways`, { metadata: { name }, spec: { gatewayClassName: name, listeners: [{ name: 'http', port: 80, protocol: 'HTTP' }] } });
    await make(`${gatewayApi}/namespaces/default/httproutes`, { metadata: { name }, spec: { parentRefs: [{ name }] } });
  }
  for (const [method, path, body, isAllowed] of requests) {
    const { code, text } = await call(method, path, body, { ...asNode, ...(method === 'PATCH' ? patchHeaders.merge : {}) });
    assert.equal(code !== 403, isAllowed, `${method} ${path} ${JSON.stringify(body)}: ${code} ${text}`);
    if (isAllowed) assert.ok(code < 400, `${method} ${path}: ${code} ${text}`);
  }
});

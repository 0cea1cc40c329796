import { proxyController, resources } from '../../api/mod.ts';
import { GantryError } from '../../kernel/mod.ts';
import { defaultClusterRoleBindings, defaultClusterRoles, type InitialObject } from './access/rbac/default-roles.ts';
import { type Kind, objectKey } from './kinds/kind.ts';
import { localProvisioner } from './kinds/storage-class.ts';
import { ensureObject } from './operations/create.ts';
import type { Machine } from './operations/machine.ts';

/** Namespaces that exist from the start. */
const initialNamespaces = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];

/** Claims that name no class get this one: a folder on the node where the claim is first used. */
const defaultStorageClass: InitialObject = {
  metadata: { name: 'local', annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } },
  provisioner: localProvisioner,
  reclaimPolicy: 'Delete',
  volumeBindingMode: 'WaitForFirstConsumer',
};

/** Ingresses that name no class are served by this node's HAProxy. */
const defaultIngressClass: InitialObject = { metadata: { name: 'haproxy', annotations: { 'ingressclass.kubernetes.io/is-default-class': 'true' } }, spec: { controller: proxyController } };

/** Where pods reach the API server. */
export interface AdvertisedAddress { readonly address: string; readonly port: number }

/** Creates what every cluster has and this one lacks: namespaces, and the Service by which pods find the API. */
export async function createInitialObjects(machine: Machine, serverAddress: string, advertised: AdvertisedAddress | undefined): Promise<void> {
  // Side by side, so that they share a transaction.
  await Promise.all([
    ...initialNamespaces.map((name) => ensure(machine, resources.namespaces, '', { metadata: { name } })),
    ensure(machine, resources.storageClasses, '', structuredClone(defaultStorageClass)),
    ensure(machine, resources.ingressClasses, '', structuredClone(defaultIngressClass)),
    ...defaultClusterRoles.map((role) => ensure(machine, resources.clusterRoles, '', structuredClone(role))),
    ...defaultClusterRoleBindings.map((binding) => ensure(machine, resources.clusterRoleBindings, '', structuredClone(binding))),
  ]);
  const metadata = { name: 'kubernetes', labels: { component: 'apiserver', provider: 'kubernetes' } };
  const port = { name: 'https', port: 443, protocol: 'TCP', targetPort: advertised?.port ?? 6443 };
  await ensure(machine, resources.services, 'default', { metadata, spec: { type: 'ClusterIP', clusterIP: serverAddress, ports: [port] } });
  if (advertised === undefined) return;
  await ensure(machine, resources.endpointSlices, 'default', {
    metadata: { name: 'kubernetes', labels: { 'kubernetes.io/service-name': 'kubernetes' } },
    addressType: 'IPv4',
    endpoints: [{ addresses: [advertised.address], conditions: { ready: true } }],
    ports: [{ name: 'https', port: advertised.port, protocol: 'TCP' }],
  });
  await ensure(machine, resources.endpoints, 'default', {
    metadata: { name: 'kubernetes', labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' } },
    subsets: [{ addresses: [{ ip: advertised.address }], ports: [{ name: 'https', port: advertised.port, protocol: 'TCP' }] }],
  });
}

async function ensure(machine: Machine, type: { group: string; version: string; plural: string }, namespace: string, object: InitialObject): Promise<void> {
  const kind: Kind | undefined = machine.kinds.find(type.group, type.version, type.plural);
  if (kind === undefined) throw new GantryError('internal', `${type.plural} are not served`);
  if (machine.objects.get(objectKey(kind, namespace, object.metadata.name)) === undefined) await ensureObject(machine, kind, namespace, object);
}

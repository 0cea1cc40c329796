import { type BuiltinSchemas, resources } from '../../../api/mod.ts';
import { definitionStrategy } from '../custom/definition-strategy.ts';
import { buildKind, entry, type KindEntry } from './define.ts';
import type { Kind } from './kind.ts';
import { namespaceStrategy } from './namespace.ts';

const core = 'io.k8s.api.core.v1';
const apps = 'io.k8s.api.apps.v1';
const replicasScale = { specReplicas: ['spec', 'replicas'], statusReplicas: ['status', 'replicas'] };

/** The table of built-in kinds: adding one is adding an entry. */
export const builtinEntries: readonly KindEntry[] = [
  entry({ type: resources.namespaces, schemaPackage: core, shortNames: ['ns'], nameRule: 'label', strategy: namespaceStrategy, hasGeneration: false, columns: [{ name: 'Status', type: 'string', cell: ({ status }) => status?.phase ?? '' }] }),
  entry({ type: resources.nodes, schemaPackage: core, shortNames: ['no'], hasGeneration: false }),
  entry({ type: resources.pods, schemaPackage: core, shortNames: ['po'], categories: ['all'], selectableFields: { 'spec.nodeName': ({ spec }) => spec?.nodeName ?? '', 'status.phase': ({ status }) => status?.phase ?? '' } }),
  entry({ type: resources.services, schemaPackage: core, shortNames: ['svc'], categories: ['all'], nameRule: 'dns1035', hasGeneration: false }),
  entry({ type: resources.configMaps, schemaPackage: core, shortNames: ['cm'] }),
  entry({ type: resources.secrets, schemaPackage: core }),
  entry({ type: resources.serviceAccounts, schemaPackage: core, shortNames: ['sa'] }),
  entry({ type: resources.events, schemaPackage: core, shortNames: ['ev'] }),
  entry({ type: resources.deployments, schemaPackage: apps, shortNames: ['deploy'], categories: ['all'], scale: replicasScale }),
  entry({ type: resources.replicaSets, schemaPackage: apps, shortNames: ['rs'], categories: ['all'], scale: replicasScale }),
  entry({ type: resources.endpointSlices, schemaPackage: 'io.k8s.api.discovery.v1' }),
  entry({ type: resources.leases, schemaPackage: 'io.k8s.api.coordination.v1' }),
  entry({ type: resources.horizontalPodAutoscalers, schemaPackage: 'io.k8s.api.autoscaling.v2', shortNames: ['hpa'], categories: ['all'] }),
  entry({ type: resources.customResourceDefinitions, schemaPackage: 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1', shortNames: ['crd', 'crds'], categories: ['api-extensions'], strategy: definitionStrategy, columns: [{ name: 'Created At', type: 'date', cell: ({ metadata }) => metadata?.creationTimestamp ?? '' }] }),
];

/** All built-in kinds. */
export function builtinKinds(schemas: BuiltinSchemas): Kind[] {
  return builtinEntries.map((given) => buildKind(given, schemas));
}

import type { k8s, Stored } from '../../../api/mod.ts';

/** The instant at which tables of this layer play, and the same as a timestamp. */
export const testNowMs = Date.parse('2030-01-01T00:00:00Z');

/** A timestamp `seconds` before the tables' now. */
export function ago(seconds: number): string {
  return new Date(testNowMs - seconds * 1000).toISOString().replace(/\.\d+Z$/, 'Z');
}

export interface PodFields {
  name: string;
  labels?: Record<string, string>;
  owner?: { uid: string; kind?: string; name?: string };
  phase?: string;
  /** How long it has been ready; not ready when absent. */
  readySeconds?: number;
  ageSeconds?: number;
  node?: string;
  ip?: string;
  isDeleting?: boolean;
  restarts?: number;
  annotations?: Record<string, string>;
  containers?: k8s.Container[];
}

/** A stored pod, running on `node-1` unless said otherwise. */
export function podOf(fields: PodFields): Stored<k8s.Pod> {
  const { name, owner, phase = 'Running', readySeconds, ageSeconds = 1000, node = 'node-1', ip, isDeleting, restarts = 0 } = fields;
  const ready = { type: 'Ready', status: readySeconds === undefined ? 'False' : 'True', lastTransitionTime: ago(readySeconds ?? ageSeconds) };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: 'default',
      uid: `uid-${name}`,
      resourceVersion: '1',
      creationTimestamp: ago(ageSeconds),
      labels: fields.labels ?? { app: 'web' },
      ...(fields.annotations === undefined ? {} : { annotations: fields.annotations }),
      ...(owner === undefined ? {} : { ownerReferences: [{ apiVersion: 'apps/v1', kind: owner.kind ?? 'ReplicaSet', name: owner.name ?? 'rs', uid: owner.uid, controller: true, blockOwnerDeletion: true }] }),
      ...(isDeleting === true ? { deletionTimestamp: ago(1) } : {}),
    },
    spec: { containers: fields.containers ?? [{ name: 'app', image: 'app:1' }], ...(node === '' ? {} : { nodeName: node }) },
    status: { phase, startTime: ago(ageSeconds), conditions: [ready], ...(ip === undefined ? {} : { podIP: ip, podIPs: [{ ip }] }), containerStatuses: [{ name: 'app', image: 'app:1', imageID: '', ready: readySeconds !== undefined, restartCount: restarts }] },
  };
}

export interface ReplicaSetFields {
  name: string;
  image?: string;
  size: number;
  /** Default: as many as `size`. */
  available?: number;
  existing?: number;
  revision?: number;
  ageSeconds?: number;
  /** What the annotations say the last scaling aimed at. */
  desired?: number;
  max?: number;
}

/** A ReplicaSet of Deployment `web` with uid `uid-web`. */
export function replicaSetOf(fields: ReplicaSetFields): Stored<k8s.ReplicaSet> & { spec: k8s.ReplicaSetSpec } {
  const { name, image = 'app:1', size, existing = size, available = size, revision = 1, ageSeconds = 1000 } = fields;
  const labels = { app: 'web', 'pod-template-hash': name };
  return {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      name,
      namespace: 'default',
      uid: `uid-${name}`,
      resourceVersion: '1',
      generation: 1,
      creationTimestamp: ago(ageSeconds),
      labels,
      annotations: {
        'deployment.kubernetes.io/revision': String(revision),
        ...(fields.desired === undefined ? {} : { 'deployment.kubernetes.io/desired-replicas': String(fields.desired) }),
        ...(fields.max === undefined ? {} : { 'deployment.kubernetes.io/max-replicas': String(fields.max) }),
      },
      ownerReferences: [{ apiVersion: 'apps/v1', kind: 'Deployment', name: 'web', uid: 'uid-web', controller: true, blockOwnerDeletion: true }],
    },
    spec: { replicas: size, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [{ name: 'app', image }] } } },
    status: { replicas: existing, availableReplicas: available, readyReplicas: available, fullyLabeledReplicas: existing, observedGeneration: 1 },
  };
}

/** Deployment `web`. */
export function deploymentOf(spec: Partial<k8s.DeploymentSpec> & { image?: string } = {}, over: { status?: k8s.DeploymentStatus; annotations?: Record<string, string> } = {}): Stored<k8s.Deployment> & { spec: k8s.DeploymentSpec } {
  const { image = 'app:1', ...rest } = spec;
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace: 'default', uid: 'uid-web', resourceVersion: '1', generation: 1, creationTimestamp: ago(2000), annotations: over.annotations ?? {} },
    spec: { replicas: 3, selector: { matchLabels: { app: 'web' } }, template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'app', image }] } }, ...rest },
    ...(over.status === undefined ? {} : { status: over.status }),
  };
}

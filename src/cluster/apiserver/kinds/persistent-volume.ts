import { isDeepStrictEqual } from 'node:util';
import type { k8s } from '../../../api/mod.ts';
import type { FieldErrors } from '../validation/field-errors.ts';
import { nameProblem } from '../validation/names.ts';
import type { Strategy } from './kind.ts';
import { validateAccessModes, validateStorage } from './volume-claim.ts';

/** Keeps a volume that a claim is bound to; the controller takes it off. */
export const volumeProtection = 'kubernetes.io/pv-protection';

/** The sources that nodes can mount. */
const supportedSources = ['hostPath', 'local'] as const;
const ownFields: ReadonlySet<string> = new Set(['accessModes', 'capacity', 'claimRef', 'mountOptions', 'nodeAffinity', 'persistentVolumeReclaimPolicy', 'storageClassName', 'volumeAttributesClassName', 'volumeMode']);

/** PersistentVolumes. */
export const persistentVolumeStrategy: Strategy<k8s.PersistentVolume> = {
  defaults({ spec }) {
    if (spec === undefined) return;
    spec.persistentVolumeReclaimPolicy ??= 'Retain';
    spec.volumeMode ??= 'Filesystem';
    if (spec.hostPath !== undefined) spec.hostPath.type ??= '';
  },
  prepareCreate(volume) {
    const { metadata = {} } = volume;
    metadata.finalizers = [...new Set([...(metadata.finalizers ?? []), volumeProtection])];
    volume.status = { phase: 'Pending' };
  },
  validate({ spec }, errors) {
    if (spec === undefined) return errors.required('spec');
    validateAccessModes(spec.accessModes, 'spec.accessModes', errors);
    validateStorage(spec.capacity?.['storage'], 'spec.capacity[storage]', errors);
    validateSource(spec, errors);
    const policies = ['Delete', 'Retain'];
    if (!policies.includes(spec.persistentVolumeReclaimPolicy ?? '')) errors.unsupported('spec.persistentVolumeReclaimPolicy', spec.persistentVolumeReclaimPolicy, policies);
    if (!['Block', 'Filesystem'].includes(spec.volumeMode ?? '')) errors.unsupported('spec.volumeMode', spec.volumeMode, ['Block', 'Filesystem']);
    const problem = spec.storageClassName === undefined || spec.storageClassName === '' ? undefined : nameProblem('subdomain', spec.storageClassName);
    if (problem !== undefined) errors.invalid('spec.storageClassName', spec.storageClassName, problem);
    if (spec.local !== undefined && (spec.nodeAffinity?.required?.nodeSelectorTerms.length ?? 0) === 0) errors.required('spec.nodeAffinity', 'Local volume requires node affinity');
  },
  validateUpdate({ spec }, old, errors) {
    for (const source of supportedSources) if (!isDeepStrictEqual(spec?.[source], old.spec?.[source])) errors.forbidden(`spec.persistentvolumesource.${source}`, 'spec.persistentvolumesource is immutable after creation');
    if (old.spec?.nodeAffinity !== undefined && !isDeepStrictEqual(spec?.nodeAffinity, old.spec.nodeAffinity)) errors.invalid('spec.nodeAffinity', spec?.nodeAffinity ?? null, 'field is immutable');
  },
};

function validateSource(spec: k8s.PersistentVolumeSpec, errors: FieldErrors): void {
  const sources = Object.keys(spec).filter((field) => !ownFields.has(field));
  if (sources.length === 0) errors.required('spec', 'must specify a volume type');
  for (const extra of sources.slice(1)) errors.forbidden(`spec.${extra}`, 'may not specify more than 1 volume type');
  for (const source of supportedSources) {
    const path = spec[source]?.path;
    if (path === undefined) continue;
    if (path === '') errors.required(`spec.${source}.path`);
    else if (!path.startsWith('/')) errors.invalid(`spec.${source}.path`, path, 'must be an absolute path');
    else if (path.split('/').includes('..')) errors.invalid(`spec.${source}.path`, path, "must not contain '..'");
  }
}

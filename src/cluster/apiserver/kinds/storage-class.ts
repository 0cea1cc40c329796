import { isDeepStrictEqual } from 'node:util';
import type { k8s } from '../../../api/mod.ts';
import type { Strategy } from './kind.ts';

/** The provisioner whose volumes are folders on the node where they are first used. */
export const localProvisioner = 'gantry.dev/local';
const noProvisioner = 'kubernetes.io/no-provisioner';

/** StorageClasses. */
export const storageClassStrategy: Strategy<k8s.StorageClass> = {
  defaults(storageClass) {
    storageClass.reclaimPolicy ??= 'Delete';
    storageClass.volumeBindingMode ??= 'Immediate';
  },
  validate({ provisioner, reclaimPolicy, volumeBindingMode, parameters, mountOptions, allowVolumeExpansion }, errors) {
    if (provisioner === '') errors.required('provisioner');
    const policies = ['Delete', 'Retain'];
    if (!policies.includes(reclaimPolicy ?? '')) errors.unsupported('reclaimPolicy', reclaimPolicy, policies);
    const modes = ['Immediate', 'WaitForFirstConsumer'];
    if (!modes.includes(volumeBindingMode ?? '')) errors.unsupported('volumeBindingMode', volumeBindingMode, modes);
    if (provisioner !== localProvisioner) return;
    if (Object.keys(parameters ?? {}).length > 0) errors.forbidden('parameters', `${localProvisioner} has no parameters`);
    if ((mountOptions ?? []).length > 0) errors.forbidden('mountOptions', `${localProvisioner} has no mount options: volumes are folders`);
    if (allowVolumeExpansion === true) errors.forbidden('allowVolumeExpansion', `${localProvisioner} does not limit the size of volumes, so they cannot grow`);
  },
  validateUpdate(storageClass, old, errors) {
    for (const field of ['provisioner', 'reclaimPolicy', 'volumeBindingMode', 'parameters'] as const) if (!isDeepStrictEqual(storageClass[field], old[field])) errors.forbidden(field, 'updates to it are forbidden.');
  },
  warnings: ({ provisioner }) => (provisioner === localProvisioner || provisioner === noProvisioner ? [] : [`provisioner: nothing in this cluster provisions for ${JSON.stringify(provisioner)}; its volumes come when you run that provisioner here`]),
};

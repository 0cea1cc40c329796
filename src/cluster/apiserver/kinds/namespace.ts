import type { k8s } from '../../../api/mod.ts';
import { validatePolicyLabels } from '../pod-security/policy.ts';
import type { Strategy } from './kind.ts';

/** A namespace stays, held by its own finalizer, until the namespace controller has emptied it. */
export const namespaceStrategy: Strategy<k8s.Namespace> = {
  defaults(namespace) {
    const metadata = (namespace.metadata ??= {});
    if (metadata.name !== undefined && metadata.name !== '') metadata.labels = { ...metadata.labels, 'kubernetes.io/metadata.name': metadata.name };
  },
  prepareCreate(namespace) {
    namespace.spec = { finalizers: ['kubernetes'] };
    namespace.status = { phase: 'Active' };
  },
  validate: ({ metadata }, errors) => validatePolicyLabels(metadata?.labels, errors),
  prepareUpdate(namespace, old) {
    // Only the finalize subresource changes them.
    namespace.spec = { ...old.spec };
  },
};

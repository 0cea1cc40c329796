import { resources, type k8s } from '../../../api/mod.ts';
import type { PrepareContext, Strategy } from '../kinds/kind.ts';
import { validateDefinition } from './definition-validation.ts';

/** Holds a definition until its objects are gone. */
export const definitionFinalizer = 'customresourcecleanup.apiextensions.k8s.io';

type Definition = k8s.CustomResourceDefinition;

/** CustomResourceDefinitions are established in the write that creates them: the next request can use the kind. */
export const definitionStrategy: Strategy<Definition> = {
  defaults(definition) {
    const { spec } = definition;
    if (spec?.names === undefined) return;
    spec.names.singular ||= spec.names.kind?.toLowerCase() ?? '';
    spec.names.listKind ||= `${spec.names.kind ?? ''}List`;
    spec.conversion ??= { strategy: 'None' };
  },
  prepareCreate(definition, context) {
    const metadata = (definition.metadata ??= {});
    metadata.finalizers = [...new Set([...(metadata.finalizers ?? []), definitionFinalizer])];
    definition.status = establishedStatus(definition, undefined, context);
  },
  prepareUpdate(definition, old, context) {
    definition.status = establishedStatus(definition, old.status, context);
  },
  validate: validateDefinition,
  validateUpdate({ spec }, { spec: oldSpec, status }, errors) {
    if (spec.group !== oldSpec.group) errors.invalid('spec.group', spec.group, 'field is immutable');
    if (spec.scope !== oldSpec.scope) errors.invalid('spec.scope', spec.scope, 'field is immutable');
    if (spec.names?.plural !== oldSpec.names.plural) errors.invalid('spec.names.plural', spec.names?.plural, 'field is immutable');
    if (spec.names?.kind !== oldSpec.names.kind) errors.invalid('spec.names.kind', spec.names?.kind, 'field is immutable');
    for (const stored of status?.storedVersions ?? []) {
      if (!spec.versions.some(({ name }) => name === stored)) errors.invalid('status.storedVersions', stored, `missing from spec.versions; ${stored} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in ${stored} and removes ${stored} from status.storedVersions`);
    }
  },
};

function establishedStatus(definition: Definition, old: Definition['status'], context: PrepareContext): Definition['status'] {
  const conflict = nameConflict(definition, context);
  const storage = definition.spec?.versions?.find((version) => version.storage)?.name;
  const since = (type: string, status: string): string => {
    const had = old?.conditions?.find((condition) => condition.type === type);
    return had?.status === status ? (had.lastTransitionTime ?? context.now) : context.now;
  };
  const isEstablished = conflict === undefined || old?.conditions?.some(({ type, status }) => type === 'Established' && status === 'True') === true;
  const named = conflict === undefined ? 'True' : 'False';
  return {
    conditions: [
      { type: 'NamesAccepted', status: named, lastTransitionTime: since('NamesAccepted', named), reason: conflict?.reason ?? 'NoConflicts', message: conflict?.message ?? 'no conflicts found' },
      {
        type: 'Established',
        status: isEstablished ? 'True' : 'False',
        lastTransitionTime: since('Established', isEstablished ? 'True' : 'False'),
        reason: isEstablished ? 'InitialNamesAccepted' : 'NotAccepted',
        message: isEstablished ? 'the initial names have been accepted' : 'not all names are accepted',
      },
      ...(old?.conditions ?? []).filter(({ type }) => type !== 'NamesAccepted' && type !== 'Established'),
    ],
    acceptedNames: conflict === undefined ? definition.spec?.names : (old?.acceptedNames ?? { plural: '', kind: '' }),
    storedVersions: [...new Set([...(old?.storedVersions ?? []), ...(storage === undefined ? [] : [storage])])],
  };
}

/** Another definition of the same group that has one of the names already. */
function nameConflict({ metadata, spec }: Definition, context: PrepareContext): { reason: string; message: string } | undefined {
  for (const other of context.list(resources.customResourceDefinitions)) {
    const { spec: otherSpec, status } = other as unknown as Definition;
    if (other.metadata.name === metadata?.name || otherSpec.group !== spec?.group) continue;
    const taken = status?.acceptedNames;
    if (taken === undefined) continue;
    const theirs = [taken.plural, taken.singular, ...(taken.shortNames ?? [])];
    const clash = [spec.names.plural, spec.names.singular, ...(spec.names.shortNames ?? [])].find((name) => name !== undefined && name !== '' && theirs.includes(name));
    if (clash !== undefined) return { reason: 'NameConflict', message: `${JSON.stringify(clash)} is already in use` };
    if (taken.kind === spec.names.kind) return { reason: 'KindConflict', message: `${JSON.stringify(taken.kind)} is already in use` };
  }
  return undefined;
}

import { isDeepStrictEqual } from 'node:util';
import { type k8s, parseQuantity } from '../../../api/mod.ts';
import type { FieldErrors } from '../validation/field-errors.ts';
import { qualifiedNameProblem } from '../validation/names.ts';
import type { ColumnOf } from './define.ts';
import type { Strategy } from './kind.ts';

const scopes = ['BestEffort', 'CrossNamespacePodAffinity', 'NotBestEffort', 'NotTerminating', 'PriorityClass', 'Terminating'];

const computeNames = ['cpu', 'memory', 'ephemeral-storage', 'requests.cpu', 'requests.memory', 'requests.ephemeral-storage', 'limits.cpu', 'limits.memory', 'limits.ephemeral-storage', 'requests.storage'];

const countNames = ['pods', 'services', 'services.nodeports', 'services.loadbalancers', 'replicationcontrollers', 'resourcequotas', 'secrets', 'configmaps', 'persistentvolumeclaims'];

/** Scopes that go with limits of pods only, and the names they may limit. */
const podNames = new Set([...computeNames.filter((name) => name !== 'requests.storage'), 'pods']);

/** ResourceQuotas: what the objects of a namespace may use together. */
export const resourceQuotaStrategy: Strategy<k8s.ResourceQuota> = {
  validate({ spec }, errors) {
    for (const [name, amount] of Object.entries(spec?.hard ?? {})) validateLimit(name, amount, `spec.hard[${name}]`, errors);
    const selected = spec?.scopeSelector?.matchExpressions ?? [];
    for (const [index, scope] of (spec?.scopes ?? []).entries()) if (!scopes.includes(scope)) errors.unsupported(`spec.scopes[${index}]`, scope, scopes);
    for (const [index, expression] of selected.entries()) validateSelector(expression, `spec.scopeSelector.matchExpressions[${index}]`, errors);
    if ((spec?.scopes?.length ?? 0) + selected.length === 0) return;
    const named = [...(spec?.scopes ?? []), ...selected.map(({ scopeName }) => scopeName)];
    const allowed = named.includes('BestEffort') ? new Set(['pods']) : podNames;
    for (const name of Object.keys(spec?.hard ?? {})) if (!allowed.has(name)) errors.invalid('spec.hard', named, `unsupported scope applied to resource`);
    for (const [a, b] of [['BestEffort', 'NotBestEffort'], ['Terminating', 'NotTerminating']] as const) if (named.includes(a) && named.includes(b)) errors.invalid('spec.scopes', named, 'conflicting scopes');
  },
  validateUpdate({ spec }, old, errors) {
    if (!isDeepStrictEqual(spec?.scopes, old.spec?.scopes)) errors.invalid('spec.scopes', spec?.scopes ?? [], 'field is immutable');
    if (!isDeepStrictEqual(spec?.scopeSelector, old.spec?.scopeSelector)) errors.invalid('spec.scopeSelector', spec?.scopeSelector ?? {}, 'field is immutable');
  },
};

function validateLimit(name: string, amount: string, at: string, errors: FieldErrors): void {
  const problem = qualifiedNameProblem(name.startsWith('count/') ? name.slice(6) : name);
  const isKnown = computeNames.includes(name) || countNames.includes(name) || name.includes('/') || name.startsWith('requests.');
  if (problem !== undefined) errors.invalid(at, name, problem);
  else if (!isKnown) errors.invalid(at, name, 'must be a standard resource type or fully qualified');
  const { nano } = parseQuantity(amount);
  if (nano < 0n) errors.invalid(at, amount, 'must be greater than or equal to 0');
  const isCount = countNames.includes(name) || name.startsWith('count/');
  if (isCount && nano % 1_000_000_000n !== 0n) errors.invalid(at, amount, 'must be an integer');
}

function validateSelector({ scopeName, operator, values = [] }: k8s.ScopedResourceSelectorRequirement, at: string, errors: FieldErrors): void {
  const operators = ['DoesNotExist', 'Exists', 'In', 'NotIn'];
  if (!scopes.includes(scopeName)) errors.unsupported(`${at}.scopeName`, scopeName, scopes);
  if (!operators.includes(operator)) errors.unsupported(`${at}.operator`, operator, operators);
  else if (scopeName !== 'PriorityClass' && operator !== 'Exists') errors.invalid(`${at}.operator`, operator, "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity");
  if ((operator === 'In' || operator === 'NotIn') && values.length === 0) errors.required(`${at}.values`, 'must be at least one value when `operator` is \'In\' or \'NotIn\' for scope selector');
  if ((operator === 'Exists' || operator === 'DoesNotExist') && values.length > 0) errors.invalid(`${at}.values`, values, "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector");
}

const amounts = (isLimit: boolean) => ({ status }: k8s.ResourceQuota): string =>
  Object.keys(status?.hard ?? {}).filter((name) => name.startsWith('limits') === isLimit).toSorted().map((name) => `${name}: ${status?.used?.[name] ?? '0'}/${status?.hard?.[name] ?? ''}`).join(', ');

/** `kubectl get quota`. */
export const resourceQuotaColumns: readonly ColumnOf<k8s.ResourceQuota>[] = [
  { name: 'Request', type: 'string', description: 'What is used of what may be asked for, and of what is counted.', cell: amounts(false) },
  { name: 'Limit', type: 'string', description: 'What is used of the limits.', cell: amounts(true) },
];

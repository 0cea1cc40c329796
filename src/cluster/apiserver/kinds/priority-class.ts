import { resources, type k8s } from '../../../api/mod.ts';
import { GantryError } from '../../../kernel/mod.ts';
import type { ColumnOf } from './define.ts';
import type { PrepareContext, Strategy } from './kind.ts';

/** The highest value people may give; what is above is the system's. */
const maxUserValue = 1_000_000_000;

/** Names that every cluster knows. */
const systemPriorities: Readonly<Record<string, number>> = { 'system-node-critical': 2_000_001_000, 'system-cluster-critical': 2_000_000_000 };

/** PriorityClasses: a name for a number that pods are scheduled and preempted by. */
export const priorityClassStrategy: Strategy<k8s.PriorityClass> = {
  defaults(priorityClass) {
    priorityClass.preemptionPolicy ??= 'PreemptLowerPriority';
    priorityClass.value ??= 0;
  },
  validate({ metadata, value = 0, preemptionPolicy }, errors) {
    const isSystem = systemPriorities[metadata?.name ?? ''] === value;
    if (metadata?.name?.startsWith('system-') === true && !isSystem) errors.forbidden('metadata.name', 'priority class names with \'system-\' prefix are reserved for system use only');
    if (value > maxUserValue && !isSystem) errors.forbidden('value', `maximum allowed value of a user defined priority is ${maxUserValue}`);
    if (!['Never', 'PreemptLowerPriority'].includes(preemptionPolicy ?? '')) errors.unsupported('preemptionPolicy', preemptionPolicy, ['Never', 'PreemptLowerPriority']);
  },
  validateUpdate({ value, preemptionPolicy }, old, errors) {
    if (value !== old.value) errors.forbidden('value', 'may not be changed in an update.');
    if (preemptionPolicy !== old.preemptionPolicy) errors.invalid('preemptionPolicy', preemptionPolicy, 'field is immutable');
  },
};

export const priorityClassColumns: readonly ColumnOf<k8s.PriorityClass>[] = [
  { name: 'Value', type: 'integer', description: 'Priority of the pods.', cell: ({ value }) => value ?? 0 },
  { name: 'Global-Default', type: 'boolean', description: 'Whether pods that name no class get this one.', cell: ({ globalDefault }) => globalDefault === true },
  { name: 'PreemptionPolicy', type: 'string', description: 'Whether its pods may displace others.', cell: ({ preemptionPolicy }) => preemptionPolicy ?? '' },
];

/** Gives a new pod the numbers of its class. `forbidden` when it names one that does not exist. */
export function resolvePriority(spec: k8s.PodSpec, context: PrepareContext): void {
  const classes = [...context.list(resources.priorityClasses)] as k8s.PriorityClass[];
  const name = spec.priorityClassName ?? '';
  const builtIn = systemPriorities[name];
  const found = name === '' ? classes.find(({ globalDefault }) => globalDefault === true) : classes.find(({ metadata }) => metadata?.name === name);
  if (found === undefined && name !== '' && builtIn === undefined) throw new GantryError('forbidden', `pods is forbidden: no PriorityClass with name ${name} was found`);
  const value = found?.value ?? builtIn ?? 0;
  if (spec.priority !== undefined && spec.priority !== value) throw new GantryError('forbidden', `pods is forbidden: the integer value of priority (${spec.priority}) must not be provided in pod spec; priority admission controller computed ${value} from the given PriorityClass name`);
  if (name === '' && found?.metadata?.name !== undefined) spec.priorityClassName = found.metadata.name;
  spec.priority = value;
  spec.preemptionPolicy ??= found?.preemptionPolicy ?? 'PreemptLowerPriority';
}

import { GantryError } from '../../../kernel/mod.ts';
import type { User } from '../access/user.ts';
import { type QueueLimits, RequestQueues } from './request-queues.ts';

/** Seats of their own for some of the clients, so that others cannot take them (Kubernetes: PriorityLevelConfiguration). */
export interface PriorityLevel extends QueueLimits {
  readonly name: string;
  /** Users who belong to it, by name or by one of their groups. */
  readonly users?: readonly string[];
  readonly groups?: readonly string[];
}

/** For everybody whom no other level names. */
const defaultLevel = 'workload';

/** Agents report leases and statuses: what people and workloads ask must not hold them up. */
export const defaultLevels: readonly PriorityLevel[] = [{ name: 'nodes', groups: ['system:nodes'], seats: 32 }];

/** The levels in order: a client belongs to the first that names it. Within a level clients take turns. */
export class PriorityLevels {
  readonly #levels: readonly { readonly level: PriorityLevel; readonly queues: RequestQueues }[];

  constructor(levels: readonly PriorityLevel[] = defaultLevels, rest: QueueLimits = {}) {
    const isNamed = levels.some(({ name }) => name === defaultLevel);
    this.#levels = [...levels, ...(isNamed ? [] : [{ ...rest, name: defaultLevel }])].map((level) => ({ level, queues: new RequestQueues(level) }));
  }

  /** The queues of the user's level. */
  of({ name, groups }: User): RequestQueues {
    const named = this.#levels.find(({ level }) => level.users?.includes(name) === true || level.groups?.some((group) => groups.includes(group)) === true);
    const queues = (named ?? this.#levels.find(({ level }) => level.name === defaultLevel))?.queues;
    if (queues === undefined) throw new GantryError('internal', 'no level for everybody else');
    return queues;
  }

  /** For `/metrics`. */
  get counts(): readonly (readonly [level: string, counts: RequestQueues['counts']])[] {
    return this.#levels.map(({ level, queues }) => [level.name, queues.counts] as const);
  }
}

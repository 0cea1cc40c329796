import type { ResourceType } from '../../../api/mod.ts';
import type { Clock } from '../../../kernel/mod.ts';
import type { User } from '../access/user.ts';
import { type ApiObject, listPrefix, type PrepareContext } from '../kinds/kind.ts';
import type { KindRegistry } from '../kinds/registry.ts';
import type { ObjectCache } from '../objects/object-cache.ts';
import type { AdmissionCheck } from './admission.ts';
import { FieldErrors } from '../validation/field-errors.ts';

/** What every operation works with. */
export interface Machine {
  readonly objects: ObjectCache;
  readonly kinds: KindRegistry;
  readonly clock: Clock;
  /** Asked about every write, in order. */
  readonly admission: readonly AdmissionCheck[];
}

/** What a request asks of a write beside the object. */
export interface WriteOptions {
  readonly dryRun: boolean;
  readonly fieldValidation: 'Strict' | 'Warn' | 'Ignore';
  readonly fieldManager: string;
  /** Whether the client named the manager itself. */
  readonly isManagerNamed?: boolean;
  /** Sets metadata.managedFields of what is about to be stored. Default: notes the write as an update of its manager. */
  readonly owner?: (object: ApiObject) => void;
  /** Who writes. Absent: the server itself. */
  readonly user?: User;
  /** Told to the client as Warning headers. */
  readonly warnings: string[];
}

/** Where an object is. The namespace is empty for cluster-scoped kinds. */
export interface ObjectPlace { readonly namespace: string; readonly name: string }

/** The current time as metadata writes it: seconds, UTC. */
export function timeText(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** A context for a strategy and, for the caller, what to call when the write is over. */
export function openPrepareContext(machine: Machine): { context: PrepareContext; finish: () => void } {
  const releases: (() => void)[] = [];
  const context: PrepareContext = {
    now: timeText(machine.clock.now()),
    problems: new FieldErrors(),
    list: (type, namespace = '') => listObjects(machine, type, namespace),
    onFinished: (release) => releases.push(release),
  };
  return { context, finish: () => releases.forEach((release) => release()) };
}

/** Objects of a built-in kind as they are now. They are shared: never change them. */
export function* listObjects({ kinds, objects }: Machine, type: ResourceType, namespace: string): Generator<ApiObject, void, undefined> {
  const kind = kinds.find(type.group, type.version, type.plural);
  if (kind === undefined) return;
  for (const { object } of objects.list(listPrefix(kind, namespace))) yield object;
}

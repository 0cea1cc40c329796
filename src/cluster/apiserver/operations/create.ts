import { randomUUID } from 'node:crypto';
import { resources } from '../../../api/mod.ts';
import { GantryError, isError, randomNameSuffix } from '../../../kernel/mod.ts';
import { badRequest, objectAlreadyExists, objectForbidden, objectNotFound } from '../errors.ts';
import { type ApiObject, apiVersionOfKind, type Kind, objectKey } from '../kinds/kind.ts';
import { StoredObject, toStoredText } from '../objects/stored-object.ts';
import { checkObject } from './check-object.ts';
import { toStored, validateVersion } from './convert.ts';
import { decodeObject } from './decode-object.ts';
import { type Machine, openPrepareContext, timeText, type WriteOptions } from './machine.ts';
import { noteOwner } from './managed-fields.ts';

/** How often a generated name that is taken is tried anew. */
const generateAttempts = 8;

/** Creates an object from a parsed body. */
export async function createObject(machine: Machine, kind: Kind, namespace: string, body: unknown, options: WriteOptions): Promise<StoredObject> {
  const decoded = decodeObject(kind, body, options);
  adoptPlace(kind, decoded, namespace);
  validateVersion(kind, decoded);
  const { kind: storedKind, object } = toStored(machine, kind, decoded);
  refuseServerFields(object);
  checkNamespace(machine, kind, object);
  const { generateName } = object.metadata;
  const isGenerated = object.metadata.name === '' && generateName !== undefined && generateName !== '';
  for (let attempt = 1; ; attempt += 1) {
    if (isGenerated) object.metadata.name = `${generateName.slice(0, 58)}${randomNameSuffix()}`;
    try {
      return await insertObject(machine, storedKind, object, options);
    } catch (error) {
      if (!isGenerated || attempt === generateAttempts || !isError(error, 'already-exists')) throw error;
    }
  }
}

async function insertObject(machine: Machine, kind: Kind, object: ApiObject, options: WriteOptions): Promise<StoredObject> {
  const { context, finish } = openPrepareContext(machine);
  try {
    const { metadata } = object;
    metadata.uid = randomUUID();
    metadata.creationTimestamp = timeText(machine.clock.now());
    if (kind.hasGeneration) metadata.generation = 1;
    if (kind.hasStatus) delete object.status;
    kind.strategy.prepareCreate?.(object, context);
    for (const check of machine.admission) check({ kind, object, old: undefined, user: options.user, part: 'main', warnings: options.warnings, onFinished: (release) => context.onFinished(release) });
    noteOwner(kind, undefined, object, 'main', options, context.now);
    checkObject(kind, object, { isUpdateChecked: false, problems: context.problems }, options);
    return await storeNew(machine, kind, object, options);
  } finally {
    finish();
  }
}

async function storeNew(machine: Machine, kind: Kind, object: ApiObject, { dryRun }: WriteOptions): Promise<StoredObject> {
  const { name, namespace } = object.metadata;
  const key = objectKey(kind, namespace ?? '', name);
  object.apiVersion = storedApiVersion(kind);
  if (machine.objects.get(key) !== undefined) throw objectAlreadyExists(kind.type, name);
  if (dryRun) return new StoredObject({ key, value: toStoredText(object), createRevision: 0, modRevision: 0 });
  try {
    return await machine.objects.put(key, object, 0);
  } catch (error) {
    if (isError(error, 'already-exists')) throw objectAlreadyExists(kind.type, name);
    throw error;
  }
}

/** The apiVersion objects of the kind are stored with. */
export function storedApiVersion(kind: Kind): string {
  return kind.type.version === kind.storageVersion ? apiVersionOfKind(kind) : `${kind.type.group}/${kind.storageVersion}`;
}

function adoptPlace(kind: Kind, object: ApiObject, namespace: string): void {
  const { metadata } = object;
  if (!kind.type.isNamespaced) return;
  metadata.namespace ??= namespace;
  if (metadata.namespace === '') metadata.namespace = namespace;
  if (metadata.namespace !== namespace) throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
}

function refuseServerFields({ metadata }: ApiObject): void {
  if ((metadata.resourceVersion ?? '') !== '') throw badRequest('resourceVersion should not be set on objects to be created');
  delete (metadata as Partial<typeof metadata>).resourceVersion;
  delete metadata.selfLink;
  delete metadata.deletionTimestamp;
  delete metadata.deletionGracePeriodSeconds;
  delete metadata.managedFields;
}

/** Objects can be made only in a namespace that exists and is not on its way out. */
function checkNamespace(machine: Machine, kind: Kind, { metadata: { namespace = '', name } }: ApiObject): void {
  if (!kind.type.isNamespaced) return;
  const found = machine.objects.get(`/core/namespaces/${namespace}`);
  if (found === undefined) throw objectNotFound(resources.namespaces, namespace);
  if (found.object.metadata.deletionTimestamp === undefined) return;
  throw objectForbidden(kind.type, name, `unable to create new content in namespace ${namespace} because it is being terminated`, [
    { reason: 'NamespaceTerminating', message: `namespace ${namespace} is being terminated`, field: 'metadata.namespace' },
  ]);
}

/** For callers inside the server: creates, and leaves what is there already alone. */
export async function ensureObject(machine: Machine, kind: Kind, namespace: string, body: unknown): Promise<void> {
  try {
    await createObject(machine, kind, namespace, body, { dryRun: false, fieldValidation: 'Strict', fieldManager: 'gantry', warnings: [] });
  } catch (error) {
    if (!(error instanceof GantryError) || error.code !== 'already-exists') throw error;
  }
}

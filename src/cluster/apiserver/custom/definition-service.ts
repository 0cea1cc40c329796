import { type BuiltinSchemas, type k8s, resources, type SchemaNode } from '../../../api/mod.ts';
import { formatError, isError, type Logger, WorkQueue } from '../../../kernel/mod.ts';
import type { ApiObject } from '../kinds/kind.ts';
import { deleteObject } from '../operations/delete.ts';
import type { Machine, WriteOptions } from '../operations/machine.ts';
import { modifyObject } from '../operations/update.ts';
import { customKinds } from './custom-kind.ts';
import { definitionFinalizer } from './definition-strategy.ts';

const objectMetaId = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta';

/** Serves the kinds of CustomResourceDefinitions as they come, change and go, and empties a definition that is deleted. */
export class DefinitionService implements AsyncDisposable {
  readonly #machine: Machine;
  readonly #metadata: SchemaNode;
  readonly #log: Logger;
  readonly #queue = new WorkQueue();
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #unlisten: () => void = () => {};

  private constructor(machine: Machine, schemas: BuiltinSchemas, log: Logger) {
    this.#machine = machine;
    this.#metadata = schemas.node(objectMetaId);
    this.#log = log;
  }

  static open(machine: Machine, schemas: BuiltinSchemas, log: Logger): DefinitionService {
    const service = new DefinitionService(machine, schemas, log);
    const { group, plural } = resources.customResourceDefinitions;
    const prefix = `/${group}/${plural}/`;
    service.#unlisten = machine.objects.listen(prefix, (changes) => {
      for (const { current, previous } of changes) {
        if (current !== undefined) service.#serve(current.object);
        else if (previous !== undefined) service.#withdraw(previous.object);
      }
    });
    for (const { object } of machine.objects.list(prefix)) service.#serve(object);
    service.#running = service.#run();
    return service;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#unlisten();
    this.#stop.abort();
    this.#queue.close();
    await this.#running;
  }

  #serve(object: ApiObject): void {
    const definition = object as unknown as k8s.CustomResourceDefinition;
    const { group, names } = definition.spec;
    const isEstablished = definition.status?.conditions?.some(({ type, status }) => type === 'Established' && status === 'True') === true;
    if (object.metadata.deletionTimestamp !== undefined) this.#queue.add(object.metadata.name);
    try {
      this.#machine.kinds.replaceCustom(group, names.plural, isEstablished ? customKinds(definition, this.#metadata) : []);
    } catch (error) {
      // Validation lets only definitions through that can be served; one of an older program may be different.
      this.#log.error('a custom resource definition cannot be served', { definition: object.metadata.name, err: error });
    }
  }

  #withdraw(object: ApiObject): void {
    const { group, names } = (object as unknown as k8s.CustomResourceDefinition).spec;
    this.#machine.kinds.replaceCustom(group, names.plural, []);
  }

  async #run(): Promise<void> {
    for (;;) {
      const name = await this.#queue.take(this.#stop.signal);
      if (name === undefined) return;
      try {
        await this.#empty(name);
        this.#queue.forget(name);
      } catch (error) {
        const failures = this.#queue.retry(name);
        if (failures > 5) this.#log.warn('a custom resource definition cannot be emptied', { definition: name, err: formatError(error) });
      } finally {
        this.#queue.done(name);
      }
    }
  }

  /** Deletes the objects of a definition that is going, then lets it go. Objects held by finalizers are waited for. */
  async #empty(name: string): Promise<void> {
    const { group, plural, version } = resources.customResourceDefinitions;
    const definitions = this.#machine.kinds.find(group, version, plural);
    const stored = this.#machine.objects.get(`/${group}/${plural}/${name}`);
    if (definitions === undefined || stored?.object.metadata.deletionTimestamp === undefined) return;
    if (stored.object.metadata.finalizers?.includes(definitionFinalizer) !== true) return;
    const { spec } = stored.object as unknown as k8s.CustomResourceDefinition;
    const prefix = `/${spec.group}/${spec.names.plural}/`;
    const kind = this.#machine.kinds.findStored(spec.group, spec.names.plural);
    for (const { object } of this.#machine.objects.list(prefix)) {
      if (kind === undefined) break;
      await deleteObject(this.#machine, kind, { namespace: object.metadata.namespace ?? '', name: object.metadata.name }, { dryRun: false }).catch(ignoreGone);
    }
    if (kind !== undefined && this.#machine.objects.count(prefix) > 0) return this.#queue.addAfter(name, 200);
    const write: WriteOptions = { dryRun: false, fieldValidation: 'Ignore', fieldManager: 'gantry', warnings: [] };
    await modifyObject(this.#machine, definitions, { namespace: '', name }, withoutFinalizer, { part: 'main' }, write).catch(ignoreGone);
  }
}

function withoutFinalizer(definition: ApiObject): ApiObject {
  const finalizers = definition.metadata.finalizers?.filter((finalizer) => finalizer !== definitionFinalizer) ?? [];
  return { ...definition, metadata: { ...definition.metadata, finalizers } };
}

function ignoreGone(error: unknown): void {
  if (!isError(error, 'not-found')) throw error;
}

import { isDeepStrictEqual } from 'node:util';
import { type k8s, resources, selectorMatches } from '../../../../api/mod.ts';
import { isError, type Logger } from '../../../../kernel/mod.ts';
import type { ApiObject } from '../../kinds/kind.ts';
import { listObjects, type Machine, type WriteOptions } from '../../operations/machine.ts';
import { modifyObject } from '../../operations/update.ts';

/** Keeps the rules of aggregated ClusterRoles the sum of the roles that their selectors choose. */
export class RoleAggregation implements AsyncDisposable {
  readonly #machine: Machine;
  readonly #log: Logger;
  #unlisten: () => void = () => {};
  #running: Promise<void> = Promise.resolve();
  #isDirty = false;
  #isClosed = false;

  private constructor(machine: Machine, log: Logger) {
    this.#machine = machine;
    this.#log = log;
  }

  /** Brings all aggregated roles up to date before it returns, and keeps them so. */
  static async open(machine: Machine, log: Logger): Promise<RoleAggregation> {
    const aggregation = new RoleAggregation(machine, log);
    const { group, plural } = resources.clusterRoles;
    aggregation.#unlisten = machine.objects.listen(`/${group}/${plural}/`, () => aggregation.#wake());
    aggregation.#wake();
    await aggregation.#running;
    return aggregation;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#unlisten();
    await this.#running;
  }

  #wake(): void {
    if (this.#isDirty || this.#isClosed) return;
    this.#isDirty = true;
    this.#running = this.#running.then(() => this.#settle());
  }

  /** Roles may aggregate aggregated roles: each write wakes it again until nothing changes. */
  async #settle(): Promise<void> {
    this.#isDirty = false;
    try {
      for (const role of this.#roles()) await this.#update(role);
    } catch (error) {
      if (!this.#isClosed) this.#log.warn('could not aggregate roles', { err: error });
    }
    if (this.#isDirty && !this.#isClosed) await this.#settle();
  }

  #roles(): (k8s.ClusterRole & ApiObject)[] {
    return [...listObjects(this.#machine, resources.clusterRoles, '')] as (k8s.ClusterRole & ApiObject)[];
  }

  async #update({ metadata, aggregationRule, rules = [] }: k8s.ClusterRole & ApiObject): Promise<void> {
    if (aggregationRule === undefined) return;
    const chosen = this.#roles().filter((role) => role.metadata.name !== metadata.name && aggregationRule.clusterRoleSelectors?.some((selector) => selectorMatches(selector, role.metadata.labels)) === true);
    const wanted = chosen.flatMap((role) => role.rules ?? []);
    const unique = wanted.filter((rule, index) => wanted.findIndex((other) => isDeepStrictEqual(other, rule)) === index);
    const kind = this.#machine.kinds.find(resources.clusterRoles.group, 'v1', resources.clusterRoles.plural);
    if (kind === undefined || isDeepStrictEqual(unique, rules)) return;
    const write: WriteOptions = { dryRun: false, fieldValidation: 'Ignore', fieldManager: 'clusterrole-aggregation-controller', warnings: [] };
    try {
      await modifyObject(this.#machine, kind, { namespace: '', name: metadata.name }, (role) => ({ ...role, rules: unique }), { part: 'main' }, write);
    } catch (error) {
      if (!isError(error, 'not-found')) throw error;
    }
  }
}

import { GantryError } from '../../kernel/mod.ts';
import type { Containers, Networks, Volumes } from '../engine.ts';
import type { EndpointSpec, NetworkRecord, NetworkSpec, VolumeRecord } from '../types.ts';
import type { Scope } from './scope.ts';

/** The networks of one scope. `bridge` and `default` are its own network, so that tenants do not meet on the engine's. */
export class ScopedNetworks implements Networks {
  readonly #all: Networks;
  readonly #scope: Scope;
  readonly #containers: Pick<Containers, 'get'>;

  /** `containers`: the scope's own. */
  constructor(all: Networks, scope: Scope, containers: Pick<Containers, 'get'>) {
    this.#all = all;
    this.#scope = scope;
    this.#containers = containers;
  }

  async create(spec: NetworkSpec, signal: AbortSignal): Promise<NetworkRecord> {
    this.#scope.checkOpen();
    const { networks } = this.#scope.record.policy.total;
    // The scope's own network is not counted.
    if (this.list().length > networks) throw new GantryError('exhausted', `the endpoint ${this.#scope.record.name} may have ${networks} networks`);
    const { name, isInternal, labels, ...rest } = spec;
    // Addresses of the client's choice could take those of the host's own neighbours.
    const asked = Object.entries(rest).find(([, value]) => isAsked(value));
    if (asked !== undefined) throw this.#scope.refusal(`the option ${asked[0]} of a network`);
    const record = await this.#all.create({ name, isInternal, labels: { ...labels, ...this.#scope.labels }, options: {}, scopeId: this.#scope.id }, signal);
    this.#scope.noteMade(record.id);
    return record;
  }

  get(idOrName: string): NetworkRecord {
    const wanted = idOrName === 'bridge' || idOrName === 'default' ? this.#scope.networkName : idOrName;
    const own = this.list();
    const found = own.find(({ id }) => id === wanted) ?? own.find(({ spec }) => spec.name === wanted) ?? unique(own.filter(({ id }) => wanted.length >= 4 && id.startsWith(wanted)));
    if (found === undefined) throw new GantryError('not-found', `network ${idOrName} not found`);
    return found;
  }

  list(): readonly NetworkRecord[] {
    return this.#all.list().filter((record) => this.#scope.ownsNetwork(record));
  }

  async remove(idOrName: string, signal: AbortSignal): Promise<void> {
    const { id, spec } = this.get(idOrName);
    if (spec.name === this.#scope.networkName) throw this.#scope.refusal('removing its own network');
    await this.#all.remove(id, signal);
  }

  connect(idOrName: string, containerId: string, endpoint: Omit<EndpointSpec, 'network'>, signal: AbortSignal): Promise<void> {
    this.#scope.checkOpen();
    return this.#all.connect(this.get(idOrName).id, this.#containers.get(containerId).id, endpoint, signal);
  }

  disconnect(idOrName: string, containerId: string, options: { force: boolean }, signal: AbortSignal): Promise<void> {
    return this.#all.disconnect(this.get(idOrName).id, this.#containers.get(containerId).id, options, signal);
  }
}

function isAsked(value: unknown): boolean {
  if (value === undefined || value === false) return false;
  return typeof value !== 'object' || value === null || Object.keys(value).length > 0;
}

function unique<T>(found: readonly T[]): T | undefined {
  return found.length === 1 ? found[0] : undefined;
}

/** The volumes of one scope. A name that somebody else's volume has is taken: it is never handed out. */
export class ScopedVolumes implements Volumes {
  readonly #all: Volumes;
  readonly #scope: Scope;

  constructor(all: Volumes, scope: Scope) {
    this.#all = all;
    this.#scope = scope;
  }

  async create(request: { name?: string; labels: Record<string, string>; options: Record<string, string>; scopeId?: string }, signal: AbortSignal): Promise<VolumeRecord> {
    this.#scope.checkOpen();
    const name = request.name === '' ? undefined : request.name;
    const existing = name === undefined ? undefined : this.#all.list().find((volume) => volume.name === name);
    if (existing !== undefined) return this.#checked(existing);
    if (Object.keys(request.options).length > 0) throw this.#scope.refusal('options of volumes');
    const { volumes } = this.#scope.record.policy.total;
    if (this.list().length >= volumes) throw new GantryError('exhausted', `the endpoint ${this.#scope.record.name} may have ${volumes} volumes`);
    const labels = { ...request.labels, ...this.#scope.labels };
    // Of two that ask for a name at once one makes the volume: that it is this scope's is looked at again.
    const volume = this.#checked(await this.#all.create({ ...(name === undefined ? {} : { name }), labels, options: {}, scopeId: this.#scope.id }, signal));
    this.#scope.noteMade(volume.name);
    return volume;
  }

  get(name: string): VolumeRecord {
    const volume = this.list().find((candidate) => candidate.name === name);
    if (volume === undefined) throw new GantryError('not-found', `get ${name}: no such volume`);
    return volume;
  }

  list(): readonly VolumeRecord[] {
    return this.#all.list().filter((volume) => this.#scope.ownsVolume(volume));
  }

  async remove(name: string, signal: AbortSignal): Promise<void> {
    await this.#all.remove(this.get(name).name, signal);
  }

  #checked(volume: VolumeRecord): VolumeRecord {
    if (!this.#scope.ownsVolume(volume)) throw new GantryError('conflict', `the volume name ${volume.name} is taken`);
    return volume;
  }
}

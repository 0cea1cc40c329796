import type { Engine, EngineFinding, Events, Sandboxes, Trees } from '../engine.ts';
import type { ImageStore } from '../images/types.ts';
import type { EngineEvent } from '../types.ts';
import type { RuleContext } from './container-rules.ts';
import type { Scope } from './scope.ts';
import { ScopedContainers } from './scoped-containers.ts';
import { ScopedImages } from './scoped-images.ts';
import { ScopedNetworks, ScopedVolumes } from './scoped-networks.ts';

/** Engine and images as one scope has them: the whole of what a handler of its endpoint can reach. */
export interface ScopedServices { readonly engine: Engine; readonly images: ImageStore }

/** Both faces are implemented in full, so that what the engine learns must be decided here before it compiles. */
export function scopedServices(engine: Engine, images: ImageStore, scope: Scope): ScopedServices {
  const rules: RuleContext = {
    scope,
    ownsContainer: (id) => engine.containers.list().some((record) => record.id === id && scope.ownsContainer(record)),
    ownsVolume: (name) => volumes.list().some((volume) => volume.name === name),
    networkId: (idOrName) => networks.get(idOrName).id,
    seesImage: (id) => scopedImages.find(id) !== undefined,
  };
  const containers = new ScopedContainers(engine.containers, rules);
  const networks = new ScopedNetworks(engine.networks, scope, containers);
  const volumes = new ScopedVolumes(engine.volumes, scope);
  const scopedImages = new ScopedImages(images, scope, () => containers.list());
  const scoped: Engine = {
    info: { ...engine.info, rootFolder: '' },
    containers,
    networks,
    volumes,
    sandboxes: noSandboxes(scope),
    trees: noTrees(scope),
    events: new ScopedEvents(engine, scope),
    examine: (): Promise<EngineFinding[]> => Promise.reject(scope.refusal('examining the host')),
    purge: () => Promise.reject(scope.refusal('purging')),
    // The engine is the host's: it outlives the endpoint.
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  return { engine: scoped, images: scopedImages };
}

/** What happens to objects of the scope. */
class ScopedEvents implements Events {
  readonly #engine: Engine;
  readonly #scope: Scope;

  constructor(engine: Engine, scope: Scope) {
    this.#engine = engine;
    this.#scope = scope;
  }

  async *subscribe(options: { sinceNanos?: bigint }, signal: AbortSignal): AsyncIterable<EngineEvent> {
    const openedNanos = BigInt(Math.floor(this.#scope.record.createdAtMs)) * 1_000_000n;
    const source = this.#engine.events.subscribe(options.sinceNanos === undefined ? {} : { sinceNanos: options.sinceNanos > openedNanos ? options.sinceNanos : openedNanos }, signal);
    for await (const event of source) if (this.#isOwn(event)) yield event;
  }

  publish(event: Omit<EngineEvent, 'timeNanos'>): void {
    this.#engine.events.publish({ ...event, attributes: { ...event.attributes, [scopeAttribute]: this.#scope.id } });
  }

  /** By what was made, not by labels: those of a host's container may come from an image that anybody can write. */
  #isOwn({ type, id, attributes }: EngineEvent): boolean {
    const { containers, networks, volumes } = this.#engine;
    switch (type) {
      case 'container':
        return this.#scope.isMade(id) || containers.list().some((record) => record.id === id && this.#scope.ownsContainer(record));
      case 'network':
        return this.#scope.isMade(id) || networks.list().some((record) => record.id === id && this.#scope.ownsNetwork(record));
      case 'volume':
        return this.#scope.isMade(id) || volumes.list().some((record) => record.name === id && this.#scope.ownsVolume(record));
      case 'image':
        return attributes[scopeAttribute] === this.#scope.id;
      case 'sandbox':
        return false;
    }
  }
}

/** Marks events that a scope's handlers publish themselves. The id is secret enough: no image can carry it as a label by chance. */
const scopeAttribute = 'gantry.dev/scope-id';

function noSandboxes(scope: Scope): Sandboxes {
  const refuse = (): never => {
    throw scope.refusal('pods');
  };
  return { create: refuse, get: refuse, list: () => [], remove: refuse, enterNetwork: refuse };
}

function noTrees(scope: Scope): Trees {
  const refuse = (): never => {
    throw scope.refusal('builds');
  };
  return { open: refuse, run: refuse };
}

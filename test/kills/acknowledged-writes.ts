import assert from 'node:assert/strict';
import { type k8s, resources } from '../../src/api/mod.ts';
import type { KubeClient } from '../../src/client/mod.ts';
import { isError, systemClock } from '../../src/kernel/mod.ts';
import { pick } from '../../src/engine/testing/fault-plan.ts';

const namespace = 'default';
const names = Array.from({ length: 40 }, (_, index) => `kept-${index}`);
const gone = undefined;

/** ConfigMaps that are made, changed and removed all the time; of each it is known what the server last said it had done. */
export class AcknowledgedWrites {
  readonly #client: KubeClient;
  readonly #random: () => number;
  /** Name → the values that are possible: one, unless the last answer never came. */
  readonly #possible = new Map<string, (string | undefined)[]>(names.map((name) => [name, [gone]]));
  acknowledged = 0;

  constructor(client: KubeClient, random: () => number) {
    this.#client = client;
    this.#random = random;
  }

  async run(signal: AbortSignal): Promise<void> {
    for (let count = 0; !signal.aborted; count += 1) {
      const name = pick(this.#random, names);
      const possible = this.#possible.get(name) ?? [gone];
      const next = this.#random() < 0.2 ? gone : `value ${count}`;
      try {
        await this.#write(name, next, signal);
        this.#possible.set(name, [next]);
        this.acknowledged += 1;
      } catch (error) {
        // Whether it was done is not known: both are possible from now on.
        this.#possible.set(name, [...possible, next]);
        if (!signal.aborted && !isError(error, 'unavailable', 'timeout', 'cancelled')) throw error;
        await systemClock.sleep(20, signal).catch(() => undefined);
      }
    }
  }

  /** What the server has is what it said. */
  async verify(signal: AbortSignal): Promise<void> {
    const { items } = await this.#client.list(resources.configMaps, { namespace }, signal);
    const present = new Map(items.map(({ metadata, data }) => [metadata.name, data?.['value']]));
    for (const [name, possible] of this.#possible) {
      assert.ok(possible.includes(present.get(name)), `${name} is ${present.get(name) ?? 'gone'}, acknowledged was ${possible.map((value) => value ?? 'gone').join(' or ')}`);
    }
  }

  async #write(name: string, value: string | undefined, signal: AbortSignal): Promise<void> {
    if (value === undefined) return this.#client.delete(resources.configMaps, { namespace, name }, {}, signal).catch(ignore('not-found'));
    const object: k8s.ConfigMap = { metadata: { namespace, name }, data: { value } };
    try {
      await this.#client.create(resources.configMaps, object, signal);
    } catch (error) {
      if (!isError(error, 'already-exists')) throw error;
      await this.#client.patch(resources.configMaps, { namespace, name }, { type: 'merge', body: { data: { value } } }, signal);
    }
  }
}

function ignore(code: 'not-found'): (error: unknown) => void {
  return (error) => {
    if (!isError(error, code)) throw error;
  };
}

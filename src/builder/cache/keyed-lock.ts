import { throwIfAborted } from '../../kernel/mod.ts';

/** One holder at a time for each key, in the order they asked. */
export class KeyedLock {
  readonly #tails = new Map<string, Promise<void>>();

  /** Resolves when the key is free. Disposing gives it to the next. */
  async hold(key: string, signal: AbortSignal): Promise<Disposable> {
    const previous = this.#tails.get(key) ?? Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    const tail = previous.then(() => promise);
    this.#tails.set(key, tail);
    void tail.then(() => {
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    });
    const aborted = Promise.withResolvers<void>();
    const onAbort = (): void => aborted.resolve();
    signal.addEventListener('abort', onAbort, { once: true });
    await Promise.race([previous, aborted.promise]);
    signal.removeEventListener('abort', onAbort);
    if (signal.aborted) resolve();
    throwIfAborted(signal);
    return { [Symbol.dispose]: () => resolve() };
  }
}

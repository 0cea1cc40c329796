import { GantryError, throwIfAborted } from '../../kernel/mod.ts';

interface Flight<V> {
  readonly result: Promise<V>;
  readonly controller: AbortController;
  readonly output: FlightOutput;
  waiters: number;
}

/** Of one flight; what is over it is left out for those who join later. */
const maxKeptCharacters = 1 << 20;

/** Text that work prints: everyone who waits for it sees all of it, also what came before they joined. */
class FlightOutput {
  readonly #listeners = new Set<(text: string) => void>();
  #kept = '';

  write(text: string): void {
    this.#kept = (this.#kept + text).slice(-maxKeptCharacters);
    for (const listener of this.#listeners) listener(text);
  }

  follow(listener: (text: string) => void): Disposable {
    if (this.#kept !== '') listener(this.#kept);
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }
}

export interface Joined {
  /** What the work prints. */
  readonly onOutput: (text: string) => void;
  /** Gets the work while it goes on, when this call began it: it uses what belongs to whoever began it. */
  readonly owned: Set<Promise<unknown>>;
}

/** Runs work with equal keys once for all who ask at the same time. The work is stopped when everyone who waits has left. */
export class SharedWork<V> {
  readonly #flights = new Map<string, Flight<V>>();

  has(key: string): boolean {
    return this.#flights.has(key);
  }

  async run(key: string, work: (write: (text: string) => void, signal: AbortSignal) => Promise<V>, { onOutput, owned }: Joined, signal: AbortSignal): Promise<V> {
    throwIfAborted(signal);
    const flight = this.#flights.get(key) ?? this.#start(key, work, owned);
    flight.waiters += 1;
    const leave = Promise.withResolvers<never>();
    const onAbort = (): void => leave.reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    using _ = flight.output.follow(onOutput);
    try {
      return await Promise.race([flight.result, leave.promise]);
    } finally {
      signal.removeEventListener('abort', onAbort);
      flight.waiters -= 1;
      if (flight.waiters === 0 && this.#flights.get(key) === flight) {
        this.#flights.delete(key);
        flight.controller.abort(new GantryError('cancelled', 'nobody waits for this step any more'));
        // Whoever cancelled may go on only when the work has cleaned up after itself.
        if (signal.aborted) await flight.result.catch(() => undefined);
      }
    }
  }

  #start(key: string, work: (write: (text: string) => void, signal: AbortSignal) => Promise<V>, owned: Set<Promise<unknown>>): Flight<V> {
    const controller = new AbortController();
    const output = new FlightOutput();
    const result = work((text) => output.write(text), controller.signal);
    const flight: Flight<V> = { result, controller, output, waiters: 0 };
    this.#flights.set(key, flight);
    owned.add(result);
    const forget = (): void => {
      owned.delete(result);
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    };
    result.then(forget, forget);
    return flight;
  }
}

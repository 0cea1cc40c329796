import { GantryError } from '../../../kernel/mod.ts';

/** How many requests of all clients are worked on at once, and how much each client may have waiting. */
export interface QueueLimits {
  /** Seats of all clients together. A large list takes several. Default 64. */
  readonly seats?: number;
  /** Requests that one client may have waiting; more are refused. Default 256. */
  readonly queueLength?: number;
  /** A request that has waited longer is refused. Default 30 s. */
  readonly waitMs?: number;
}

/** A seat that is taken; given back once, when the request is over. */
export type ReleaseSeat = () => void;

interface Waiting { readonly seats: number; start(): void }

interface Flow { readonly waiting: Waiting[]; used: number }

/**
 * Lets clients take turns: each has a queue of its own, and free seats go to the client that holds the fewest,
 * so that one with a thousand requests does not make another wait for more than one of them (Kubernetes: API priority and fairness).
 */
export class RequestQueues {
  readonly #limits: Required<QueueLimits>;
  readonly #flows = new Map<string, Flow>();
  #free: number;
  #refused = 0;

  constructor(limits: QueueLimits = {}) {
    this.#limits = { seats: limits.seats ?? 64, queueLength: limits.queueLength ?? 256, waitMs: limits.waitMs ?? 30_000 };
    this.#free = this.#limits.seats;
  }

  /** For `/metrics`. */
  get counts(): { readonly executing: number; readonly waiting: number; readonly refused: number } {
    const waiting = [...this.#flows.values()].reduce((sum, flow) => sum + flow.waiting.length, 0);
    return { executing: this.#limits.seats - this.#free, waiting, refused: this.#refused };
  }

  /** Waits for the client's turn. `exhausted` with when to come back, when too many wait or the wait is too long. */
  async enter(client: string, width: number, signal: AbortSignal): Promise<ReleaseSeat> {
    const seats = Math.min(Math.max(1, width), this.#limits.seats);
    const flow = this.#flowOf(client);
    if (flow.waiting.length === 0 && this.#free >= seats && !this.#isSomeoneWaiting()) return this.#take(client, flow, seats);
    if (flow.waiting.length >= this.#limits.queueLength) throw this.#tooMany();
    await this.#turn(flow, seats, signal);
    // The seats were taken for it when its turn came.
    return this.#release(client, flow, seats);
  }

  /** Takes a seat that is free at once; undefined when the request would have to wait. Saves a turn of the event loop. */
  tryEnter(client: string, width: number): ReleaseSeat | undefined {
    const seats = Math.min(Math.max(1, width), this.#limits.seats);
    if (this.#free < seats || this.#isSomeoneWaiting()) return undefined;
    return this.#take(client, this.#flowOf(client), seats);
  }

  #turn(flow: Flow, seats: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        const at = flow.waiting.indexOf(entry);
        if (at >= 0) flow.waiting.splice(at, 1);
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
      };
      const onAbort = (): void => {
        leave();
        reject(new GantryError('cancelled', 'the client is gone'));
      };
      const entry: Waiting = {
        seats,
        start: () => {
          leave();
          this.#free -= seats;
          flow.used += seats;
          resolve();
        },
      };
      const timer = setTimeout(() => {
        leave();
        reject(this.#tooMany());
      }, this.#limits.waitMs);
      signal.addEventListener('abort', onAbort, { once: true });
      flow.waiting.push(entry);
    });
  }

  #take(client: string, flow: Flow, seats: number): ReleaseSeat {
    this.#free -= seats;
    flow.used += seats;
    return this.#release(client, flow, seats);
  }

  #release(client: string, flow: Flow, seats: number): ReleaseSeat {
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#free += seats;
      flow.used -= seats;
      this.#next();
      if (flow.used === 0 && flow.waiting.length === 0) this.#flows.delete(client);
    };
  }

  /** Gives free seats to the clients that hold the fewest; among equals to the one whose turn is longest ago. */
  #next(): void {
    for (;;) {
      let chosen: [string, Flow] | undefined;
      for (const entry of this.#flows) if (entry[1].waiting.length > 0 && (chosen === undefined || entry[1].used < chosen[1].used)) chosen = entry;
      const first = chosen?.[1].waiting[0];
      if (chosen === undefined || first === undefined || first.seats > this.#free) return;
      // To the end of the order: equals take turns.
      this.#flows.delete(chosen[0]);
      this.#flows.set(chosen[0], chosen[1]);
      first.start();
    }
  }

  #isSomeoneWaiting(): boolean {
    for (const { waiting } of this.#flows.values()) if (waiting.length > 0) return true;
    return false;
  }

  #flowOf(client: string): Flow {
    let flow = this.#flows.get(client);
    if (flow === undefined) this.#flows.set(client, (flow = { waiting: [], used: 0 }));
    return flow;
  }

  #tooMany(): GantryError {
    this.#refused += 1;
    return new GantryError('exhausted', 'too many requests, please try again later', { retryAfterMs: 1000 });
  }
}

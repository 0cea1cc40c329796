import { keyOf } from '../../api/mod.ts';
import type { Pod } from './cluster-state.ts';

/** Pods that wait for a node. Those that found none are parked until something changes that could help. */
export class PodQueue {
  readonly #ready = new Map<string, Pod>();
  readonly #parked = new Map<string, Pod>();
  readonly #onReady: () => void;

  /** `onReady` is called whenever there is a pod to take. */
  constructor(onReady: () => void) {
    this.#onReady = onReady;
  }

  add(pod: Pod): void {
    this.#parked.delete(keyOf(pod));
    this.#ready.set(keyOf(pod), pod);
    this.#onReady();
  }

  remove(pod: Pod): void {
    this.#ready.delete(keyOf(pod));
    this.#parked.delete(keyOf(pod));
  }

  /** Keeps a pod for which there is no node now. A newer version that came meanwhile stays in line. */
  park(pod: Pod): void {
    if (!this.#ready.has(keyOf(pod))) this.#parked.set(keyOf(pod), pod);
  }

  isParked(pod: Pod): boolean {
    return this.#parked.has(keyOf(pod));
  }

  /** Something changed: every parked pod gets another try. */
  unparkAll(): void {
    if (this.#parked.size === 0) return;
    for (const [key, pod] of this.#parked) this.#ready.set(key, pod);
    this.#parked.clear();
    this.#onReady();
  }

  /** All pods in line, most important and then oldest first. */
  takeAll(): Pod[] {
    const pods = [...this.#ready.values()].toSorted(
      (a, b) => (b.spec?.priority ?? 0) - (a.spec?.priority ?? 0) || compareText(a.metadata.creationTimestamp, b.metadata.creationTimestamp),
    );
    this.#ready.clear();
    return pods;
  }
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

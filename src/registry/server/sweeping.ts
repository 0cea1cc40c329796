/**
 * Keeps the collection of unused blobs and the linking of blobs apart: many links at once, or one removal.
 * Both are short; a waiting removal goes before later links, so that neither starves.
 */
export class Sweeping {
  #links = 0;
  #removal: Promise<unknown> | undefined;
  #onIdle: (() => void) | undefined;

  /** Runs work that makes a reference to a blob which it found in the store. */
  async hold<T>(link: () => Promise<T>): Promise<T> {
    while (this.#removal !== undefined) await this.#removal;
    this.#links += 1;
    try {
      return await link();
    } finally {
      this.#links -= 1;
      if (this.#links === 0) this.#onIdle?.();
    }
  }

  /** Runs work that removes something after having found no reference. Callers take turns. */
  async remove<T>(removal: () => Promise<T>): Promise<T> {
    while (this.#removal !== undefined) await this.#removal;
    const running = this.#whenIdle().then(removal);
    this.#removal = running.catch(() => undefined);
    try {
      return await running;
    } finally {
      this.#removal = undefined;
    }
  }

  async #whenIdle(): Promise<void> {
    if (this.#links === 0) return;
    await new Promise<void>((resolve) => {
      this.#onIdle = () => {
        this.#onIdle = undefined;
        resolve();
      };
    });
  }
}

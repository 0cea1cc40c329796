/** Measured facts of a run, printed as a table at its end. */
export class Figures {
  readonly #rows: { what: string; value: string }[] = [];

  add(what: string, value: string): void {
    this.#rows.push({ what, value });
  }

  /** Runs `work` and records how long it took, in seconds. */
  async time<T>(what: string, work: () => Promise<T>): Promise<T> {
    const startedAt = performance.now();
    const result = await work();
    this.add(what, `${((performance.now() - startedAt) / 1000).toFixed(2)} s`);
    return result;
  }

  table(): string {
    const width = Math.max(...this.#rows.map(({ what }) => what.length));
    return this.#rows.map(({ what, value }) => `  ${what.padEnd(width)}  ${value}`).join('\n');
  }
}

/** Replaces secrets in what is logged. Values shorter than 3 characters would mask half the log and are left. */
export class Masker {
  readonly #values = new Set<string>();
  #pattern: RegExp | undefined;

  /** Each line of the value is masked by itself, as output comes line by line. */
  add(value: string): void {
    for (const line of value.split(/\r?\n/)) if (line.trim().length >= 3) this.#values.add(line);
    // Longer values first, so that one that contains another is masked whole.
    const sources = [...this.#values].toSorted((a, b) => b.length - a.length).map((line) => line.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`));
    this.#pattern = sources.length === 0 ? undefined : new RegExp(sources.join('|'), 'g');
  }

  mask(text: string): string {
    return this.#pattern === undefined ? text : text.replace(this.#pattern, '***');
  }
}

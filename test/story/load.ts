import { request } from 'node:http';

export interface LoadResult {
  requests: number;
  /** Every request that did not end with 200: status or error code, and when. */
  failures: { reason: string; at: number }[];
  /** How often each `version` was served. */
  versions: Record<string, number>;
  latenciesMs: number[];
}

/**
 * A steady load on loopback: `perSecond` requests, each on a connection of its own, so that every one goes through the Service.
 * Requests are started on schedule whether or not earlier ones have ended.
 */
export class SteadyLoad implements AsyncDisposable {
  readonly #result: LoadResult = { requests: 0, failures: [], versions: {}, latenciesMs: [] };
  readonly #pending = new Set<Promise<void>>();
  readonly #timer: NodeJS.Timeout;

  constructor(url: string, perSecond: number) {
    this.#timer = setInterval(() => {
      const one = this.#request(url).finally(() => this.#pending.delete(one));
      this.#pending.add(one);
    }, 1000 / perSecond);
  }

  get requests(): number {
    return this.#result.requests;
  }

  get failures(): number {
    return this.#result.failures.length;
  }

  /** Ends the load after the requests under way. */
  async stop(): Promise<LoadResult> {
    clearInterval(this.#timer);
    await Promise.all(this.#pending);
    return this.#result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #request(url: string): Promise<void> {
    const startedAt = performance.now();
    try {
      const { status, body } = await get(url);
      if (status !== 200) throw new Error(`HTTP ${status}`);
      const version = /"version":\s*"([^"]+)"/.exec(body)?.[1] ?? 'unknown';
      this.#result.versions[version] = (this.#result.versions[version] ?? 0) + 1;
      this.#result.latenciesMs.push(performance.now() - startedAt);
    } catch (error) {
      this.#result.failures.push({ reason: error instanceof Error ? error.message || error.name : String(error), at: Date.now() });
    }
    this.#result.requests += 1;
  }
}

/** One GET on a connection of its own; 5 s at most. */
export function get(url: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { agent: false, timeout: 5_000 }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }));
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer within 5 s')));
    outgoing.on('error', reject);
    outgoing.end();
  });
}

/** The value below which `share` (0 to 1) of the values lie. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

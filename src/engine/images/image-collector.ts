import { type Logger, type Service, systemClock } from '../../kernel/mod.ts';
import type { Image, ImageStore } from './types.ts';

export interface ImageCollectorOptions {
  /** How long an image without any name stays: a build took its name, or it never had one. Default a day. */
  readonly unnamedGraceMs?: number;
  /** How long an image that is known only by its digest in a registry stays unused. It can be pulled again. Default three days. */
  readonly digestGraceMs?: number;
  readonly intervalMs?: number;
}

const hourMs = 3_600_000;

/** Keeps an image store from growing with every build and release. Images with a tag are never touched: they may exist nowhere else. */
export class ImageCollector implements Service {
  readonly name = 'image collector';
  readonly #images: ImageStore;
  readonly #log: Logger;
  readonly #options: Required<ImageCollectorOptions>;

  constructor(images: ImageStore, options: ImageCollectorOptions, log: Logger) {
    this.#images = images;
    this.#log = log;
    this.#options = { unnamedGraceMs: 24 * hourMs, digestGraceMs: 72 * hourMs, intervalMs: hourMs / 6, ...options };
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await systemClock.sleep(this.#options.intervalMs, signal);
        const freedBytes = await this.collect(Date.now(), signal);
        if (freedBytes > 0) this.#log.info('images collected', { freedBytes });
      } catch (error) {
        if (!signal.aborted) this.#log.warn('images could not be collected', { err: error });
      }
    }
  }

  /** One collection. Resolves to the bytes of the layers that went. */
  async collect(nowMs: number, signal: AbortSignal): Promise<number> {
    const { unnamedGraceMs, digestGraceMs } = this.#options;
    const isOld = (image: Image): boolean => nowMs - image.storedAtMs >= (image.digests.length === 0 ? unnamedGraceMs : digestGraceMs);
    const { freedBytes } = await this.#images.prune({ onlyDangling: false, filter: (image) => image.references.length === 0 && isOld(image) }, signal);
    return freedBytes;
  }
}

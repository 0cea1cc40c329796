import type { Logger } from '../../kernel/mod.ts';
import { currentLogBytes, rotateLogFiles } from './log-files.ts';

/** A log that grows. `reopen` makes its writer begin a new file after the old one was moved away. */
export interface RotatableLog {
  readonly folder: string;
  readonly maxSizeBytes: number;
  readonly maxFiles: number;
  reopen(): Promise<void>;
}

/** Rotates every log that has grown past its limit. A failure concerns one log only. */
export async function rotateLogs(logs: readonly RotatableLog[], log: Logger): Promise<void> {
  await Promise.all(
    logs.map(async (rotatable) => {
      try {
        if ((await currentLogBytes(rotatable.folder)) <= rotatable.maxSizeBytes) return;
        await rotateLogFiles(rotatable.folder, rotatable.maxFiles);
        await rotatable.reopen();
      } catch (error) {
        log.warn('rotating a log failed', { folder: rotatable.folder, err: error });
      }
    }),
  );
}

/** Calls `work` again and again, the next time `intervalMs` after it has ended, until disposed. Holds no process open. */
export class Periodic implements Disposable {
  readonly #work: () => Promise<void>;
  readonly #intervalMs: number;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(work: () => Promise<void>, intervalMs: number) {
    this.#work = work;
    this.#intervalMs = intervalMs;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => void this.#work().finally(() => this.#schedule()), this.#intervalMs);
    this.#timer.unref();
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }
}

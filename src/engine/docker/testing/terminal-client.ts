import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { openPseudoTerminal } from '../../../host/mod.ts';
import { errnoOf, pollUntil } from '../../../kernel/mod.ts';

/** A program whose three standard streams are one terminal, and a user at it. */
export interface TerminalClient extends AsyncDisposable {
  /** All that the terminal has shown. */
  screen(): string;
  /** Waits until the screen has the text. The deadline is generous; what has been shown is in its error. */
  until(text: string | RegExp): Promise<void>;
  type(text: string | Uint8Array): void;
  /** As the user who drags the window's corner: the program gets SIGWINCH. */
  resize(size: { width: number; height: number }): void;
  /** The exit code, once all output has been read. */
  readonly ended: Promise<number>;
}

/** Starts `docker` in a terminal of a size. Disposing kills it. */
export function openTerminalClient(args: readonly string[], env: Record<string, string | undefined>, size: { width: number; height: number }): TerminalClient {
  const { master: terminal, slaveFd, resize } = openPseudoTerminal();
  resize(size);
  const child: ChildProcess = spawn('docker', args, { env: { ...env, TERM: 'xterm' }, stdio: [slaveFd, slaveFd, slaveFd], detached: true });
  closeSync(slaveFd);
  let screen = '';
  const drained = new Promise<void>((resolve, reject) => {
    // EIO: the last holder of the slave has gone.
    terminal.on('error', (error) => (errnoOf(error) === 'EIO' ? resolve() : reject(error)));
    terminal.on('end', resolve);
  });
  terminal.on('data', (chunk: Buffer) => (screen += chunk.toString('latin1')));
  const exited = new Promise<number>((resolve) => child.once('exit', (code, name) => resolve(code ?? (name === null ? -1 : 128))));
  return {
    screen: () => screen,
    until: async (text) => {
      const isShown = (): true | undefined => (typeof text === 'string' ? screen.includes(text) : text.test(screen)) || undefined;
      await pollUntil(`the terminal to show ${String(text)}`, isShown, { timeoutMs: 60_000, intervalMs: 10 }, AbortSignal.timeout(90_000)).catch((error: unknown) => {
        throw new Error(`${String(error)}; it shows ${JSON.stringify(screen)}`);
      });
    },
    type: (text) => void terminal.write(text),
    resize: (next) => {
      resize(next);
      child.kill('SIGWINCH');
    },
    ended: Promise.all([exited, drained]).then(([code]) => code),
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await exited;
      terminal.destroy();
    },
  };
}

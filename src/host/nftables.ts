import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import koffi, { type LibraryHandle } from 'koffi';
import { baseEnv, errnoOf, GantryError } from '../kernel/mod.ts';

/**
 * The kernel's packet filter. Calls are synchronous: a transaction takes a quarter of a millisecond, a thousand
 * services about thirty. Names of tables carry the instance id; nobody touches tables that are not his.
 */
export interface Nftables extends Disposable {
  /** Applies a script in nft's language as one transaction: all of it or, on an error, nothing (`invalid`, with nft's own words). */
  apply(script: string): void;
  /** The answer of a list command as nft's JSON (libnftables-json(5)): the members of its `nftables` array. `not-found` when the object does not exist. */
  list(command: string): Record<string, unknown>[];
}

/** libnftables in this process when it is installed, else the `nft` program; `unavailable` without both. */
export function openNftables(): Nftables {
  const library = loadLibrary();
  return library === undefined ? new NftProgram() : new NftLibrary(library);
}

/** Deletes a table if it is there. Adding it first makes the deletion never fail (there is no `destroy` before nft 1.0.8). */
export function deleteTable(family: 'ip' | 'ip6' | 'inet' | 'bridge' | 'arp', name: string): string {
  return `add table ${family} ${name}\ndelete table ${family} ${name}\n`;
}

/** Names of the tables of a family that begin with a prefix. */
export function tablesWithPrefix(nftables: Nftables, prefix: string): { family: string; name: string }[] {
  return nftables.list('list tables').flatMap(({ table }) => {
    if (typeof table !== 'object' || table === null || !('family' in table) || !('name' in table)) return [];
    const { family, name } = table;
    return typeof family === 'string' && typeof name === 'string' && name.startsWith(prefix) ? [{ family, name }] : [];
  });
}

type Library = ReturnType<typeof bind>;

/** Like the bindings of the C library it holds no state of ours, so it is the process's. */
let loaded: { library: Library | undefined } | undefined;

function loadLibrary(): Library | undefined {
  loaded ??= { library: tryLoad() };
  return loaded.library;
}

function tryLoad(): Library | undefined {
  try {
    return bind(koffi.load('libnftables.so.1'));
  } catch {
    return undefined;
  }
}

function bind(library: LibraryHandle) {
  return {
    create: library.func('void *nft_ctx_new(uint32_t flags)'),
    free: library.func('void nft_ctx_free(void *ctx)'),
    bufferOutput: library.func('int nft_ctx_buffer_output(void *ctx)'),
    bufferError: library.func('int nft_ctx_buffer_error(void *ctx)'),
    setFlags: library.func('void nft_ctx_output_set_flags(void *ctx, unsigned int flags)'),
    run: library.func('int nft_run_cmd_from_buffer(void *ctx, const char *buf)'),
    output: library.func('const char *nft_ctx_get_output_buffer(void *ctx)'),
    error: library.func('const char *nft_ctx_get_error_buffer(void *ctx)'),
  };
}

class NftLibrary implements Nftables {
  readonly #library: Library;
  /** Undefined after disposal: the library would write to memory that it has given back. */
  #context: unknown;

  constructor(library: Library) {
    this.#library = library;
    this.#context = library.create(0);
    library.bufferOutput(this.#context);
    library.bufferError(this.#context);
  }

  apply(script: string): void {
    this.#run(script, 0);
  }

  list(command: string): Record<string, unknown>[] {
    const jsonFlag = 1 << 4;
    return parseAnswer(this.#run(command, jsonFlag));
  }

  #run(script: string, flags: number): string {
    if (this.#context === undefined) throw new GantryError('internal', 'nftables: used after it was closed');
    this.#library.setFlags(this.#context, flags);
    const result: number = this.#library.run(this.#context, script);
    const output: string = this.#library.output(this.#context) ?? '';
    const error: string = this.#library.error(this.#context) ?? '';
    if (result !== 0) throw nftError(error);
    return output;
  }

  [Symbol.dispose](): void {
    if (this.#context === undefined) return;
    this.#library.free(this.#context);
    this.#context = undefined;
  }
}

/** nft cannot read a script from a Node pipe (it opens /dev/stdin, which is a socket), so the script goes through a file. */
class NftProgram implements Nftables {
  apply(script: string): void {
    this.#run([], script);
  }

  list(command: string): Record<string, unknown>[] {
    return parseAnswer(this.#run(['--json'], command));
  }

  #run(options: readonly string[], script: string): string {
    const folder = mkdtempSync(join(tmpdir(), 'nft-'));
    try {
      const file = join(folder, 'script');
      writeFileSync(file, script, { mode: 0o600 });
      const result = spawnSync('nft', [...options, '-f', file], { env: baseEnv(), encoding: 'utf8', maxBuffer: 256 << 20 });
      if (result.error !== undefined) {
        throw new GantryError('unavailable', errnoOf(result.error) === 'ENOENT' ? 'the program nft is not installed' : 'cannot start nft', { cause: result.error });
      }
      if (result.status !== 0) throw nftError(result.stderr);
      return result.stdout;
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  [Symbol.dispose](): void {}
}

function nftError(message: string): GantryError {
  const code = /No such file or directory/.test(message) ? 'not-found' : /Operation not permitted/.test(message) ? 'forbidden' : 'invalid';
  return new GantryError(code, `nftables: ${message.trim().slice(0, 2000)}`);
}

function parseAnswer(text: string): Record<string, unknown>[] {
  if (text.trim() === '') return [];
  const answer: unknown = JSON.parse(text);
  if (typeof answer !== 'object' || answer === null || !('nftables' in answer) || !Array.isArray(answer.nftables)) {
    throw new GantryError('internal', 'nftables: an answer that is not in its own JSON form');
  }
  return answer.nftables as Record<string, unknown>[];
}

/** The file-based implementation on its own, for its test. */
export function openNftProgram(): Nftables {
  return new NftProgram();
}

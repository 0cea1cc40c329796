import type Dockerode from 'dockerode';
import { pollUntil } from '../../../../src/kernel/mod.ts';
import type { Daemon } from '../daemon.ts';

/** What a case gets: the daemon, and the clients that are pointed at it. */
export interface Bench {
  readonly daemon: Daemon;
  readonly docker: Dockerode;
  /** The command line client; exit code and both outputs are the answer. */
  readonly cli: (args: readonly string[], stdin?: string) => Promise<CliAnswer>;
  /** docker-compose in the folder of one of the suite's projects (compose.ts). */
  readonly compose: (project: string, ...args: readonly string[]) => Promise<CliAnswer>;
  readonly signal: AbortSignal;
}

export interface CliAnswer { readonly code: number; readonly stdout: string; readonly stderr: string }

/** Something that a client does; what it sees is compared between daemons. Everything it makes is removed afterwards by the suite. */
export interface Case {
  readonly name: string;
  readonly run: (bench: Bench) => Promise<unknown>;
}

/** What a call answers, or the status and message it is refused with. */
export async function answerOf(work: () => Promise<unknown>): Promise<unknown> {
  try {
    const value = await work();
    return Buffer.isBuffer(value) ? value.toString() : value;
  } catch (error) {
    const { statusCode, json } = error as { statusCode?: number; json?: { message?: string } };
    if (statusCode === undefined) throw error;
    return { statusCode, message: json?.message ?? '' };
  }
}

/** The two outputs of a multiplexed stream: where frames end is nobody's business. */
export function demultiplexed(bytes: Buffer): { stdout: string; stderr: string } {
  const parts: Record<'stdout' | 'stderr', Buffer[]> = { stdout: [], stderr: [] };
  for (let at = 0; at + 8 <= bytes.length; ) {
    const size = bytes.readUInt32BE(at + 4);
    parts[bytes[at] === 2 ? 'stderr' : 'stdout'].push(bytes.subarray(at + 8, at + 8 + size));
    at += 8 + size;
  }
  return { stdout: Buffer.concat(parts.stdout).toString(), stderr: Buffer.concat(parts.stderr).toString() };
}

/** All bytes of a stream. */
export async function bytesOf(stream: NodeJS.ReadableStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk as Buffer));
  return Buffer.concat(chunks);
}

/** All bytes of a stream, as text. */
export async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  return (await bytesOf(stream)).toString();
}

/** Looks again and again until it holds. */
export async function eventually(holds: () => Promise<boolean>): Promise<void> {
  await pollUntil('what the case waits for', async () => (await holds()) || undefined, { timeoutMs: 30_000, intervalMs: 50 }, AbortSignal.timeout(60_000));
}

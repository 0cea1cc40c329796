import type { Readable, Writable } from 'node:stream';
import { encodeDockerFrame } from '../../wire/mod.ts';
import { type Call, type UpgradedConnection, writeTo } from './call.ts';
import { DetachScanner } from './detach-keys.ts';

/** A connection that carries stdio after the head of the answer, in both directions. */
export interface RawStream {
  readonly input: Readable;
  /** False when the client has gone. Waits for slow readers. */
  write(stream: 'stdout' | 'stderr', content: Uint8Array): Promise<boolean>;
  end(): void;
  /** An empty frame, which no client shows: the write of it tells whether one that says no more is still there. Nothing at a terminal, which has no frames. */
  probe(): void;
}

const newLine = '\r\n';

/**
 * Takes the connection over (Docker Engine API, "Attach to a container", "Hijacking"): with `Upgrade: tcp` by 101, else the answer's
 * body is the output and the request's body the input. Without a terminal output is multiplexed.
 */
export function openRawStream(call: Call, hasTerminal: boolean): RawStream {
  // From 1.42 the content type tells the format.
  const type = !hasTerminal && call.apiVersion >= 1042 ? 'application/vnd.docker.multiplexed-stream' : 'application/vnd.docker.raw-stream';
  const output = call.upgraded === undefined ? plainOutput(call, type) : upgradedOutput(call.upgraded, type);
  return {
    input: call.body,
    write: (stream, content) => writeTo(output, hasTerminal ? content : encodeDockerFrame(stream, content)),
    end: () => void output.end(),
    probe: () => void (hasTerminal || !output.writable || output.write(encodeDockerFrame('stdout', new Uint8Array()))),
  };
}

function plainOutput({ response }: Call, type: string): Writable {
  response.writeHead(200, { 'content-type': type });
  response.flushHeaders();
  return response;
}

function upgradedOutput(upgraded: UpgradedConnection, type: string): Writable {
  const { socket } = upgraded;
  upgraded.isTaken = true;
  socket.write(['HTTP/1.1 101 UPGRADED', `Content-Type: ${type}`, 'Connection: Upgrade', 'Upgrade: tcp', '', ''].join(newLine));
  return socket;
}

/** Drops the rest, and resolves (to false) when the client has no more to say. */
export async function drain(input: Readable): Promise<false> {
  if (input.readableEnded || input.destroyed) return false;
  await new Promise<void>((resolve) => void input.once('end', resolve).once('close', resolve).resume());
  return false;
}

/** Feeds what the client types into a process until it ends or the client detaches (resolves to true). */
export async function feedInput(input: Readable, stdin: Writable, detachKeys: Buffer | undefined): Promise<boolean> {
  const scanner = detachKeys === undefined ? undefined : new DetachScanner(detachKeys);
  // A process that ends or closes its input takes no more: writeTo tells, and there is nothing to do.
  stdin.on('error', () => undefined);
  let isTaken = true;
  try {
    // Its end is not the connection's: output follows.
    for await (const chunk of input.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      const { passed, isDetached } = scanner?.push(chunk) ?? { passed: chunk, isDetached: false };
      isTaken = passed.length === 0 || (await writeTo(stdin, passed));
      if (isDetached) return true;
      if (!isTaken) break;
    }
  } catch {
    // The client went away: the same as the end of what it typed.
  }
  if (!isTaken) return drain(input);
  // A terminal has no end of input: it goes on for others, or for the process that reads it.
  if (scanner === undefined) stdin.end();
  return false;
}

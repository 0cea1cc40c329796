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

/** Feeds what the client types into a process until it ends, detaches (resolves to true) or the process takes no more. */
export async function feedInput(input: Readable, stdin: Writable, detachKeys: Buffer | undefined): Promise<boolean> {
  const scanner = detachKeys === undefined ? undefined : new DetachScanner(detachKeys);
  // A process that ends or closes its input takes no more: writeTo tells, and there is nothing to do.
  stdin.on('error', () => undefined);
  try {
    for await (const chunk of input as AsyncIterable<Buffer>) {
      const { passed, isDetached } = scanner?.push(chunk) ?? { passed: chunk, isDetached: false };
      if (passed.length > 0 && !(await writeTo(stdin, passed))) return false;
      if (isDetached) return true;
    }
  } catch {
    // The client went away: the same as the end of what it typed.
    return false;
  }
  stdin.end();
  return false;
}

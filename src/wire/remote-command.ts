import { GantryError } from '../kernel/mod.ts';

/** The WebSocket subprotocol of exec and attach (Kubernetes `remotecommand`, version 5: version 4 plus closing of single channels). */
export const remoteCommandProtocol = 'v5.channel.k8s.io';

/** Every WebSocket message is binary and starts with one byte: the channel. 255 closes the channel that the second byte names. */
export const remoteChannels = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4 } as const;

export type RemoteChannel = keyof typeof remoteChannels;

const closeSignal = 255;
const channelNames = new Map<number, RemoteChannel>(Object.entries(remoteChannels).map(([name, id]) => [id, name as RemoteChannel]));

export type RemoteFrame = { type: 'data'; channel: RemoteChannel; payload: Buffer } | { type: 'close'; channel: RemoteChannel };

/** How a remote command ended: its exit code, or why it could not be run. */
export type RemoteResult = { exitCode: number } | { error: string };

export interface TerminalSize { width: number; height: number }

/** The message that carries `payload` on a channel. */
export function encodeRemoteData(channel: RemoteChannel, payload: Uint8Array): Buffer {
  const message = Buffer.allocUnsafe(payload.length + 1);
  message[0] = remoteChannels[channel];
  message.set(payload, 1);
  return message;
}

/** The message that says that nothing more comes on a channel; how a client ends stdin. */
export function encodeRemoteClose(channel: RemoteChannel): Buffer {
  return Buffer.from([closeSignal, remoteChannels[channel]]);
}

/** One message; the payload shares the message's memory. `invalid` when it is empty or names an unknown channel. */
export function decodeRemoteFrame(message: Uint8Array): RemoteFrame {
  const bytes = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
  const isClose = bytes[0] === closeSignal;
  const id = isClose ? bytes[1] : bytes[0];
  const channel = id === undefined ? undefined : channelNames.get(id);
  if (channel === undefined) throw new GantryError('invalid', `${remoteCommandProtocol}: no channel ${id ?? 'byte in the message'}`);
  return isClose ? { type: 'close', channel } : { type: 'data', channel, payload: bytes.subarray(1) };
}

/** The Status that the server sends on the error channel as its last message. */
export function encodeRemoteResult(result: RemoteResult): Buffer {
  return encodeRemoteData('error', Buffer.from(JSON.stringify(toStatus(result))));
}

function toStatus(result: RemoteResult): object {
  const head = { kind: 'Status', apiVersion: 'v1', metadata: {} };
  if ('error' in result) return { ...head, status: 'Failure', reason: 'InternalError', message: result.error, code: 500 };
  if (result.exitCode === 0) return { ...head, status: 'Success' };
  return {
    ...head,
    status: 'Failure',
    reason: 'NonZeroExitCode',
    message: `command terminated with non-zero exit code: exit status ${result.exitCode}`,
    details: { causes: [{ reason: 'ExitCode', message: String(result.exitCode) }] },
  };
}

/** Reads the payload of the error channel. `invalid` when it is no Status. */
export function parseRemoteResult(payload: Uint8Array): RemoteResult {
  const status = parseJson(payload, 'the error channel') as { status?: unknown; message?: unknown; details?: { causes?: { reason?: unknown; message?: unknown }[] } };
  if (status.status === 'Success') return { exitCode: 0 };
  const cause = status.details?.causes?.find(({ reason }) => reason === 'ExitCode');
  const exitCode = Number(cause?.message);
  if (cause !== undefined && Number.isInteger(exitCode)) return { exitCode };
  return { error: typeof status.message === 'string' ? status.message : 'the command could not be run' };
}

/** The message that tells the terminal's new size, in characters. */
export function encodeTerminalSize(size: TerminalSize): Buffer {
  return encodeRemoteData('resize', Buffer.from(JSON.stringify({ Width: size.width, Height: size.height })));
}

/** Reads the payload of the resize channel. `invalid` unless both are integers from 1 to 65535. */
export function parseTerminalSize(payload: Uint8Array): TerminalSize {
  const { Width: width, Height: height } = parseJson(payload, 'the resize channel') as { Width?: unknown; Height?: unknown };
  if (!isSize(width) || !isSize(height)) throw new GantryError('invalid', 'the terminal size needs Width and Height from 1 to 65535');
  return { width, height };
}

function isSize(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65_535;
}

function parseJson(payload: Uint8Array, where: string): object {
  try {
    const value: unknown = JSON.parse(Buffer.from(payload).toString());
    if (typeof value === 'object' && value !== null) return value;
  } catch (error) {
    throw new GantryError('invalid', `${remoteCommandProtocol}: ${where} carries no JSON`, { cause: error });
  }
  throw new GantryError('invalid', `${remoteCommandProtocol}: ${where} carries no JSON object`);
}

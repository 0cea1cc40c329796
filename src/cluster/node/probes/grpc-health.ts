import { connect, constants } from 'node:http2';
import { formatError } from '../../../kernel/mod.ts';
import type { ProbeOutcome } from './probe-outcome.ts';

const statusNames = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];

/** One call of grpc.health.v1.Health/Check over plain-text HTTP/2 (GRPC Health Checking Protocol). Only SERVING is success. */
export function checkGrpcHealth(address: string, port: number, service: string, signal: AbortSignal): Promise<ProbeOutcome> {
  return new Promise((resolve, reject) => {
    const session = connect(`http://${address}:${port}`);
    const onAbort = (): void => fail(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
    const finish = (): void => {
      signal.removeEventListener('abort', onAbort);
      session.destroy();
    };
    const fail = (error: Error): void => {
      finish();
      reject(error);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    session.once('error', fail);
    const stream = session.request({
      [constants.HTTP2_HEADER_METHOD]: 'POST',
      [constants.HTTP2_HEADER_PATH]: '/grpc.health.v1.Health/Check',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const chunks: Buffer[] = [];
    let code: string | undefined;
    const noteStatus = (headers: Record<string, unknown>): void => {
      if (typeof headers['grpc-status'] === 'string') code = headers['grpc-status'];
    };
    stream.once('response', noteStatus);
    stream.once('trailers', noteStatus);
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.once('error', fail);
    stream.once('end', () => {
      finish();
      resolve(toOutcome(code, Buffer.concat(chunks)));
    });
    stream.end(encodeRequest(service));
  });
}

/** A length-prefixed message with HealthCheckRequest{service = 1}. */
export function encodeRequest(service: string): Buffer {
  const name = Buffer.from(service);
  if (name.length > 127) throw new RangeError('a gRPC service name has at most 127 bytes');
  const message = name.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a, name.length]), name]);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

function toOutcome(code: string | undefined, body: Buffer): ProbeOutcome {
  if (code !== '0') return { isSuccess: false, message: `gRPC health check failed with status code ${code ?? 'none'}` };
  // HealthCheckResponse{status = 1}: an absent field is 0, UNKNOWN.
  const status = body.length >= 7 && body[5] === 0x08 ? (body[6] ?? 0) : 0;
  const name = statusNames[status] ?? formatError(`status ${status}`);
  return { isSuccess: status === 1, message: status === 1 ? '' : `service unhealthy (responded with ${name})` };
}

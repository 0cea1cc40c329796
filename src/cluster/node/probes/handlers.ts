import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import { Writable } from 'node:stream';
import type { k8s } from '../../../api/mod.ts';
import { formatError, GantryError, withTimeout } from '../../../kernel/mod.ts';
import type { ContainerRuntime } from '../ports.ts';
import { checkGrpcHealth } from './grpc-health.ts';
import type { ProbeOutcome } from './probe-outcome.ts';

/** The container a probe or hook acts on. */
export interface ProbeTarget {
  readonly containerId: string;
  readonly container: k8s.Container;
  /** Where its ports are reached from the node. */
  readonly address: string;
}

export type Handler = Pick<k8s.Probe, 'exec' | 'httpGet' | 'tcpSocket' | 'grpc'>;

/** What is kept of a command's or a server's answer for the event. */
const maxMessageBytes = 1024;

/** Runs a probe once. Never throws but for a cancel: whatever goes wrong is a failed probe. */
export async function runHandler(runtime: ContainerRuntime, target: ProbeTarget, handler: Handler, timeoutMs: number, signal: AbortSignal): Promise<ProbeOutcome> {
  const limited = withTimeout(signal, timeoutMs);
  try {
    if (handler.exec !== undefined) return await runExec(runtime, target, handler.exec, limited);
    if (handler.httpGet !== undefined) return await runHttpGet(target, handler.httpGet, limited);
    if (handler.tcpSocket !== undefined) return await runTcp(handler.tcpSocket.host ?? target.address, portNumber(target.container, handler.tcpSocket.port), limited);
    if (handler.grpc !== undefined) return await checkGrpcHealth(target.address, handler.grpc.port, handler.grpc.service ?? '', limited);
    return { isSuccess: false, message: 'the probe has no handler' };
  } catch (error) {
    if (signal.aborted) throw error;
    return { isSuccess: false, message: limited.aborted ? `timed out after ${timeoutMs / 1000}s` : formatError(error) };
  }
}

/** A port by its number or by its name in the container's list. `invalid` when there is none of that name. */
export function portNumber(container: k8s.Container, port: number | string): number {
  const number = typeof port === 'number' ? port : (container.ports?.find(({ name }) => name === port)?.containerPort ?? Number(port));
  if (!Number.isInteger(number) || number < 1 || number > 65_535) throw new GantryError('invalid', `the container has no port named ${JSON.stringify(port)}`);
  return number;
}

async function runExec(runtime: ContainerRuntime, target: ProbeTarget, { command = [] }: k8s.ExecAction, signal: AbortSignal): Promise<ProbeOutcome> {
  const output = new LimitedOutput();
  const { exitCode } = await runtime.exec(target.containerId, { command, stdout: output.writable(), stderr: output.writable(), tty: false }, signal);
  return { isSuccess: exitCode === 0, message: output.text() };
}

/** Keeps the beginning of what a command prints and drops the rest. */
class LimitedOutput {
  #chunks: Buffer[] = [];
  #size = 0;

  writable(): Writable {
    return new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        if (this.#size < maxMessageBytes) this.#chunks.push(chunk);
        this.#size += chunk.length;
        done();
      },
    });
  }

  text(): string {
    return Buffer.concat(this.#chunks).subarray(0, maxMessageBytes).toString();
  }
}

/** Any status from 200 to 399 is success; redirects to the same host are followed (Kubernetes, "Define a liveness HTTP request"). */
async function runHttpGet(target: ProbeTarget, action: k8s.HTTPGetAction, signal: AbortSignal): Promise<ProbeOutcome> {
  const scheme = (action.scheme ?? 'HTTP').toLowerCase();
  const host = action.host === undefined || action.host === '' ? target.address : action.host;
  const path = action.path ?? '/';
  let url = new URL(`${scheme}://${host.includes(':') ? `[${host}]` : host}:${portNumber(target.container, action.port)}${path.startsWith('/') ? path : `/${path}`}`);
  for (let redirects = 0; ; redirects += 1) {
    const { status, location, body } = await getOnce(url, action.httpHeaders ?? [], signal);
    const next = status >= 300 && status < 400 && location !== undefined ? new URL(location, url) : undefined;
    if (next !== undefined && next.hostname === url.hostname && redirects < 10) {
      url = next;
      continue;
    }
    const isSuccess = status >= 200 && status < 400;
    return { isSuccess, message: isSuccess ? '' : `HTTP probe failed with statuscode: ${status}${body === '' ? '' : `: ${body}`}` };
  }
}

function getOnce(url: URL, headers: readonly k8s.HTTPHeader[], signal: AbortSignal): Promise<{ status: number; location: string | undefined; body: string }> {
  return new Promise((resolve, reject) => {
    const options = { signal, agent: false, headers: headerMap(headers), rejectUnauthorized: false } as const;
    const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, options, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      const done = (): void => {
        response.destroy();
        resolve({ status: response.statusCode ?? 0, location: response.headers.location, body: Buffer.concat(chunks).subarray(0, 256).toString() });
      };
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        size += chunk.length;
        if (size > 10_240) done();
      });
      response.once('end', done);
      response.once('error', reject);
    });
    request.once('error', reject);
    request.end();
  });
}

function headerMap(headers: readonly k8s.HTTPHeader[]): Record<string, string[]> {
  const map: Record<string, string[]> = { 'user-agent': ['kube-probe/1.36'], accept: ['*/*'] };
  const own = new Set<string>();
  for (const { name, value } of headers) {
    const key = name.toLowerCase();
    map[key] = own.has(key) ? [...(map[key] ?? []), value] : [value];
    own.add(key);
  }
  return map;
}

function runTcp(host: string, port: number, signal: AbortSignal): Promise<ProbeOutcome> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, signal });
    socket.once('connect', () => {
      socket.destroy();
      resolve({ isSuccess: true, message: '' });
    });
    socket.once('error', reject);
  });
}

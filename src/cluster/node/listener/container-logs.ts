import type { ServerResponse } from 'node:http';
import { z } from 'zod';
import { parseWith } from '../../../kernel/mod.ts';
import type { ContainerRuntime, LogLine, PodContainer } from '../ports.ts';

const flag = z.enum(['true', 'false', '1', '0', '']).transform((text) => text === 'true' || text === '1');
const count = z.string().regex(/^\d{1,18}$/, 'must be a number').transform(Number);

/** PodLogOptions of Kubernetes as query parameters. */
const logQuery = z.object({
  follow: flag.default(false),
  previous: flag.default(false),
  timestamps: flag.default(false),
  tailLines: count.optional(),
  limitBytes: count.optional(),
  sinceSeconds: count.optional(),
  sinceTime: z.iso.datetime({ offset: true }).optional(),
  stream: z.enum(['All', 'Stdout', 'Stderr']).default('All'),
});

export type LogQuery = z.output<typeof logQuery>;

/** `invalid` names the parameter. Parameters of other parts of the request are let through. */
export function parseLogQuery(parameters: URLSearchParams): LogQuery {
  return parseWith(logQuery, Object.fromEntries(parameters), 'log options');
}

/** Streams the log as text: complete lines, with their times when asked. */
export async function sendLogs(runtime: ContainerRuntime, container: PodContainer, query: LogQuery, response: ServerResponse, signal: AbortSignal): Promise<void> {
  const since = query.sinceTime ?? (query.sinceSeconds === undefined ? undefined : new Date(Date.now() - query.sinceSeconds * 1000).toISOString());
  const request = { follow: query.follow, ...(since === undefined ? {} : { since }), ...(query.tailLines === undefined ? {} : { tailLines: query.tailLines }) };
  response.writeHead(200, { 'content-type': 'text/plain' });
  response.flushHeaders();
  let room = Promise.withResolvers<void>();
  for (const event of ['drain', 'close']) response.on(event, () => room.resolve());
  let leftBytes = query.limitBytes ?? Infinity;
  const isOpen = { stdout: false, stderr: false };
  for await (const line of runtime.logs(container.id, request, signal)) {
    if (query.stream !== 'All' && query.stream.toLowerCase() !== line.stream) continue;
    const bytes = formatLine(line, query.timestamps && !isOpen[line.stream]).subarray(0, leftBytes);
    isOpen[line.stream] = line.isPartial;
    leftBytes -= bytes.length;
    if (response.destroyed) break;
    room = Promise.withResolvers();
    if (!response.write(bytes)) await room.promise;
    if (leftBytes <= 0) break;
  }
  response.end();
}

function formatLine({ time, text, isPartial }: LogLine, hasTime: boolean): Buffer {
  return Buffer.concat([Buffer.from(hasTime ? `${time.replace(/\+00:00$/, 'Z')} ` : ''), text, Buffer.from(isPartial ? '' : '\n')]);
}

import { GantryError, isError, systemClock } from '../../../kernel/mod.ts';
import type { Engine, LogQuery, LogRecord } from '../../engine.ts';
import type { ContainerRecord } from '../../types.ts';
import { type Call, type DockerServices, openJsonStream, sendEmpty, sendJson, skipBody } from '../call.ts';
import { defaultDetachKeys, parseDetachKeys } from '../detach-keys.ts';
import { exactTime } from '../filters.ts';
import { drain, feedInput, openRawStream, type RawStream } from '../raw-stream.ts';
import { flag, integer, optionalFlag, refusedRoute, type Route, route, text } from '../route.ts';
import { noBlockCounters, type StatsReading, statsView, systemCpuNanoseconds } from '../views/stats.ts';

const nameOf = (call: Call): string => (call.params['id'] ?? '').replace(/^\//, '');
const newLine = Buffer.from('\n');

interface LogsQuery { follow: boolean; stdout: boolean; stderr: boolean; since: string | undefined; until: string | undefined; timestamps: boolean; tail: string | undefined; details: boolean }

/** `GET /containers/{id}/logs`. */
async function logs(call: Call, { engine }: DockerServices, query: LogsQuery): Promise<void> {
  const { id, spec } = engine.containers.get(nameOf(call));
  if (!query.stdout && !query.stderr) throw new GantryError('invalid', 'Bad parameters: you must choose at least one stream');
  const tail = query.tail === undefined || query.tail === 'all' ? undefined : Number(query.tail);
  if (tail !== undefined && !Number.isInteger(tail)) throw new GantryError('invalid', `invalid value of tail: ${JSON.stringify(query.tail)}`);
  const now = Date.now();
  const time = (value: string | undefined): string | undefined => (value === undefined || value === '0' ? undefined : exactTime(value, now));
  const [since, until] = [time(query.since), time(query.until)];
  const request: LogQuery = {
    follow: query.follow, stdout: query.stdout, stderr: query.stderr,
    ...(since === undefined ? {} : { since }), ...(until === undefined ? {} : { until }), ...(tail === undefined || tail < 0 ? {} : { tailLines: tail }),
  };
  const labels = query.details ? Object.entries(spec.labels).map(([key, value]) => `${key}=${value}`).join(',') : '';
  const stream = openRawStream(call, spec.tty);
  await writeLog(engine.containers.logs(id, request, call.signal), stream, { hasTimestamps: query.timestamps, details: labels });
  stream.end();
}

async function writeLog(records: AsyncIterable<LogRecord>, stream: RawStream, options: { hasTimestamps: boolean; details: string }): Promise<void> {
  const isWithin = { stdout: false, stderr: false };
  for await (const { time, stream: name, text: line, isPartial } of records) {
    const prefix = isWithin[name] ? '' : `${options.hasTimestamps ? `${time.replace(/\+00:00$/, 'Z')} ` : ''}${options.details === '' ? '' : `${options.details} `}`;
    isWithin[name] = isPartial;
    if (!(await stream.write(name, Buffer.concat([Buffer.from(prefix), line, ...(isPartial ? [] : [newLine])])))) return;
  }
}

interface AttachQuery { detachKeys: string | undefined; logs: boolean; stream: boolean; stdin: boolean; stdout: boolean; stderr: boolean }

/** `POST /containers/{id}/attach`: what was written before (`logs`), then what comes (`stream`), and the client's input. */
async function attach(call: Call, { engine }: DockerServices, query: AttachQuery): Promise<void> {
  const { id, spec, status } = engine.containers.get(nameOf(call));
  await skipBody(call);
  if (status.state === 'paused') throw new GantryError('conflict', `Container ${spec.name} is paused, unpause the container before attach.`);
  const keys = spec.tty && query.stdin ? parseDetachKeys(query.detachKeys ?? defaultDetachKeys) : undefined;
  publishAttach(engine, { id, spec }, 'attach');
  await using attachment = query.stream ? await engine.containers.attach(id, call.signal) : undefined;
  const stream = openRawStream(call, spec.tty);
  if (query.logs) await writeLog(engine.containers.logs(id, { follow: false, stdout: query.stdout, stderr: query.stderr }, call.signal), stream, { hasTimestamps: false, details: '' });
  if (attachment === undefined) return stream.end();
  const left = Promise.withResolvers<boolean>();
  const input = query.stdin && attachment.stdin !== undefined ? feedInput(stream.input, attachment.stdin, keys) : drain(stream.input);
  using probing = new DisposableStack();
  void input.then((isDetached) => {
    if (isDetached) left.resolve(true);
    else if (keys !== undefined) left.resolve(false);
    else if (!probing.disposed) probing.adopt(probe(stream), clearInterval);
  });
  const output = (async () => {
    for await (const { stream: name, data } of attachment.output) {
      if ((name === 'stdout' ? query.stdout : query.stderr) && !(await stream.write(name, data))) break;
    }
    return false;
  })();
  // As under Docker only keys that come here are told: its own client acts on them itself and closes the connection.
  if (await Promise.race([output, left.promise])) publishAttach(engine, { id, spec }, 'detach');
  stream.end();
}

const probeIntervalMs = 5000;

/**
 * A client that has closed its side may be one that waits for output, or may be gone: only a write can tell. (At a terminal the end of what is
 * typed is the end of the session, as under Docker.)
 */
function probe(stream: RawStream): NodeJS.Timeout {
  stream.probe();
  return setInterval(() => stream.probe(), probeIntervalMs).unref();
}

function publishAttach({ events }: Engine, { id, spec }: Pick<ContainerRecord, 'id' | 'spec'>, action: 'attach' | 'detach'): void {
  events.publish({ type: 'container', action, id, attributes: { ...spec.labels, name: spec.name, image: spec.image.reference } });
}

async function resize(call: Call, { engine }: DockerServices, { h, w }: { h: number | undefined; w: number | undefined }): Promise<void> {
  const { width, height } = terminalSize(h, w);
  const { id, spec } = engine.containers.get(nameOf(call));
  await engine.containers.resize(id, { width, height });
  engine.events.publish({ type: 'container', action: 'resize', id, attributes: { ...spec.labels, name: spec.name, image: spec.image.reference, width: String(width), height: String(height) } });
  sendEmpty(call, 200);
}

/** Rows and columns of a query. */
export function terminalSize(h: number | undefined, w: number | undefined): { width: number; height: number } {
  if (h === undefined || w === undefined || h < 0 || w < 0 || h > 65_535 || w > 65_535) throw new GantryError('invalid', 'the height and width of the terminal are whole numbers up to 65535');
  return { width: w, height: h };
}

/** `GET /containers/{id}/stats`: one value, or one a second. Without `one-shot` the first value needs a second reading. */
async function stats(call: Call, { engine }: DockerServices, query: { stream: boolean | undefined; 'one-shot': boolean }): Promise<void> {
  const record = engine.containers.get(nameOf(call));
  const isStream = query.stream ?? true;
  const read = async (): Promise<StatsReading> => ({ usage: await engine.containers.usage(record.id, call.signal), systemCpuNanoseconds: systemCpuNanoseconds() });
  if (!isStream) {
    const first = await readIfRunning(read);
    if (first === undefined || query['one-shot']) return sendJson(call, 200, first === undefined ? stoppedView(record) : statsView(record, first, undefined));
    await systemClock.sleep(1000, call.signal);
    const second = await readIfRunning(read);
    return sendJson(call, 200, second === undefined ? stoppedView(record) : statsView(record, second, first));
  }
  const output = openJsonStream(call);
  let previous = await readIfRunning(read);
  output.write(previous === undefined ? stoppedView(record) : statsView(record, previous, undefined));
  while (call.response.writable) {
    await systemClock.sleep(1000, call.signal);
    const now = await readIfRunning(read);
    if (now === undefined && !engine.containers.list().some(({ id }) => id === record.id)) break;
    output.write(now === undefined ? stoppedView(record) : statsView(record, now, previous));
    previous = now;
  }
  output.end();
}

async function readIfRunning(read: () => Promise<StatsReading>): Promise<StatsReading | undefined> {
  try {
    return await read();
  } catch (error) {
    if (isError(error, 'conflict', 'not-found')) return undefined;
    throw error;
  }
}

function stoppedView({ id, spec }: { id: string; spec: { name: string } }): Record<string, unknown> {
  const never = '0001-01-01T00:00:00Z';
  const cpu = { cpu_usage: { total_usage: 0, usage_in_kernelmode: 0, usage_in_usermode: 0 }, throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 } };
  return { name: `/${spec.name}`, id, read: never, preread: never, num_procs: 0, pids_stats: {}, cpu_stats: cpu, precpu_stats: cpu, memory_stats: {}, blkio_stats: { io_service_bytes_recursive: null, ...noBlockCounters(null) }, storage_stats: {} };
}

export const streamRoutes: readonly Route[] = [
  route({
    method: 'GET', path: '/containers/{id}/logs', summary: 'Get container logs', isHijacked: true,
    query: { follow: flag, stdout: flag, stderr: flag, since: text, until: text, timestamps: flag, tail: text, details: flag }, handle: logs,
  }),
  route({
    method: 'POST', path: '/containers/{id}/attach', summary: 'Attach to a container', isHijacked: true,
    query: { detachKeys: text, logs: flag, stream: flag, stdin: flag, stdout: flag, stderr: flag, hijack: flag }, handle: attach,
  }),
  refusedRoute('GET', '/containers/{id}/attach/ws', 'Attach to a container via a websocket', 'attach through an upgraded connection (POST /containers/{id}/attach)'),
  route({ method: 'POST', path: '/containers/{id}/resize', summary: 'Resize a container TTY', query: { h: integer, w: integer }, handle: resize }),
  route({ method: 'GET', path: '/containers/{id}/stats', summary: 'Get container stats based on resource usage', query: { stream: optionalFlag, 'one-shot': flag }, handle: stats }),
];

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { BuildReply } from '../../api/mod.ts';
import { formatError, GantryError, type Logger, randomHex, toGantryError } from '../../kernel/mod.ts';
import type { Builder } from '../builder.ts';
import type { ContextStore, HeldContext } from '../contexts/context-store.ts';
import { manifestSchema } from '../contexts/manifest-schema.ts';
import type { BuildRuntime } from '../ports.ts';
import { buildMessageSchema, imageFormatSchema } from './build-message.ts';
import { packTree, unpackTree } from './folder-archive.ts';
import { performBuild, toFormat } from './perform-request.ts';

export interface BuilderApiParts {
  readonly builder: Builder;
  readonly runtime: BuildRuntime;
  readonly contexts: ContextStore;
  readonly log: Logger;
}

/** Held contexts that no build asks for go after this. */
const contextTimeoutMs = 10 * 60_000;
const evictionIntervalMs = 10 * 60_000;
const maxManifestBytes = 512 << 20;
const maxMessageBytes = 64 << 20;

/**
 * The builder for local clients, on the agent's own socket (`gantry build` is one). A build is three calls: the client says what its context has, sends
 * the files that are missing, and asks for the build, whose answer is lines of JSON until its result.
 *
 *     POST /builder/contexts?name=NAME      [[path, stamp]…]  →  { id, missing: [path…] }
 *     POST /builder/contexts/ID             an archive of the missing files
 *     POST /builder/builds                  what to build     →  lines: events, then a result or an error
 *     GET  /builder/images/ID/files         an archive of the image's tree
 *     GET  /builder/images/ID/layout?format=JSON[&tag=…]  the image as an OCI layout in a tar
 *     GET  /builder/cache · POST /builder/cache/prune · GET, PUT /builder/mounts/ID[?scope=]  archives of cache mounts
 */
export class BuilderApi implements Disposable {
  readonly #parts: BuilderApiParts;
  #evictedAt = Number.NEGATIVE_INFINITY;
  readonly #held = new Map<string, { context: HeldContext; timer: NodeJS.Timeout }>();

  constructor(parts: BuilderApiParts) {
    this.#parts = parts;
  }

  /** False when the path is not of this API. */
  async handle(request: IncomingMessage, response: ServerResponse, url: URL, signal: AbortSignal): Promise<boolean> {
    const [prefix, ...path] = url.pathname.split('/').slice(1).map(decodeURIComponent);
    if (prefix !== 'builder') return false;
    const [area = '', id, part] = path;
    const route = `${request.method ?? ''} ${area}${id === undefined ? '' : '/ID'}${part === undefined ? '' : `/${part}`}`;
    const handler = Object.hasOwn(this.#routes, route) ? this.#routes[route] : undefined;
    if (handler === undefined) throw new GantryError('not-found', 'there is nothing here');
    await handler({ request, response, url, id: id ?? '' }, signal);
    return true;
  }

  [Symbol.dispose](): void {
    for (const id of this.#held.keys()) this.#release(id);
  }

  readonly #routes: Readonly<Record<string, (call: Call, signal: AbortSignal) => Promise<void>>> = {
    'POST contexts': async ({ request, response, url }) => {
      const manifest = new Map(manifestSchema.parse(JSON.parse((await body(request, maxManifestBytes)).toString())));
      const context = await this.#parts.contexts.hold(url.searchParams.get('name') ?? '', manifest);
      const id = randomHex(16);
      this.#held.set(id, { context, timer: setTimeout(() => this.#release(id), contextTimeoutMs).unref() });
      answer(response, { id, missing: context.missing });
    },
    'POST contexts/ID': async ({ request, response, id }, signal) => {
      await this.#context(id).receive(request, signal);
      answer(response, {});
    },
    'DELETE contexts/ID': async ({ response, id }) => {
      this.#release(id);
      answer(response, {});
    },
    'POST builds': (call, signal) => this.#build(call, signal),
    'GET images/ID/files': async ({ response, id }, signal) => {
      const { config } = await this.#parts.runtime.resolveImage(id, 'missing', signal);
      await using tree = await this.#parts.runtime.openTree(config.rootfs.diff_ids, signal);
      await send(response, packTree(tree.rootPath, signal), signal);
    },
    'GET cache': async ({ response }) => answer(response, { ...this.#parts.builder.cacheUsage, mounts: await this.#parts.builder.cacheMounts.list() }),
    'GET images/ID/layout': async ({ response, url, id }, signal) => {
      const parsed = imageFormatSchema.safeParse(JSON.parse(url.searchParams.get('format') ?? '{}'));
      if (!parsed.success) throw new GantryError('invalid', 'malformed format of an image');
      const image = await this.#parts.runtime.resolveImage(id, 'missing', signal);
      response.writeHead(200, { 'content-type': 'application/x-tar' });
      await this.#parts.runtime.saveLayout(image.id, url.searchParams.getAll('tag'), toFormat(parsed.data), response, signal);
    },
    'POST cache/ID': async ({ response, id }) => {
      if (id !== 'prune') throw new GantryError('not-found', 'there is nothing here');
      answer(response, await this.#parts.builder.prune());
    },
    'GET mounts/ID': async ({ response, url, id }, signal) => {
      using held = this.#parts.builder.cacheMounts.holdExisting(id, url.searchParams.get('scope') ?? '');
      await send(response, packTree(held.folder, signal), signal);
    },
    'PUT mounts/ID': async ({ request, response, url, id }, signal) => {
      await this.#parts.builder.cacheMounts.replace(id, url.searchParams.get('scope') ?? '', (folder) => unpackTree(request, folder, signal));
      answer(response, {});
    },
  };

  async #build({ request, response }: Call, signal: AbortSignal): Promise<void> {
    const parsed = buildMessageSchema.safeParse(JSON.parse((await body(request, maxMessageBytes)).toString()));
    // Never the values: there are secrets among them.
    if (!parsed.success) throw new GantryError('invalid', `malformed request: ${parsed.error.issues.map(({ path, code }) => `${path.join('.')}: ${code}`).join(', ')}`);
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    const say = (reply: BuildReply): void => void response.write(`${JSON.stringify(reply)}\n`);
    const used = [parsed.data.context, ...Object.values(parsed.data.contexts)].flatMap((context) => ('held' in context ? [context.held] : []));
    try {
      say({ kind: 'result', ...(await performBuild(parsed.data, { ...this.#parts, contextOf: (id) => this.#complete(id) }, say, signal)) });
    } catch (error) {
      const { code } = toGantryError(error);
      if (code === 'internal' && !signal.aborted) this.#parts.log.warn('a build failed', { err: error });
      say({ kind: 'error', code, message: formatError(error) });
    } finally {
      for (const id of used) this.#release(id);
      this.#evictContexts();
    }
    response.end();
  }

  /** Measuring takes its time: now and then is enough, and nobody waits for it. */
  #evictContexts(): void {
    if (performance.now() - this.#evictedAt < evictionIntervalMs) return;
    this.#evictedAt = performance.now();
    this.#parts.contexts.evict().catch((error: unknown) => this.#parts.log.warn('contexts could not be brought within their budget', { err: error }));
  }

  #context(id: string): HeldContext {
    const held = this.#held.get(id);
    if (held === undefined) throw new GantryError('not-found', 'there is no such context; it is kept for ten minutes');
    held.timer.refresh();
    return held.context;
  }

  #complete(id: string): HeldContext {
    const context = this.#context(id);
    if (!context.isComplete) throw new GantryError('precondition-failed', 'the files of the context were not sent');
    return context;
  }

  #release(id: string): void {
    const held = this.#held.get(id);
    this.#held.delete(id);
    clearTimeout(held?.timer);
    held?.context[Symbol.dispose]();
  }
}

interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  readonly id: string;
}

function answer(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

async function send(response: ServerResponse, { tar, done }: { tar: Readable; done: Promise<void> }, signal: AbortSignal): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/x-tar' });
  await pipeline(tar, response, { signal, end: false });
  // The end says that all of it came.
  await done;
  response.end();
}

async function body(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) throw new GantryError('exhausted', `a request has more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

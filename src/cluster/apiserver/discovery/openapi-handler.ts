import { gunzip, gzipSync } from 'node:zlib';
import { promisify } from 'node:util';
import type { BuiltinSchemas } from '../../../api/mod.ts';
import { shortHash } from '../../../kernel/mod.ts';
import { encodeOpenApiV2 } from '../../../wire/mod.ts';
import type { Exchange } from '../handlers/exchange.ts';
import { serverVersion } from '../handlers/health.ts';
import type { KindRegistry } from '../kinds/registry.ts';
import { sendJson, sendText } from '../requests/respond.ts';
import { toOpenApiV2 } from './openapi-v2.ts';
import { openApiDocument } from './openapi.ts';

const gunzipAsync = promisify(gunzip);

/** Names of the v2 documents among the v3 ones, which are paths. */
const v2JsonName = 'v2 json';
const v2BinaryName = 'v2 protobuf';

interface Document { readonly hash: string; readonly compressed: Buffer }

/** Serves OpenAPI: v3 in one document for each group and version, v2 in one for all. Made when first asked for and kept compressed. */
export class OpenApiHandler {
  readonly #kinds: KindRegistry;
  readonly #schemas: BuiltinSchemas;
  readonly #documents = new Map<string, Document>();
  #generation = -1;

  constructor(kinds: KindRegistry, schemas: BuiltinSchemas) {
    this.#kinds = kinds;
    this.#schemas = schemas;
  }

  /** Answers an OpenAPI path; false for any other. */
  async serve(exchange: Exchange): Promise<boolean> {
    const { request, response, info, query } = exchange;
    if (info.verb !== 'get') return false;
    if (info.path === '/openapi/v2') return this.#serveV2(exchange);
    if (info.path !== '/openapi/v3' && !info.path.startsWith('/openapi/v3/')) return false;
    this.#forgetChanged();
    const path = info.path.slice('/openapi/v3/'.length);
    if (path === '') {
      const paths = Object.fromEntries(this.#groupVersions().map((name) => [name, { serverRelativeURL: `/openapi/v3/${name}?hash=${this.#document(name).hash}` }]));
      await sendJson(request, response, 200, { paths });
      return true;
    }
    if (!this.#groupVersions().includes(path)) return false;
    const document = this.#document(path);
    response.setHeader('etag', `"${document.hash}"`);
    if (query.get('hash') === document.hash) response.setHeader('cache-control', 'public, max-age=31536000, immutable');
    await this.#send(exchange, document);
    return true;
  }

  async #serveV2(exchange: Exchange): Promise<boolean> {
    this.#forgetChanged();
    const isBinary = (exchange.request.headers.accept ?? '').includes('proto-openapi.spec.v2');
    const name = isBinary ? v2BinaryName : v2JsonName;
    let document = this.#documents.get(name);
    if (document === undefined) {
      const parts = this.#groupVersions().map((path) => this.#make(path) as Parameters<typeof toOpenApiV2>[0][number]);
      const whole = toOpenApiV2(parts, serverVersion.gitVersion);
      const bytes = isBinary ? encodeOpenApiV2(whole) : Buffer.from(JSON.stringify(whole));
      this.#documents.set(name, (document = { hash: shortHash(Buffer.from(bytes).toString('latin1'), 32), compressed: gzipSync(bytes) }));
    }
    exchange.response.setHeader('etag', `"${document.hash}"`);
    await this.#send(exchange, document, isBinary ? 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf' : 'application/json');
    return true;
  }

  async #send({ request, response }: Exchange, { hash, compressed }: Document, contentType = 'application/json'): Promise<void> {
    if (request.headers['if-none-match'] === `"${hash}"`) return void response.writeHead(304).end();
    if (!/\bgzip\b/.test(request.headers['accept-encoding'] ?? '')) return sendText(request, response, 200, await gunzipAsync(compressed), contentType);
    response.writeHead(200, { 'content-type': contentType, 'content-encoding': 'gzip', 'content-length': compressed.length });
    response.end(compressed);
  }

  #forgetChanged(): void {
    if (this.#generation === this.#kinds.generation) return;
    // Built-in groups never change; a custom group's kinds may be in one of its documents only.
    const builtin = new Set(this.#kinds.all().filter(({ isCustom }) => !isCustom).map(({ type }) => pathOf(type.group, type.version)));
    for (const name of this.#documents.keys()) if (!builtin.has(name)) this.#documents.delete(name);
    this.#generation = this.#kinds.generation;
  }

  #groupVersions(): string[] {
    return [...new Set(this.#kinds.all().map(({ type }) => pathOf(type.group, type.version)))];
  }

  #make(name: string): unknown {
    const kinds = this.#kinds.all().filter(({ type }) => pathOf(type.group, type.version) === name);
    return openApiDocument(kinds, this.#schemas, serverVersion.gitVersion);
  }

  #document(name: string): Document {
    const known = this.#documents.get(name);
    if (known !== undefined) return known;
    const text = JSON.stringify(this.#make(name));
    const document = { hash: shortHash(text, 32).toUpperCase(), compressed: gzipSync(text) };
    this.#documents.set(name, document);
    return document;
  }
}

function pathOf(group: string, version: string): string {
  return group === '' ? `api/${version}` : `apis/${group}/${version}`;
}

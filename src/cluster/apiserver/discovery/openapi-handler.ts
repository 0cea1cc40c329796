import { gunzip, gzipSync } from 'node:zlib';
import { promisify } from 'node:util';
import type { BuiltinSchemas } from '../../../api/mod.ts';
import { shortHash } from '../../../kernel/mod.ts';
import type { Exchange } from '../handlers/exchange.ts';
import { serverVersion } from '../handlers/health.ts';
import type { KindRegistry } from '../kinds/registry.ts';
import { sendJson, sendText } from '../requests/respond.ts';
import { openApiDocument } from './openapi.ts';

const gunzipAsync = promisify(gunzip);

interface Document { readonly hash: string; readonly compressed: Buffer }

/** Serves `/openapi/v3`: one document for each group and version, made when first asked for and kept compressed. */
export class OpenApiHandler {
  readonly #kinds: KindRegistry;
  readonly #schemas: BuiltinSchemas;
  readonly #documents = new Map<string, Document>();
  #generation = -1;

  constructor(kinds: KindRegistry, schemas: BuiltinSchemas) {
    this.#kinds = kinds;
    this.#schemas = schemas;
  }

  /** Answers an OpenAPI path; false for any other, and for v2, which clients of 1.30 and later do without. */
  async serve(exchange: Exchange): Promise<boolean> {
    const { request, response, info, query } = exchange;
    if (info.verb !== 'get' || (info.path !== '/openapi/v3' && !info.path.startsWith('/openapi/v3/'))) return false;
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

  async #send({ request, response }: Exchange, { hash, compressed }: Document): Promise<void> {
    if (request.headers['if-none-match'] === `"${hash}"`) return void response.writeHead(304).end();
    if (!/\bgzip\b/.test(request.headers['accept-encoding'] ?? '')) return sendText(request, response, 200, await gunzipAsync(compressed));
    response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip', 'content-length': compressed.length });
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

  #document(name: string): Document {
    const known = this.#documents.get(name);
    if (known !== undefined) return known;
    const kinds = this.#kinds.all().filter(({ type }) => pathOf(type.group, type.version) === name);
    const text = JSON.stringify(openApiDocument(kinds, this.#schemas, serverVersion.gitVersion));
    const document = { hash: shortHash(text, 32).toUpperCase(), compressed: gzipSync(text) };
    this.#documents.set(name, document);
    return document;
  }
}

function pathOf(group: string, version: string): string {
  return group === '' ? `api/${version}` : `apis/${group}/${version}`;
}

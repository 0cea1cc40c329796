import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mediaTypes } from '../../../src/api/mod.ts';

/** What the registry answered. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The first error code of the body, or an empty text. */
  readonly code: string;
}

export interface Described { readonly mediaType: string; readonly digest: string; readonly size: number }

export function digestOf(bytes: Uint8Array | string, algorithm: 'sha256' | 'sha512' = 'sha256'): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}

/** Requests to one repository of a registry, as a client without any library would send them. */
export class RepositoryRequests {
  readonly origin: string;
  readonly name: string;

  constructor(origin: string, name: string) {
    this.origin = origin;
    this.name = name;
  }

  /** `path` is below the repository, or an absolute one, as a Location has it. */
  async send(method: string, path: string, headers: Record<string, string> = {}, body?: Uint8Array | string): Promise<Answer> {
    const url = path.startsWith('/v2/') ? `${this.origin}${path}` : `${this.origin}/v2/${this.name}/${path}`;
    const response = await fetch(url, { method, headers, redirect: 'manual', ...(body === undefined ? {} : { body: body as string }) });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, code: codeOf(text) };
  }

  async pushBlob(content: Uint8Array | string, mediaType: string = mediaTypes.ociLayer, algorithm: 'sha256' | 'sha512' = 'sha256'): Promise<Described> {
    const digest = digestOf(content, algorithm);
    const { status } = await this.send('POST', `blobs/uploads/?digest=${digest}`, {}, content);
    assert.equal(status, 201);
    return { mediaType, digest, size: Buffer.byteLength(content) };
  }

  /** The session of a new upload. */
  async beginUpload(query = ''): Promise<string> {
    const { status, headers } = await this.send('POST', `blobs/uploads/${query}`, { 'content-length': '0' });
    assert.equal(status, 202);
    return headers.get('location') ?? '';
  }

  /** An image with one layer; `extra` goes into its manifest. */
  async pushImage(tag: string, extra: object = {}): Promise<Described & { readonly body: string; readonly config: Described; readonly layer: Described }> {
    const config = await this.pushBlob('{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}', mediaTypes.ociConfig);
    const layer = await this.pushBlob(`layer of ${tag}`);
    const body = JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: [layer], ...extra });
    return { ...(await this.pushManifest(tag, mediaTypes.ociManifest, body)), body, config, layer };
  }

  async pushManifest(reference: string, mediaType: string, body: string): Promise<Described> {
    const { status, text } = await this.send('PUT', `manifests/${reference}`, { 'content-type': mediaType }, body);
    assert.equal(status, 201, text);
    return { mediaType, digest: digestOf(body), size: Buffer.byteLength(body) };
  }
}

function codeOf(text: string): string {
  try {
    return (JSON.parse(text) as { errors?: { code: string }[] }).errors?.[0]?.code ?? '';
  } catch {
    return '';
  }
}

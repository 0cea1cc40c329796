import { createHash } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import { lookup } from 'node:dns/promises';
import { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { type Descriptor, type Digest, formatImageReference, type ImageReference, mediaTypes } from '../../api/mod.ts';
import { GantryError, isError, throwIfAborted } from '../../kernel/mod.ts';
import type { RegistryCredentials } from '../ports.ts';
import { answerError, connectionError } from './answers.ts';
import { Authentication, type AuthenticationScope } from './authentication.ts';
import { type ConnectionOptions, Connections } from './connections.ts';
import { type Endpoint, RegistryHosts, type RegistryHostsConfig } from './hosts.ts';

export interface RegistryClientOptions extends RegistryHostsConfig, ConnectionOptions {
  /** Asked when a call brings no credentials. */
  readonly credentials?: (host: string, signal: AbortSignal) => Promise<RegistryCredentials | undefined>;
  /** The registry whose blobs lie on this machine, and how they come and go without being sent. */
  readonly neighbour?: NeighbourRegistry;
}

/** A registry on the same machine. It is asked and told as any other; only bytes that are here already are not sent. */
export interface NeighbourRegistry {
  /** `host:port`. */
  readonly host: string;
  /** Gives the blob that is about to be pushed to an empty upload. False when it has to be sent. */
  offer(digest: string, uploadId: string): Promise<boolean>;
  /** The file that the registry has for a blob. */
  fileOf(digest: string): string;
}

/** Who asks: given credentials, `none` for nobody, or undefined for the client's own where it has some. */
export type AskingCredentials = RegistryCredentials | 'none' | undefined;

/** The manifest or index that a reference names, as its bytes came. */
export interface FetchedDocument { readonly mediaType: string; readonly digest: Digest; readonly bytes: Uint8Array }

const maxManifestBytes = 4 << 20;
const maxRedirects = 5;
/** Pushed or seen blobs that are remembered for mounting. */
const maxKnownBlobs = 4096;
const accepted = [mediaTypes.ociIndex, mediaTypes.ociManifest, mediaTypes.dockerManifestList, mediaTypes.dockerManifest].join(', ');

interface Call {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT';
  /** Of the registry, or a whole URL the registry gave. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Opened for each try. */
  readonly body?: () => Readable | Uint8Array;
  /** Statuses that are results. */
  readonly ok: readonly number[];
  /** A repository that the call also reads. */
  readonly from?: string;
}

/** A client of any OCI registry. Disposing closes its connections. */
export class RegistryHttpClient implements AsyncDisposable {
  readonly #options: RegistryClientOptions;
  readonly #hosts: RegistryHosts;
  readonly #connections: Connections;
  readonly #authentication: Authentication;
  /** Where a blob was seen: another repository of the registry can mount it. */
  readonly #knownBlobs = new Map<string, string>();

  constructor(options: RegistryClientOptions) {
    this.#options = options;
    this.#hosts = new RegistryHosts(options);
    this.#connections = new Connections(options);
    this.#authentication = new Authentication(async ({ url, headers, form, isInsecure }, signal) => {
      const posted = form === undefined ? {} : { body: Buffer.from(form.toString()) };
      const allHeaders = form === undefined ? headers : { ...headers, 'content-type': 'application/x-www-form-urlencoded' };
      const { statusCode, headers: answered, body } = await this.#send({ url, method: form === undefined ? 'GET' : 'POST', headers: allHeaders, ...posted, isInsecure }, signal);
      return { status: statusCode, headers: answered, text: await limitedText(body, 1 << 20) };
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connections[Symbol.asyncDispose]();
  }

  /** The manifest or index, its digest checked when the reference has one. */
  async fetchManifest(reference: ImageReference, credentials: AskingCredentials, signal: AbortSignal): Promise<FetchedDocument> {
    const what = formatImageReference(reference);
    const name = reference.digest ?? reference.tag ?? 'latest';
    const call: Call = { method: 'GET', path: `/v2/${reference.repository}/manifests/${name}`, headers: { accept: accepted }, ok: [200] };
    const { headers, body } = await this.#pull(reference, call, credentials, what, signal);
    const bytes = await limitedBytes(body, maxManifestBytes, what);
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;
    if (reference.digest !== undefined && reference.digest !== digest) throw new GantryError('invalid', `${what}: the registry sent a manifest whose digest is ${digest}`);
    return { mediaType: headerOf(headers, 'content-type')?.split(';')[0]?.trim() ?? '', digest, bytes };
  }

  /** The digest of the manifest without the manifest, which rate limits do not count. Undefined when the registry does not say. */
  async findDigest(reference: ImageReference, credentials: AskingCredentials, signal: AbortSignal): Promise<string | undefined> {
    const call: Call = { method: 'HEAD', path: `/v2/${reference.repository}/manifests/${reference.digest ?? reference.tag ?? 'latest'}`, headers: { accept: accepted }, ok: [200] };
    const { headers, body } = await this.#pull(reference, call, credentials, formatImageReference(reference), signal);
    await body.dump();
    return headerOf(headers, 'docker-content-digest');
  }

  /** The blob from `offset` on, also when the registry does not do ranges. Not verified. */
  async fetchBlob(reference: ImageReference, descriptor: Descriptor, offset: number, credentials: AskingCredentials, signal: AbortSignal): Promise<Readable> {
    const what = `blob ${descriptor.digest} of ${reference.host}/${reference.repository}`;
    const headers: Record<string, string> = offset === 0 ? {} : { range: `bytes=${offset}-` };
    const call: Call = { method: 'GET', path: blobPath(reference, descriptor.digest), headers, ok: [200, 206] };
    const { statusCode, body } = await this.#pull(reference, call, credentials, what, signal);
    this.#remember(reference, descriptor.digest);
    const skip = statusCode === 200 ? offset : 0;
    return Readable.from(contentFrom(body, skip, what), { objectMode: false, highWaterMark: 1 << 20 });
  }

  async hasBlob(reference: ImageReference, digest: Digest, credentials: AskingCredentials, signal: AbortSignal): Promise<boolean> {
    const call: Call = { method: 'HEAD', path: blobPath(reference, digest), ok: [200, 404] };
    const { statusCode, body } = await this.#call(await this.#endpointOf(reference, signal), reference, call, 'pull,push', credentials, `blob ${digest} of ${reference.host}/${reference.repository}`, signal);
    await body.dump();
    if (statusCode === 200) this.#remember(reference, digest);
    return statusCode === 200;
  }

  /** Mounts the blob from a repository it was seen in, else uploads it in one request. Resolves to the repository it was mounted from. */
  async pushBlob(reference: ImageReference, descriptor: Descriptor, open: () => Readable, credentials: AskingCredentials, signal: AbortSignal): Promise<string | undefined> {
    return this.#pushBlob(reference, descriptor, open, credentials, true, signal);
  }

  async #pushBlob(reference: ImageReference, descriptor: Descriptor, open: () => Readable, credentials: AskingCredentials, mayOffer: boolean, signal: AbortSignal): Promise<string | undefined> {
    const endpoint = await this.#endpointOf(reference, signal);
    const what = `push of blob ${descriptor.digest} to ${reference.host}/${reference.repository}`;
    const from = this.#knownBlobs.get(`${reference.host} ${descriptor.digest}`);
    const source = from === undefined || from === reference.repository ? undefined : from;
    const mount = source === undefined ? '' : `?mount=${descriptor.digest}&from=${encodeURIComponent(source)}`;
    const begin: Call = { method: 'POST', path: `/v2/${reference.repository}/blobs/uploads/${mount}`, headers: { 'content-length': '0' }, ok: [201, 202], ...(source === undefined ? {} : { from: source }) };
    const begun = await this.#call(endpoint, reference, begin, 'pull,push', credentials, what, signal);
    await begun.body.dump();
    if (begun.statusCode === 202) {
      const upload = new URL(headerOf(begun.headers, 'location') ?? '', `${endpoint.origin}${begin.path}`);
      const isHanded = mayOffer && (await this.#offer(reference.host, descriptor.digest, upload));
      upload.searchParams.set('digest', descriptor.digest);
      const headers = { 'content-type': 'application/octet-stream', 'content-length': String(isHanded ? 0 : descriptor.size) };
      const call: Call = { method: 'PUT', path: upload.href, headers, ...(isHanded ? {} : { body: open }), ok: [201, 204, ...(isHanded ? [400, 404] : [])] };
      const { statusCode, body } = await this.#call(endpoint, reference, call, 'pull,push', credentials, what, signal);
      await body.dump();
      // The registry did not find it there: it is sent after all.
      if (statusCode >= 400) return this.#pushBlob(reference, descriptor, open, credentials, false, signal);
    }
    this.#remember(reference, descriptor.digest);
    return begun.statusCode === 201 ? from : undefined;
  }

  /** A file of this machine that should have the blob's bytes, when the registry is a neighbour and says that it has the blob. Not verified. */
  async findFile(reference: ImageReference, descriptor: Descriptor, credentials: AskingCredentials, signal: AbortSignal): Promise<string | undefined> {
    const { neighbour } = this.#options;
    if (neighbour?.host !== reference.host) return undefined;
    const call: Call = { method: 'HEAD', path: blobPath(reference, descriptor.digest), ok: [200, 404] };
    const { statusCode, body } = await this.#pull(reference, call, credentials, `blob ${descriptor.digest} of ${reference.host}/${reference.repository}`, signal);
    await body.dump();
    return statusCode === 200 ? neighbour.fileOf(descriptor.digest) : undefined;
  }

  async pushManifest(reference: ImageReference, mediaType: string, bytes: Uint8Array, credentials: AskingCredentials, signal: AbortSignal): Promise<Digest> {
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;
    const call: Call = { method: 'PUT', path: `/v2/${reference.repository}/manifests/${reference.tag ?? digest}`, headers: { 'content-type': mediaType }, body: () => bytes, ok: [201, 202] };
    const { body } = await this.#call(await this.#endpointOf(reference, signal), reference, call, 'pull,push', credentials, `push of ${formatImageReference(reference)}`, signal);
    await body.dump();
    return digest;
  }

  /** Whether a neighbour can have the bytes without their being sent. Its uploads end with their ids. */
  async #offer(host: string, digest: Digest, upload: URL): Promise<boolean> {
    const { neighbour } = this.#options;
    return neighbour?.host === host && neighbour.offer(digest, upload.pathname.split('/').at(-1) ?? '');
  }

  /**
   * Whether the registry takes the credentials: asks its base end point, never a mirror. Resolves to the identity token that its token server gives
   * for the password, if it gives one. `unauthenticated` when it refuses.
   */
  async login(host: string, credentials: RegistryCredentials, signal: AbortSignal): Promise<{ identityToken?: string }> {
    const endpoint = await this.#endpointOf({ host, repository: '' }, signal);
    const what = `Get "${endpoint.origin}/v2/"`;
    const ask = async (authorization: string | undefined): Promise<Dispatcher.ResponseData> => {
      const response = await this.#request(endpoint, { method: 'GET', path: '/v2/', ok: [200] }, authorization, what, signal);
      await response.body.dump();
      return response;
    };
    let response = await ask(undefined);
    let identityToken: string | undefined;
    const challenge = headerOf(response.headers, 'www-authenticate');
    if (response.statusCode === 401 && challenge !== undefined) {
      const answer = await this.#authentication.logIn(challenge, endpoint, credentials, signal);
      if (answer === undefined) throw new GantryError('unauthenticated', `${what}: the registry asks for other credentials than these`);
      identityToken = answer.identityToken;
      response = await ask(answer.authorization);
    }
    if (response.statusCode === 200) return identityToken === undefined ? {} : { identityToken };
    const code = response.statusCode === 401 ? 'unauthenticated' : response.statusCode === 403 ? 'forbidden' : 'unavailable';
    throw new GantryError(code, `login attempt to ${endpoint.origin}/v2/ failed with status: ${response.statusCode} ${STATUS_CODES[response.statusCode] ?? ''}`);
  }

  /** Asks mirrors first; the registry itself decides what cannot be had. */
  async #pull(reference: ImageReference, call: Call, credentials: AskingCredentials, what: string, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    const endpoints = await this.#hosts.endpointsOf(reference.host, 'pull', addressesOf);
    for (const endpoint of endpoints.slice(0, -1)) {
      try {
        // A mirror of several registries is told which one is meant (OCI distribution spec, "Registry Proxying").
        const mirrored = { ...call, path: `${call.path}?ns=${encodeURIComponent(reference.host)}` };
        return await this.#call(await this.#connections.resolve(endpoint, signal), reference, mirrored, 'pull', undefined, what, signal);
      } catch (error) {
        throwIfAborted(signal);
        if (!isError(error, 'not-found', 'unavailable', 'unauthenticated', 'forbidden', 'invalid', 'timeout')) throw error;
      }
    }
    return this.#call(await this.#connections.resolve(endpoints.at(-1) as Endpoint, signal), reference, call, 'pull', credentials, what, signal);
  }

  /** One request, with one more try after a challenge. */
  async #call(
    endpoint: Endpoint, reference: ImageReference, call: Call, actions: AuthenticationScope['actions'], given: AskingCredentials, what: string, signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    const credentials = endpoint.isMirror || given === 'none' ? undefined : (given ?? (await this.#options.credentials?.(reference.host, signal)));
    const scope: AuthenticationScope = { origin: endpoint.origin, repository: reference.repository, actions, isInsecure: endpoint.isInsecure, ...(call.from === undefined ? {} : { from: call.from }) };
    let response = await this.#request(endpoint, call, this.#authentication.kept(scope, credentials), what, signal);
    const challenge = headerOf(response.headers, 'www-authenticate');
    if (response.statusCode === 401 && challenge !== undefined) {
      await response.body.dump();
      this.#authentication.forget(scope, credentials);
      const authorization = await this.#authentication.answer(challenge, scope, credentials, signal);
      if (authorization === undefined) throw new GantryError('unauthenticated', `${what}: the registry asks for credentials`);
      response = await this.#request(endpoint, call, authorization, what, signal);
      if (response.statusCode === 401) this.#authentication.forget(scope, credentials);
    }
    if (call.ok.includes(response.statusCode)) return response;
    const text = await limitedText(response.body, 64 * 1024).catch(() => '');
    throw answerError(what, response.statusCode, text, headerOf(response.headers, 'retry-after'));
  }

  /** Follows redirects of reads; the Authorization header stays with the registry. */
  async #request(endpoint: Endpoint, call: Call, authorization: string | undefined, what: string, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    let url = new URL(call.path, `${endpoint.origin}/`);
    if (!/^https?:/.test(call.path)) url = new URL(`${endpoint.origin}${call.path}`);
    for (let redirects = 0; ; redirects += 1) {
      const isOwn = url.origin === new URL(endpoint.origin).origin;
      const headers = { ...call.headers, ...(isOwn && authorization !== undefined ? { authorization } : {}) };
      const body = call.body?.();
      try {
        const response = await this.#send({ url: url.href, method: call.method, headers, ...(body === undefined ? {} : { body }), isInsecure: endpoint.isInsecure && isOwn }, signal);
        const location = headerOf(response.headers, 'location');
        const isRedirect = [301, 302, 303, 307, 308].includes(response.statusCode) && location !== undefined && (call.method === 'GET' || call.method === 'HEAD');
        if (!isRedirect) return response;
        await response.body.dump();
        if (redirects === maxRedirects) throw new GantryError('unavailable', `${what}: more than ${maxRedirects} redirects`);
        url = new URL(location, url);
      } catch (error) {
        throwIfAborted(signal);
        if (!isError(error)) this.#connections.forget(endpoint);
        throw connectionError(what, error);
      }
    }
  }

  async #endpointOf(reference: ImageReference, signal: AbortSignal): Promise<Endpoint> {
    const [endpoint] = await this.#hosts.endpointsOf(reference.host, 'push', addressesOf);
    return this.#connections.resolve(endpoint as Endpoint, signal);
  }

  async #send(request: { url: string; method: Call['method']; headers: Record<string, string>; body?: Readable | Uint8Array; isInsecure: boolean }, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    const url = new URL(request.url);
    const pool = await this.#connections.poolFor(url, request.isInsecure);
    return pool.request({ origin: url.origin, path: `${url.pathname}${url.search}`, method: request.method, headers: request.headers, body: request.body ?? null, signal });
  }

  #remember(reference: ImageReference, digest: Digest): void {
    const key = `${reference.host} ${digest}`;
    this.#knownBlobs.delete(key);
    this.#knownBlobs.set(key, reference.repository);
    if (this.#knownBlobs.size > maxKnownBlobs) this.#knownBlobs.delete(this.#knownBlobs.keys().next().value ?? '');
  }
}

/** Opens a client; nothing is sent yet. `invalid` when the configuration is. */
export function openRegistryClient(options: RegistryClientOptions = {}): RegistryHttpClient {
  return new RegistryHttpClient(options);
}

async function addressesOf(name: string): Promise<string[]> {
  return (await lookup(name, { all: true })).map(({ address }) => address);
}

function blobPath(reference: ImageReference, digest: Digest): string {
  return `/v2/${reference.repository}/blobs/${digest}`;
}

function headerOf(headers: Dispatcher.ResponseData['headers'], name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

async function limitedBytes(body: AsyncIterable<Uint8Array>, maxBytes: number, what: string): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of body) {
      size += chunk.byteLength;
      if (size > maxBytes) throw new GantryError('exhausted', `${what}: the registry sent more than ${maxBytes} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    throw connectionError(what, error);
  }
  return Buffer.concat(chunks);
}

async function limitedText(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<string> {
  return (await limitedBytes(body, maxBytes, 'answer')).toString();
}

async function* contentFrom(body: AsyncIterable<Uint8Array>, skipBytes: number, what: string): AsyncGenerator<Uint8Array> {
  let skip = skipBytes;
  try {
    for await (const chunk of body) {
      if (skip < chunk.byteLength) yield skip === 0 ? chunk : chunk.subarray(skip);
      skip = Math.max(0, skip - chunk.byteLength);
    }
  } catch (error) {
    throw connectionError(what, error);
  }
}

import type { Readable } from 'node:stream';
import { Agent, type Dispatcher } from 'undici';
import { cancelled, type ErrorCode, GantryError, isError, retry } from '../../kernel/mod.ts';
import { emptyHash, hashOf, type S3Credentials, signRequest } from './signature.ts';

export interface S3BucketOptions {
  /** For example `https://s3.eu-central-1.amazonaws.com` or `http://127.0.0.1:9000`. Buckets are named in the path. */
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly credentials: S3Credentials;
}

/** What is sent: opened anew for each try. */
export interface S3Body {
  readonly open: () => Readable | Buffer;
  readonly sizeBytes: number;
  /** Hex SHA-256: the service refuses other bytes. */
  readonly hash: string;
}

interface S3Request {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  readonly key: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: S3Body;
}

export interface S3Object { readonly key: string; readonly sizeBytes: number; readonly modifiedAtMs: number }

const attempts = { attempts: 4, backoff: { initialMs: 100, factor: 3, maxMs: 2000, jitter: 0.2 } };

/**
 * The few operations of the S3 API that blobs need. What fails for the service's reasons is tried again. `not-found` for missing objects;
 * `unavailable` when the service cannot be reached or refuses to work; `forbidden` when it does not accept the credentials.
 */
export class S3Bucket implements AsyncDisposable {
  readonly #options: S3BucketOptions;
  readonly #agent = new Agent({ headersTimeout: 60_000, bodyTimeout: 60_000, connect: { timeout: 15_000 } });

  constructor(options: S3BucketOptions) {
    this.#options = options;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
  }

  async head(key: string, signal: AbortSignal): Promise<S3Object | undefined> {
    try {
      const { headers } = await this.#send({ method: 'HEAD', key }, signal);
      return { key, sizeBytes: Number(headers['content-length']), modifiedAtMs: Date.parse(String(headers['last-modified'])) };
    } catch (error) {
      if (isError(error, 'not-found')) return undefined;
      throw error;
    }
  }

  /** Bytes `[start, end)`, which must be within the object and not empty. */
  async get(key: string, { start, end }: { start: number; end: number }, signal: AbortSignal): Promise<Readable> {
    const { body } = await this.#send({ method: 'GET', key, headers: { range: `bytes=${start}-${end - 1}` } }, signal);
    return body;
  }

  async put(key: string, body: S3Body, signal: AbortSignal): Promise<void> {
    await this.#text({ method: 'PUT', key, body }, signal);
  }

  async delete(key: string, signal: AbortSignal): Promise<void> {
    await this.#text({ method: 'DELETE', key }, signal);
  }

  /** Every object whose key begins so, in order. */
  async *list(prefix: string, signal: AbortSignal): AsyncIterable<S3Object> {
    for (let token: string | undefined = ''; token !== undefined; ) {
      const query: Record<string, string> = { 'list-type': '2', prefix, ...(token === '' ? {} : { 'continuation-token': token }) };
      const page = await this.#text({ method: 'GET', key: '', query }, signal);
      for (const entry of elements(page, 'Contents')) {
        yield { key: element(entry, 'Key'), sizeBytes: Number(element(entry, 'Size')), modifiedAtMs: Date.parse(element(entry, 'LastModified')) };
      }
      token = element(page, 'IsTruncated') === 'true' ? element(page, 'NextContinuationToken') : undefined;
    }
  }

  /** Sends an object in parts (each but the last at least 5 MiB); it is there when all are. Nothing stays when it fails. */
  async putParts(key: string, parts: AsyncIterable<S3Body>, signal: AbortSignal): Promise<void> {
    const uploadId = element(await this.#text({ method: 'POST', key, query: { uploads: '' } }, signal), 'UploadId');
    try {
      const tags: string[] = [];
      for await (const body of parts) {
        const { headers, body: answer } = await this.#send({ method: 'PUT', key, query: { partNumber: String(tags.length + 1), uploadId }, body }, signal);
        await answer.dump();
        tags.push(String(headers['etag']));
      }
      const document = Buffer.from(`<CompleteMultipartUpload>${tags.map((tag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>${tag}</ETag></Part>`).join('')}</CompleteMultipartUpload>`);
      const answer = await this.#text({ method: 'POST', key, query: { uploadId }, body: bodyOf(document) }, signal);
      // The service may find that it cannot after it has begun to answer with 200.
      if (answer.includes('<Error>')) throw new GantryError('unavailable', `${key}: ${explain(answer)}`);
    } catch (error) {
      await this.#text({ method: 'DELETE', key, query: { uploadId } }, AbortSignal.timeout(10_000)).catch(() => undefined);
      throw error;
    }
  }

  /** Gives up uploads in parts that a stop left behind. `unsupported` by services that cannot list them. */
  async abortParts(prefix: string, signal: AbortSignal): Promise<void> {
    const answer = await this.#text({ method: 'GET', key: '', query: { uploads: '', prefix } }, signal);
    for (const upload of elements(answer, 'Upload')) await this.#text({ method: 'DELETE', key: element(upload, 'Key'), query: { uploadId: element(upload, 'UploadId') } }, signal);
  }

  async #text(request: S3Request, signal: AbortSignal): Promise<string> {
    return (await this.#send(request, signal)).body.text();
  }

  async #send(request: S3Request, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    return retry(() => this.#try(request, signal), { ...attempts, isRetryable: (error) => isError(error, 'unavailable') }, signal);
  }

  async #try({ method, key, query = {}, headers = {}, body }: S3Request, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    const { endpoint, region, bucket, credentials } = this.#options;
    const url = new URL(`${endpoint.replace(/\/+$/, '')}/${bucket}${key === '' ? '' : `/${key}`}`);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const sized = body === undefined ? headers : { ...headers, 'content-length': String(body.sizeBytes) };
    const signed = signRequest({ method, url, headers: sized, bodyHash: body?.hash ?? emptyHash }, credentials, region, new Date());
    let response: Dispatcher.ResponseData;
    try {
      response = await this.#agent.request({ origin: url.origin, path: `${url.pathname}${url.search}`, method, headers: signed, body: body?.open() ?? null, signal });
    } catch (error) {
      if (signal.aborted) throw cancelled(signal);
      throw new GantryError('unavailable', `${endpoint} cannot be reached: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
    const { statusCode } = response;
    if (statusCode < 300) return response;
    const text = (await response.body.text()).slice(0, 10_000);
    throw new GantryError(codeOf(statusCode), `${method} ${bucket}/${key}: ${explain(text) || `the service answered ${statusCode}`}`, { details: { status: statusCode } });
  }
}

function codeOf(status: number): ErrorCode {
  if (status === 404) return 'not-found';
  if (status === 401 || status === 403) return 'forbidden';
  if (status === 501) return 'unsupported';
  return status >= 500 || status === 429 || status === 408 ? 'unavailable' : 'internal';
}

/** A small document as a body. */
function bodyOf(bytes: Buffer): S3Body {
  return { open: () => bytes, sizeBytes: bytes.length, hash: hashOf(bytes) };
}

function explain(text: string): string {
  return [element(text, 'Code'), element(text, 'Message')].filter((part) => part !== '').join(': ');
}

/** The contents of every element of the name. Keys and ids of ours need no entities but those of quotes. */
function elements(document: string, name: string): string[] {
  return [...document.matchAll(new RegExp(`<${name}>(.*?)</${name}>`, 'gs'))].map(([, content = '']) => content);
}

function element(document: string, name: string): string {
  return (elements(document, name)[0] ?? '').replaceAll('&quot;', '"').replaceAll('&amp;', '&');
}

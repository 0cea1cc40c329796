import { createHash, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type S3Credentials, signRequest } from '../s3/signature.ts';

/** What the test server does instead of its work for a request: answers and returns true. */
export type S3Fault = (request: IncomingMessage, response: ServerResponse) => boolean;

export interface TestS3Server extends AsyncDisposable {
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly credentials: S3Credentials;
  /** `METHOD key?query` of every request. */
  readonly requests: string[];
  /** Uploads in parts that are neither complete nor given up. */
  readonly openParts: () => number;
  fault: S3Fault | undefined;
}

const credentials: S3Credentials = { accessKeyId: 'test-key', secretAccessKey: 'test/secret+key' };
const region = 'test-region';
const bucket = 'blobs';
const pageSize = 3;

/**
 * An S3 service in memory: objects, ranges, lists in pages, uploads in parts (each but the last at least 5 MiB, as the real one). It refuses a request
 * whose signature, time, or body hash is wrong.
 */
export async function openTestS3Server(): Promise<TestS3Server> {
  const service = new S3Service();
  const server = createServer((request, response) => void service.handle(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return Object.assign(service, {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, region, bucket, credentials,
    openParts: () => service.uploads.size,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

class S3Service {
  readonly requests: string[] = [];
  readonly uploads = new Map<string, { key: string; parts: Map<number, Buffer> }>();
  fault: S3Fault | undefined;
  readonly #objects = new Map<string, { content: Buffer; at: Date }>();

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', `http://${request.headers.host}`);
    const key = decodeURIComponent(url.pathname).slice(`/${bucket}/`.length);
    this.requests.push(`${request.method} ${key}${url.search}`);
    if (this.fault?.(request, response) === true) return;
    const body = Buffer.concat((await request.toArray()) as Buffer[]);
    const refusal = refuse(request, url, body);
    if (refusal !== undefined) return fail(response, 403, refusal);
    const uploadId = url.searchParams.get('uploadId');
    if (key === '') return url.searchParams.has('uploads') ? this.#listUploads(response) : this.#list(response, url.searchParams);
    if (url.searchParams.has('uploads')) return this.#beginParts(response, key);
    if (uploadId !== null) return this.#parts(request.method ?? '', response, key, uploadId, Number(url.searchParams.get('partNumber')), body);
    return this.#object(request, response, key, body);
  }

  #object(request: IncomingMessage, response: ServerResponse, key: string, body: Buffer): void {
    const found = this.#objects.get(key);
    if (request.method === 'PUT') {
      this.#objects.set(key, { content: body, at: new Date() });
      response.writeHead(200, { etag: `"${md5(body)}"` }).end();
    } else if (request.method === 'DELETE') {
      this.#objects.delete(key);
      response.writeHead(204).end();
    } else if (found === undefined) fail(response, 404, 'NoSuchKey');
    else {
      const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
      const content = first === undefined ? found.content : found.content.subarray(Number(first), Number(last) + 1);
      response.writeHead(first === undefined ? 200 : 206, { 'content-length': content.length, 'last-modified': found.at.toUTCString() });
      response.end(request.method === 'HEAD' ? undefined : content);
    }
  }

  #list(response: ServerResponse, query: URLSearchParams): void {
    const after = query.get('continuation-token') ?? '';
    const keys = [...this.#objects.keys()].filter((key) => key.startsWith(query.get('prefix') ?? '') && key > after).toSorted();
    const page = keys.slice(0, pageSize);
    const contents = page.map((key) => {
      const { content, at } = this.#objects.get(key) as { content: Buffer; at: Date };
      return `<Contents><Key>${key}</Key><LastModified>${at.toISOString()}</LastModified><ETag>&quot;${md5(content)}&quot;</ETag><Size>${content.length}</Size></Contents>`;
    });
    const isTruncated = keys.length > page.length;
    send(response, `<ListBucketResult><IsTruncated>${isTruncated}</IsTruncated>${contents.join('')}${isTruncated ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : ''}</ListBucketResult>`);
  }

  #listUploads(response: ServerResponse): void {
    send(response, `<ListMultipartUploadsResult>${[...this.uploads].map(([id, { key }]) => `<Upload><Key>${key}</Key><UploadId>${id}</UploadId></Upload>`).join('')}</ListMultipartUploadsResult>`);
  }

  #beginParts(response: ServerResponse, key: string): void {
    const id = randomBytes(8).toString('hex');
    this.uploads.set(id, { key, parts: new Map() });
    send(response, `<InitiateMultipartUploadResult><Key>${key}</Key><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`);
  }

  #parts(method: string, response: ServerResponse, key: string, id: string, partNumber: number, body: Buffer): void {
    const upload = this.uploads.get(id);
    if (upload?.key !== key) return fail(response, 404, 'NoSuchUpload');
    if (method === 'PUT') {
      upload.parts.set(partNumber, body);
      response.writeHead(200, { etag: `"${md5(body)}"` }).end();
    } else if (method === 'DELETE') {
      this.uploads.delete(id);
      response.writeHead(204).end();
    } else {
      const named = [...body.toString().matchAll(/<Part><PartNumber>(\d+)<\/PartNumber><ETag>"([0-9a-f]+)"<\/ETag><\/Part>/g)];
      const parts = named.map(([, number, tag]) => ({ tag, content: upload.parts.get(Number(number)) }));
      if (parts.length === 0 || parts.some(({ tag, content }) => content === undefined || md5(content) !== tag)) return fail(response, 400, 'InvalidPart');
      if (parts.slice(0, -1).some(({ content }) => (content?.length ?? 0) < 5 << 20)) return fail(response, 400, 'EntityTooSmall');
      this.#objects.set(key, { content: Buffer.concat(parts.map(({ content }) => content as Buffer)), at: new Date() });
      this.uploads.delete(id);
      send(response, `<CompleteMultipartUploadResult><Key>${key}</Key></CompleteMultipartUploadResult>`);
    }
  }
}

/** The error code of a request that the real service would not take either. */
function refuse(request: IncomingMessage, url: URL, body: Buffer): string | undefined {
  const { authorization = '' } = request.headers;
  const names = /SignedHeaders=([^,]+)/.exec(authorization)?.[1]?.split(';') ?? [];
  const time = String(request.headers['x-amz-date']).replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z');
  if (!(Math.abs(Date.parse(time) - Date.now()) < 900_000)) return 'RequestTimeTooSkewed';
  const bodyHash = String(request.headers['x-amz-content-sha256']);
  if (bodyHash !== createHash('sha256').update(body).digest('hex')) return 'XAmzContentSHA256Mismatch';
  const given = Object.fromEntries(names.filter((name) => !['host', 'x-amz-date', 'x-amz-content-sha256'].includes(name)).map((name) => [name, String(request.headers[name])]));
  const signed = signRequest({ method: request.method ?? '', url, headers: given, bodyHash }, credentials, region, new Date(time));
  return signed['authorization'] === authorization ? undefined : 'SignatureDoesNotMatch';
}

function md5(content: Buffer): string {
  return createHash('md5').update(content).digest('hex');
}

function send(response: ServerResponse, document: string): void {
  response.writeHead(200, { 'content-type': 'application/xml' }).end(`<?xml version="1.0" encoding="UTF-8"?>${document}`);
}

function fail(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { 'content-type': 'application/xml' }).end(`<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>refused</Message></Error>`);
}

import { rootCertificates } from 'node:tls';
import { Agent, type Dispatcher, EnvHttpProxyAgent } from 'undici';
import { readHostCertificates } from './certificates.ts';
import type { Endpoint } from './hosts.ts';

export interface ConnectionOptions {
  /** PEM certificates to trust instead of the built-in ones. */
  readonly certificateAuthorities?: string;
  /** A folder with a folder of certificates for each registry, as `/etc/docker/certs.d`. */
  readonly certificatesFolder?: string;
  readonly proxy?: { readonly http?: string; readonly https?: string; readonly noProxy?: string };
}

/** A transfer may take any time; one in which nothing moves for a minute is broken. */
const timeouts = { headersTimeout: 60_000, bodyTimeout: 60_000 };
const connectTimeoutMs = 15_000;
/** How long an insecure registry has to answer in TLS. */
const probeTimeoutMs = 5_000;

/** The connections to registries: one pool for each way of checking certificates. Disposing closes them. */
export class Connections implements AsyncDisposable {
  readonly #options: ConnectionOptions;
  readonly #pools = new Map<string, Dispatcher>();
  /** What insecure registries were found to speak. */
  readonly #schemes = new Map<string, 'http' | 'https'>();

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.close()));
  }

  /** The pool for a URL; `isInsecure` when its certificate is not to be checked. Certificates of the folder are read anew, so a change needs no restart. */
  async poolFor(url: URL, isInsecure: boolean): Promise<Dispatcher> {
    const { certificatesFolder } = this.#options;
    const own = url.protocol === 'http:' || certificatesFolder === undefined ? undefined : await readHostCertificates(certificatesFolder, url.host);
    const key = `${isInsecure ? 'insecure' : 'checked'} ${own?.hash ?? ''}`;
    const known = this.#pools.get(key);
    if (known !== undefined) return known;
    const ca = own === undefined || own.authorities.length === 0 ? this.#options.certificateAuthorities : [...own.authorities, ...(this.#options.certificateAuthorities === undefined ? rootCertificates : [this.#options.certificateAuthorities])];
    const tls = {
      ...(ca === undefined ? {} : { ca: typeof ca === 'string' ? ca : [...ca] }),
      ...(own?.client === undefined ? {} : { cert: own.client.certificate, key: own.client.key }),
      ...(isInsecure ? { rejectUnauthorized: false } : {}),
    };
    const pool = openPool(tls, this.#options.proxy);
    this.#pools.set(key, pool);
    return pool;
  }

  /** The endpoint with the scheme it speaks: an insecure registry is asked once whether it has TLS. */
  async resolve(endpoint: Endpoint, signal: AbortSignal): Promise<Endpoint> {
    if (!endpoint.isInsecure) return endpoint;
    const scheme = this.#schemes.get(endpoint.origin) ?? (await this.#probe(endpoint, signal));
    return scheme === 'https' ? endpoint : { ...endpoint, origin: endpoint.origin.replace(/^https:/, 'http:') };
  }

  /** The registry did not answer: it may come back speaking something else. */
  forget(endpoint: Endpoint): void {
    this.#schemes.delete(endpoint.origin.replace(/^http:/, 'https:'));
  }

  async #probe(endpoint: Endpoint, signal: AbortSignal): Promise<'http' | 'https'> {
    const url = new URL(endpoint.origin);
    const pool = await this.poolFor(url, true);
    try {
      const { body } = await pool.request({ origin: url.origin, path: '/v2/', method: 'GET', signal: AbortSignal.any([signal, AbortSignal.timeout(probeTimeoutMs)]) });
      await body.dump();
      this.#schemes.set(endpoint.origin, 'https');
      return 'https';
    } catch (error) {
      // Who does not listen at all has not said what it speaks.
      const isAbsent = ['ECONNREFUSED', 'ENOTFOUND', 'EHOSTUNREACH', 'UND_ERR_CONNECT_TIMEOUT'].includes((error as { code?: string }).code ?? '');
      if (!isAbsent && !signal.aborted) this.#schemes.set(endpoint.origin, 'http');
      return 'http';
    }
  }
}

function openPool(tls: Record<string, unknown>, proxy: ConnectionOptions['proxy']): Dispatcher {
  const connect = { timeout: connectTimeoutMs, ...tls };
  if (proxy === undefined) return new Agent({ ...timeouts, connect });
  const noProxy = ['localhost', '127.0.0.1', '::1', proxy.noProxy ?? ''].filter((name) => name !== '').join(',');
  return new EnvHttpProxyAgent({ ...timeouts, connect, httpProxy: proxy.http ?? '', httpsProxy: proxy.https ?? '', noProxy, requestTls: tls });
}

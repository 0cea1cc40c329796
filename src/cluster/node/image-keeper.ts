import { type k8s, type ImageReference, parseImageReference } from '../../api/mod.ts';
import { formatError, GantryError, isError } from '../../kernel/mod.ts';
import type { ConfigSource } from './config-source.ts';
import type { ContainerRuntime, ImageSummary, RegistryCredentials } from './ports.ts';

/** An image operation that failed, with the container's waiting reason. */
export type ImageFailureReason = 'ErrImagePull' | 'ErrImageNeverPull' | 'InvalidImageName';

export interface EnsuredImage {
  readonly image: ImageSummary;
  /** How long the pull took; undefined when the local image was used. */
  readonly pulledMs?: number;
}

/** Brings images to the node. Containers that need the same image at the same time share one pull. */
export class ImageKeeper {
  readonly #runtime: ContainerRuntime;
  readonly #source: ConfigSource;
  readonly #pulls = new Map<string, Promise<ImageSummary>>();

  constructor(runtime: ContainerRuntime, source: ConfigSource) {
    this.#runtime = runtime;
    this.#source = source;
  }

  /** The container's image by its pull policy (Kubernetes, "Image pull policy"). Errors carry the waiting reason in `details.reason`. */
  async ensure(pod: k8s.Pod, container: k8s.Container, onPull: () => void, signal: AbortSignal): Promise<EnsuredImage> {
    const name = container.image ?? '';
    const reference = parseReference(name);
    const policy = container.imagePullPolicy ?? (reference.tag === 'latest' && reference.digest === undefined ? 'Always' : 'IfNotPresent');
    // What a digest names cannot have changed.
    const mayUseLocal = policy !== 'Always' || reference.digest !== undefined;
    const local = mayUseLocal ? await this.#runtime.imageOf(name, signal) : undefined;
    if (local !== undefined) return { image: local };
    if (policy === 'Never') throw failure('not-found', 'ErrImageNeverPull', `Container image "${name}" is not present with pull policy of Never`);
    onPull();
    const startedAtMs = Date.now();
    try {
      const image = await this.#pull(name, await this.#credentials(pod, reference, signal), signal);
      return { image, pulledMs: Date.now() - startedAtMs };
    } catch (error) {
      if (signal.aborted) throw error;
      const code = isError(error) ? error.code : 'internal';
      throw failure(code, 'ErrImagePull', `failed to pull image "${name}": ${formatError(error)}`, error);
    }
  }

  async #pull(name: string, credentials: RegistryCredentials | undefined, signal: AbortSignal): Promise<ImageSummary> {
    const key = JSON.stringify([name, credentials?.username, credentials?.password]);
    const underWay = this.#pulls.get(key);
    // One that another pod's end cuts short is begun anew.
    if (underWay !== undefined) return underWay.catch((error: unknown) => (isError(error, 'cancelled') && !signal.aborted ? this.#pull(name, credentials, signal) : Promise.reject(error)));
    const pull = this.#runtime.pullImage(name, credentials, signal);
    this.#pulls.set(key, pull);
    try {
      return await pull;
    } finally {
      this.#pulls.delete(key);
    }
  }

  async #credentials(pod: k8s.Pod, reference: ImageReference, signal: AbortSignal): Promise<RegistryCredentials | undefined> {
    for (const { name = '' } of pod.spec?.imagePullSecrets ?? []) {
      const secret = await this.#source.secret(pod.metadata?.namespace ?? 'default', name, signal);
      const found = secret === undefined ? undefined : credentialsFor(secret, reference.host);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

/** The credentials for a registry host in a `kubernetes.io/dockerconfigjson` (or the older `dockercfg`) Secret, if any. */
export function credentialsFor(secret: k8s.Secret, host: string): RegistryCredentials | undefined {
  const text = secret.data?.['.dockerconfigjson'] ?? secret.data?.['.dockercfg'];
  if (text === undefined) return undefined;
  const config = parseJson(Buffer.from(text, 'base64').toString());
  const auths = isRecord(config['auths']) ? config['auths'] : config;
  for (const [server, entry] of Object.entries(auths)) {
    if (serverHost(server) !== host || !isRecord(entry)) continue;
    if (typeof entry['username'] === 'string' && typeof entry['password'] === 'string') return { username: entry['username'], password: entry['password'] };
    if (typeof entry['auth'] !== 'string') continue;
    const [username = '', ...password] = Buffer.from(entry['auth'], 'base64').toString().split(':');
    return { username, password: password.join(':') };
  }
  return undefined;
}

function serverHost(server: string): string {
  const host = server.replace(/^https?:\/\//, '').split('/')[0] ?? '';
  return host === 'index.docker.io' || host === 'registry-1.docker.io' ? 'docker.io' : host;
}

function parseReference(name: string): ImageReference {
  try {
    return parseImageReference(name);
  } catch (error) {
    throw failure('invalid', 'InvalidImageName', `Failed to apply default image tag "${name}": ${formatError(error)}`, error);
  }
}

function failure(code: GantryError['code'], reason: ImageFailureReason, message: string, cause?: unknown): GantryError {
  return new GantryError(code, message, { cause, details: { reason } });
}

function parseJson(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

import { GantryError } from '../../kernel/mod.ts';
import type { Digest } from './types.ts';

/** An image reference in full (distribution reference grammar): registry host, repository path, tag and/or digest. */
export interface ImageReference {
  readonly host: string;
  readonly repository: string;
  readonly tag?: string;
  readonly digest?: Digest;
}

/** The host of names that have none. A constant of the field: every client normalises names with it. */
export const defaultRegistryHost = 'docker.io';

const pathComponent = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$/;
const hostPattern = /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]+\])(?::\d+)?$/;
const tagPattern = /^\w[\w.-]{0,127}$/;
const digestPattern = /^sha256:[0-9a-f]{64}$/;

/** Parses `[host/]repository[:tag][@digest]`; without tag and digest the tag is `latest`. `invalid` names what is wrong. */
export function parseImageReference(text: string): ImageReference {
  const fail = (why: string): never => {
    throw new GantryError('invalid', `invalid image reference ${JSON.stringify(text)}: ${why}`);
  };
  const at = text.indexOf('@');
  const digest = at < 0 ? undefined : text.slice(at + 1);
  const named = at < 0 ? text : text.slice(0, at);
  if (digest !== undefined && !digestPattern.test(digest)) fail('the digest is not sha256: and 64 hex digits');
  const colon = named.lastIndexOf(':');
  const hasTag = colon > named.lastIndexOf('/');
  const tag = hasTag ? named.slice(colon + 1) : undefined;
  if (tag !== undefined && !tagPattern.test(tag)) fail('the tag has characters that are not allowed');
  const { host, repository } = splitHost(hasTag ? named.slice(0, colon) : named);
  // An address or port that does not exist passes the grammar, but no URL can be made of it.
  if (!hostPattern.test(host) || !URL.canParse(`https://${host}`)) fail('the registry host is malformed');
  if (repository === '' || !repository.split('/').every((part) => pathComponent.test(part))) fail('repository names are lower-case letters, digits and separators');
  if (host === defaultRegistryHost && /^library\/[0-9a-f]{64}$/.test(repository)) fail('64 hex digits are an image id, not a name');
  if (repository.length > 255) fail('the repository name is longer than 255 characters');
  return {
    host,
    repository,
    ...(tag === undefined && digest === undefined ? { tag: 'latest' } : tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest: digest as Digest }),
  };
}

function splitHost(name: string): { host: string; repository: string } {
  const slash = name.indexOf('/');
  const [host, path] = hasHost(name) ? [name.slice(0, slash), name.slice(slash + 1)] : [defaultRegistryHost, name];
  // The hub has two names, and its images of one word are in `library`.
  const isHub = host === defaultRegistryHost || host === 'index.docker.io';
  if (!isHub) return { host, repository: path };
  return { host: defaultRegistryHost, repository: path === '' || path.includes('/') ? path : `library/${path}` };
}

function hasHost(name: string): boolean {
  const slash = name.indexOf('/');
  const first = slash < 0 ? '' : name.slice(0, slash);
  return first === 'localhost' || /[.:[]/.test(first) || first !== first.toLowerCase();
}

/** The full name, for example `docker.io/library/node:24-slim`. */
export function formatImageReference(reference: ImageReference): string {
  return `${reference.host}/${reference.repository}${suffix(reference)}`;
}

/** The name as people write it: without the default host and `library/`. */
export function familiarImageReference(reference: ImageReference): string {
  if (reference.host !== defaultRegistryHost) return formatImageReference(reference);
  const short = reference.repository.replace(/^library\/(?=[^/]+$)/, '');
  // Without the host, `localhost/x` would be another registry's; a name must mean what it meant.
  const isClear = !hasHost(short) && (short !== reference.repository || short.includes('/'));
  return isClear ? `${short}${suffix(reference)}` : formatImageReference(reference);
}

function suffix({ tag, digest }: ImageReference): string {
  return `${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}

/** A digest from outside, or `invalid`. */
export function parseDigest(text: string): Digest {
  if (!digestPattern.test(text)) throw new GantryError('invalid', `invalid digest ${JSON.stringify(text.slice(0, 100))}: only sha256 is supported`);
  return text as Digest;
}

import { registryError } from './registry-error.ts';

/** A request's meaning: the end points of the OCI distribution spec, "Endpoints", and the token server's. Names and digests are validated. */
export type RegistryRoute =
  | { kind: 'base' }
  | { kind: 'catalog' }
  | { kind: 'token' }
  | { kind: 'tags'; repository: string }
  | { kind: 'manifest'; repository: string; reference: ManifestReference }
  | { kind: 'blob'; repository: string; digest: string }
  | { kind: 'uploads'; repository: string }
  | { kind: 'upload'; repository: string; id: string }
  | { kind: 'referrers'; repository: string; digest: string };

export type ManifestReference = { readonly tag: string } | { readonly digest: string };

const component = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const namePattern = new RegExp(`^${component}(?:/${component})*$`);
const tagPattern = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
const digestPattern = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

/** Undefined when the path is none of the registry's. `invalid` with NAME_INVALID, DIGEST_INVALID or TAG_INVALID for malformed parts. */
export function parseRoute(path: string): RegistryRoute | undefined {
  if (path === '/v2' || path === '/v2/') return { kind: 'base' };
  if (path === '/v2/_catalog') return { kind: 'catalog' };
  if (path === '/token') return { kind: 'token' };
  if (!path.startsWith('/v2/')) return undefined;
  const parts = path.slice('/v2/'.length).split('/');
  const last = parts.at(-1) ?? '';
  const before = parts.at(-2);
  const name = (count: number): string => checkedRepository(parts.slice(0, -count).join('/'));
  if (parts.length >= 4 && parts.at(-3) === 'blobs' && before === 'uploads') {
    return last === '' ? { kind: 'uploads', repository: name(3) } : { kind: 'upload', repository: name(3), id: last };
  }
  if (parts.length >= 3 && before === 'blobs' && last === 'uploads') return { kind: 'uploads', repository: name(2) };
  if (parts.length < 3) return undefined;
  if (before === 'manifests') return { kind: 'manifest', repository: name(2), reference: parseReference(last) };
  if (before === 'blobs') return { kind: 'blob', repository: name(2), digest: checkedDigest(last) };
  if (before === 'referrers') return { kind: 'referrers', repository: name(2), digest: checkedDigest(last) };
  if (before === 'tags' && last === 'list') return { kind: 'tags', repository: name(2) };
  return undefined;
}

/** A digest from outside, or DIGEST_INVALID. */
export function checkedDigest(text: string): string {
  if (!digestPattern.test(text)) throw registryError('invalid', 'DIGEST_INVALID', `invalid digest ${JSON.stringify(text.slice(0, 100))}: sha256 and sha512 are supported`);
  return text;
}

/** A repository name from outside, or NAME_INVALID. */
export function checkedRepository(name: string): string {
  if (name.length > 255 || !namePattern.test(name)) throw registryError('invalid', 'NAME_INVALID', `invalid repository name ${JSON.stringify(name.slice(0, 300))}`);
  return name;
}

/** A tag from outside, or TAG_INVALID. */
export function checkedTag(text: string): string {
  if (!tagPattern.test(text)) throw registryError('invalid', 'TAG_INVALID', `invalid tag ${JSON.stringify(text.slice(0, 200))}`);
  return text;
}

function parseReference(text: string): ManifestReference {
  if (text.includes(':')) return { digest: checkedDigest(text) };
  return { tag: checkedTag(text) };
}

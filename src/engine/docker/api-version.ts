import { GantryError } from '../../kernel/mod.ts';

/** A version of the Docker Engine API as `major * 1000 + minor`, so that versions compare as numbers. */
export type ApiVersion = number & { readonly brand: 'ApiVersion' };

/** The versions served. Older clients are refused with a message that tells the lowest. */
export const minApiVersion = 1041 as ApiVersion;
export const maxApiVersion = 1050 as ApiVersion;

/** `1.41` as clients write it. */
export function formatApiVersion(version: ApiVersion): string {
  return `${Math.floor(version / 1000)}.${version % 1000}`;
}

/** Splits `/v1.44/info` into version and path; without a version it is the newest. `invalid` outside of what is served. */
export function splitVersion(path: string): { version: ApiVersion; path: string } {
  const match = /^\/v(\d{1,3})\.(\d{1,3})(\/.*)$/.exec(path);
  if (match === null) return { version: maxApiVersion, path };
  const version = (Number(match[1]) * 1000 + Number(match[2])) as ApiVersion;
  const name = formatApiVersion(version);
  if (version < minApiVersion) throw new GantryError('invalid', `client version ${name} is too old. Minimum supported API version is ${formatApiVersion(minApiVersion)}, please upgrade your client to a newer version`);
  if (version > maxApiVersion) throw new GantryError('invalid', `client version ${name} is too new. Maximum supported API version is ${formatApiVersion(maxApiVersion)}`);
  return { version, path: match[3] ?? '/' };
}

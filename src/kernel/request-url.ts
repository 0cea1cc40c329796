import { GantryError } from './errors.ts';

/**
 * The target of an HTTP request as a URL, for its path and its query; the host means nothing. Not `new URL(target, base)`: that takes the first
 * name of `//name/…` for a host, and throws for `///`. `invalid` for what is neither a path nor a URL (RFC 9112, 3.2).
 */
export function requestUrl(target = '/'): URL {
  const url = target.startsWith('/') ? URL.parse(`http://gantry.invalid${target}`) : URL.parse(target);
  if (url === null) throw new GantryError('invalid', `the request target ${JSON.stringify(target.slice(0, 100))} is no path`);
  return url;
}

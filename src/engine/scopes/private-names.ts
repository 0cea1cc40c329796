import { formatImageReference, parseImageReference } from '../../api/mod.ts';

/** A reserved top-level domain (RFC 2606): no registry can have such a name. */
const domain = 'scope.invalid';

/**
 * The name under which the store keeps what a scope calls `name`: `<scope>.scope.invalid/<host>/<repository>:<tag>`.
 * The port of a registry becomes `__`, which no host name has.
 */
export function privateReference(scopeId: string, name: string): string {
  const { host, repository, ...rest } = parseImageReference(name);
  return formatImageReference(parseImageReference(formatImageReference({ host: `${scopeId}.${domain}`, repository: `${encodeHost(host)}/${repository}`, ...rest })));
}

/** What the scope calls it, or undefined when the name is not the scope's. Without a scope: any scope's. */
export function publicReference(scopeId: string | undefined, full: string): string | undefined {
  const reference = parseImageReference(full);
  const { host, repository, ...rest } = reference;
  const isPrivate = scopeId === undefined ? host.endsWith(`.${domain}`) : host === `${scopeId}.${domain}`;
  const slash = repository.indexOf('/');
  if (!isPrivate || slash < 0) return undefined;
  return formatImageReference({ host: decodeHost(repository.slice(0, slash)), repository: repository.slice(slash + 1), ...rest });
}

/** One `__` for a port, two for an IPv6 address in hex; host names have no underscores. They are compared without case. */
function encodeHost(host: string): string {
  const ipv6 = /^\[([0-9a-fA-F:]+)\](?::(\d+))?$/.exec(host);
  if (ipv6 === null) return host.toLowerCase().replace(':', '__');
  return `ipv6__${Buffer.from((ipv6[1] ?? '').toLowerCase()).toString('hex')}__${ipv6[2] ?? 'none'}`;
}

function decodeHost(text: string): string {
  const ipv6 = /^ipv6__([0-9a-f]+)__(\d+|none)$/.exec(text);
  if (ipv6 === null) return text.replace('__', ':');
  return `[${Buffer.from(ipv6[1] ?? '', 'hex').toString()}]${ipv6[2] === 'none' ? '' : `:${ipv6[2] ?? ''}`}`;
}

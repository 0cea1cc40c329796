import { GantryError, isError } from '../../../kernel/mod.ts';
import type { ContainerId, ContainerLink, EndpointSpec, NetworkAttachment } from '../../types.ts';
import type { HostConfigRequest } from '../requests/create-container.ts';

/** `name`, `name:alias`, or as inspect tells it `/name:/parent/alias`. `invalid` says what is wrong with it. */
export function parseLink(text: string): { container: string; alias: string } {
  const parts = text.split(':');
  const [name = '', alias = name] = parts;
  const isTold = name.startsWith('/');
  const link = { container: isTold ? name.slice(1) : name, alias: isTold ? alias.slice(alias.lastIndexOf('/') + 1) : alias };
  if (parts.length > 2 || link.container === '') throw new GantryError('invalid', `bad format for links: ${text}`);
  // It becomes a word of /etc/hosts and of variables' names.
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(link.alias)) throw new GantryError('invalid', `bad format for links: ${text}: invalid alias ${JSON.stringify(link.alias)}`);
  return link;
}

/**
 * `HostConfig.Links`: on the default network links to containers, on another one names that only this container has, as those of its
 * endpoint are. `invalid` where there is neither.
 */
export function planLinks(host: HostConfigRequest, network: NetworkAttachment, find: (name: string) => { id: ContainerId; ports: readonly string[] }): { links: ContainerLink[]; endpointLinks: NonNullable<EndpointSpec['links']> } {
  if (host.Links.length === 0) return { links: [], endpointLinks: [] };
  if (network.mode !== 'bridge') throw new GantryError('invalid', `conflicting options: ${network.mode} type networking can't be used with links. This would result in undefined behavior`);
  const parsed = [...new Map(host.Links.map(parseLink).map((link) => [`${link.container}:${link.alias}`, link])).values()];
  if (network.endpoints[0]?.network !== 'bridge') return { links: [], endpointLinks: parsed };
  const twice = parsed.find(({ alias }, at) => parsed.findIndex((other) => other.alias === alias) !== at);
  if (twice !== undefined) throw new GantryError('invalid', `bad format for links: the alias ${twice.alias} is given twice`);
  const links = parsed.map(({ container, alias }): ContainerLink => {
    try {
      const { id, ports } = find(container);
      return { containerId: id, alias, ports: [...ports] };
    } catch (error) {
      if (isError(error, 'not-found')) throw new GantryError('invalid', `could not get container for ${container}: ${error.message}`, { cause: error });
      throw error;
    }
  });
  return { links, endpointLinks: [] };
}

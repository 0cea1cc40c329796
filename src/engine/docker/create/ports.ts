import { isIP } from 'node:net';
import { GantryError } from '../../../kernel/mod.ts';
import type { PortBinding } from '../../types.ts';

/** A port of a container, `80/tcp`. */
export interface ContainerPort { readonly port: number; readonly protocol: 'tcp' | 'udp' }

/** Parses `80`, `80/tcp` or `53/udp`. SCTP and ranges are refused: clients expand ranges themselves. */
export function parseContainerPort(text: string): ContainerPort {
  const match = /^(\d{1,5})(?:\/(\w+))?$/.exec(text);
  const port = Number(match?.[1]);
  const protocol = (match?.[2] ?? 'tcp').toLowerCase();
  if (match === null || port < 1 || port > 65_535) throw new GantryError('invalid', `invalid port specification: ${JSON.stringify(text)}`);
  if (protocol !== 'tcp' && protocol !== 'udp') throw new GantryError('unsupported', `ports of protocol ${protocol} are not supported: ${JSON.stringify(text)}`);
  return { port, protocol };
}

/** `-p` and `-P` of `docker run`: bindings asked for, and any free port for exposed ports when all are published. */
export function planPorts(bindings: Readonly<Record<string, readonly { HostIp?: string | undefined; HostPort?: string | undefined }[]>>, exposed: readonly string[], publishAll: boolean): PortBinding[] {
  const planned: PortBinding[] = [];
  for (const [name, list] of Object.entries(bindings)) {
    const { port, protocol } = parseContainerPort(name);
    // A port with an empty list is published on any free port, as Docker does.
    for (const { HostIp, HostPort } of list.length === 0 ? [{}] as typeof list : list) {
      planned.push({ protocol, containerPort: port, hostIp: checkedHostIp(HostIp ?? '', name), ...parseHostPort(HostPort ?? '') });
    }
  }
  if (!publishAll) return planned;
  for (const name of exposed) {
    const { port, protocol } = parseContainerPort(name);
    if (!planned.some((binding) => binding.containerPort === port && binding.protocol === protocol)) planned.push({ protocol, containerPort: port, hostIp: '', hostPort: 0 });
  }
  return planned;
}

/** One port, none for any free one, or a range of which the first free one is taken. */
function parseHostPort(text: string): { hostPort: number; hostPortLast?: number } {
  if (text === '') return { hostPort: 0 };
  const [first = -1, last = first] = /^\d{1,5}(-\d{1,5})?$/.test(text) ? text.split('-').map(Number) : [];
  if (first < 0 || last > 65_535 || last < first || (last > first && first === 0)) throw new GantryError('invalid', `invalid port specification: ${JSON.stringify(text)}`);
  return last === first ? { hostPort: first } : { hostPort: first, hostPortLast: last };
}

function checkedHostIp(text: string, name: string): string {
  const plain = text.replace(/^\[(.*)\]$/, '$1');
  if (plain !== '' && isIP(plain) === 0) throw new GantryError('invalid', `port ${name}: invalid IP address ${JSON.stringify(text)}`);
  return plain;
}

import { isIP } from 'node:net';

export interface PortSpec {
  /** `port/protocol`, ranges written out. */
  readonly ports: readonly string[];
  /** As written. */
  readonly protocol: string;
  /** The word also names an address or a port of the host, which EXPOSE has no use for. */
  readonly isMapping: boolean;
}

/** One EXPOSE word, `[[address:]host:]port[-port][/protocol]`; a message when it is malformed. */
export function parsePortSpec(text: string): PortSpec | { message: string } {
  const fail = (why: string): { message: string } => ({ message: `${JSON.stringify(text)} is no port (the form is port[-port][/tcp|udp|sctp]): ${why}` });
  const parts = text.split(':');
  const [container = '', protocol = ''] = (parts.at(-1) ?? '').split(/\/(.*)/s);
  const host = parts.at(-2) ?? '';
  const address = parts.slice(0, -2).join(':');
  if (!['', 'tcp', 'udp', 'sctp'].includes(protocol.toLowerCase())) return fail(`unknown protocol ${JSON.stringify(protocol)}`);
  if (address !== '' && isIP(address.replace(/^\[(.*)\]$/, '$1')) === 0) return fail(`${JSON.stringify(address)} is no address`);
  const range = parseRange(container);
  if (range === undefined) return fail(`${JSON.stringify(container)} is out of range or no number`);
  const hostRange = host === '' ? undefined : parseRange(host);
  if (host !== '' && hostRange === undefined) return fail(`${JSON.stringify(host)} is out of range or no number`);
  if (hostRange !== undefined && hostRange.length !== range.length && range.length !== 1) return fail('the ranges have different lengths');
  const written = protocol === '' ? 'tcp' : protocol;
  return { ports: range.map((port) => `${port}/${written.toLowerCase()}`), protocol: written, isMapping: address !== '' || host !== '' };
}

function parseRange(text: string): number[] | undefined {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  if (match === null) return undefined;
  const [first, last] = [Number(match[1]), Number(match[2] ?? match[1])];
  return last > 65_535 || first > last ? undefined : Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

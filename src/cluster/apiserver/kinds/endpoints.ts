import { isIP } from 'node:net';
import type { k8s } from '../../../api/mod.ts';
import type { FieldErrors } from '../validation/field-errors.ts';
import { nameProblem } from '../validation/names.ts';
import type { ColumnOf } from './define.ts';
import type { Strategy } from './kind.ts';

const protocols = ['SCTP', 'TCP', 'UDP'];

/** Endpoints: the form before EndpointSlices, which older clients still read. */
export const endpointsStrategy: Strategy<k8s.Endpoints> = {
  defaults({ subsets }) {
    for (const { ports } of subsets ?? []) for (const port of ports ?? []) port.protocol ??= 'TCP';
  },
  validate({ subsets }, errors) {
    for (const [index, subset] of (subsets ?? []).entries()) validateSubset(subset, `subsets[${index}]`, errors);
  },
};

function validateSubset({ addresses = [], notReadyAddresses = [], ports = [] }: k8s.EndpointSubset, at: string, errors: FieldErrors): void {
  if (addresses.length + notReadyAddresses.length === 0) errors.required(at, 'must specify `addresses` or `notReadyAddresses`');
  for (const [index, address] of addresses.entries()) validateAddress(address, `${at}.addresses[${index}]`, errors);
  for (const [index, address] of notReadyAddresses.entries()) validateAddress(address, `${at}.notReadyAddresses[${index}]`, errors);
  for (const [index, { name = '', port, protocol = '' }] of ports.entries()) {
    const place = `${at}.ports[${index}]`;
    if (name === '') {
      if (ports.length > 1) errors.required(`${place}.name`);
    } else {
      const problem = nameProblem('label', name);
      if (problem !== undefined) errors.invalid(`${place}.name`, name, problem);
    }
    if (port < 1 || port > 65_535) errors.invalid(`${place}.port`, port, 'must be between 1 and 65535, inclusive');
    if (!protocols.includes(protocol)) errors.unsupported(`${place}.protocol`, protocol, protocols);
  }
}

function validateAddress({ ip, hostname = '' }: k8s.EndpointAddress, at: string, errors: FieldErrors): void {
  const special = specialAddress(ip);
  if (isIP(ip) === 0) errors.invalid(`${at}.ip`, ip, 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)');
  else if (special !== undefined) errors.invalid(`${at}.ip`, ip, special);
  const problem = hostname === '' ? undefined : nameProblem('label', hostname);
  if (problem !== undefined) errors.invalid(`${at}.hostname`, hostname, problem);
}

/** Addresses that mean the machine that uses them are no endpoints: through them a Service would reach into its own node. */
function specialAddress(ip: string): string | undefined {
  if (ip === '0.0.0.0' || ip === '::') return 'may not be unspecified (0.0.0.0 or ::)';
  if (ip.startsWith('127.') || ip === '::1') return 'may not be in the loopback range (127.0.0.0/8, ::1/128)';
  if (ip.startsWith('169.254.') || /^fe[89ab]/i.test(ip)) return 'may not be in the link-local range (169.254.0.0/16, fe80::/10)';
  if (ip.startsWith('224.0.0.') || /^ff02/i.test(ip)) return 'may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)';
  return undefined;
}

const shownAddresses = 3;

/** Endpoints. */
export const endpointsColumns: readonly ColumnOf<k8s.Endpoints>[] = [{ name: 'Endpoints', type: 'string', description: 'Addresses with their ports.', cell: ({ subsets = [] }) => addressesText(subsets) }];

function addressesText(subsets: readonly k8s.EndpointSubset[]): string {
  if (subsets.length === 0) return '<none>';
  const all = subsets.flatMap(({ addresses = [], ports = [] }) =>
    ports.length === 0 ? addresses.map(({ ip }) => ip) : ports.flatMap(({ port }) => addresses.map(({ ip }) => (ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`))),
  );
  return all.length > shownAddresses ? `${all.slice(0, shownAddresses).join(',')} + ${all.length - shownAddresses} more...` : all.join(',');
}

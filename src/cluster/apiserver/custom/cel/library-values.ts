import type { Environment } from '@marcbachmann/cel-js';
import { isIP } from 'node:net';
import { formatQuantity, parseQuantity, type Quantity } from '../../../../api/mod.ts';
import { namedClass } from './named-class.ts';

/** A quantity in an expression. */
export class CelQuantity {
  readonly value: Quantity;

  constructor(value: Quantity) {
    this.value = value;
  }
}

const nanosPerUnit = 1_000_000_000n;

/** `quantity()` and what can be asked of one (Kubernetes CEL documentation, "Kubernetes quantity library"). */
export function registerQuantities(env: Environment): void {
  const type = 'kubernetes.Quantity';
  const parsed = (text: string): CelQuantity => new CelQuantity(parseQuantity(text));
  const other = (value: CelQuantity | bigint): bigint => (value instanceof CelQuantity ? value.value.nano : value * nanosPerUnit);
  const changed = (quantity: CelQuantity, nano: bigint): CelQuantity => new CelQuantity({ ...quantity.value, nano });
  env.registerType(type, { ctor: CelQuantity, fields: {} });
  env.registerFunction(`quantity(string): ${type}`, parsed);
  env.registerFunction('isQuantity(string): bool', (text: string) => isParsable(() => parsed(text)));
  env.registerFunction(`${type}.sign(): int`, ({ value }: CelQuantity) => (value.nano > 0n ? 1n : value.nano < 0n ? -1n : 0n));
  env.registerFunction(`${type}.isInteger(): bool`, ({ value }: CelQuantity) => value.nano % nanosPerUnit === 0n);
  env.registerFunction(`${type}.asInteger(): int`, ({ value }: CelQuantity) => {
    if (value.nano % nanosPerUnit !== 0n) throw new Error('cannot convert value to integer');
    return value.nano / nanosPerUnit;
  });
  env.registerFunction(`${type}.asApproximateFloat(): double`, ({ value }: CelQuantity) => Number(value.nano) / 1e9);
  env.registerFunction(`${type}.isGreaterThan(${type}): bool`, (a: CelQuantity, b: CelQuantity) => a.value.nano > b.value.nano);
  env.registerFunction(`${type}.isLessThan(${type}): bool`, (a: CelQuantity, b: CelQuantity) => a.value.nano < b.value.nano);
  env.registerFunction(`${type}.compareTo(${type}): int`, (a: CelQuantity, b: CelQuantity) => (a.value.nano < b.value.nano ? -1n : a.value.nano > b.value.nano ? 1n : 0n));
  for (const operand of [type, 'int']) {
    env.registerFunction(`${type}.add(${operand}): ${type}`, (a: CelQuantity, b: CelQuantity | bigint) => changed(a, a.value.nano + other(b)));
    env.registerFunction(`${type}.sub(${operand}): ${type}`, (a: CelQuantity, b: CelQuantity | bigint) => changed(a, a.value.nano - other(b)));
  }
  env.registerOperator(`${type} == ${type}`, (a: CelQuantity, b: CelQuantity) => a.value.nano === b.value.nano);
  env.registerFunction(`string(${type}): string`, ({ value }: CelQuantity) => formatQuantity(value));
}

/** A URL in an expression. Only absolute ones and absolute paths, as Go's url.ParseRequestURI has it. */
export class CelUrl {
  readonly url: URL;
  readonly isPath: boolean;

  constructor(text: string) {
    this.isPath = text.startsWith('/');
    if (!this.isPath && !/^[A-Za-z][A-Za-z0-9+.-]*:\/\//.test(text)) throw new Error(`URL parse error during conversion from string: parse ${JSON.stringify(text)}: invalid URI for request`);
    this.url = new URL(text, 'path://none');
  }
}

/** `url()` and its parts. */
export function registerUrls(env: Environment): void {
  const type = 'kubernetes.URL';
  const part = (name: string, get: (url: URL) => string): void => {
    env.registerFunction(`${type}.${name}(): string`, ({ url, isPath }: CelUrl) => (isPath && name !== 'getEscapedPath' ? '' : get(url)));
  };
  env.registerType(type, { ctor: CelUrl, fields: {} });
  env.registerFunction(`url(string): ${type}`, (text: string) => new CelUrl(text));
  env.registerFunction('isURL(string): bool', (text: string) => isParsable(() => new CelUrl(text)));
  part('getScheme', ({ protocol }) => protocol.slice(0, -1));
  part('getHost', ({ host }) => host);
  part('getHostname', ({ hostname }) => hostname.replace(/^\[(.*)\]$/, '$1'));
  part('getPort', ({ port }) => port);
  part('getEscapedPath', ({ pathname }) => pathname);
  env.registerFunction(`${type}.getQuery(): map<string, list<string>>`, ({ url }: CelUrl) => new Map([...new Set(url.searchParams.keys())].map((key) => [key, url.searchParams.getAll(key)])));
  env.registerOperator(`${type} == ${type}`, (a: CelUrl, b: CelUrl) => a.url.href === b.url.href);
}

/** An IP address or a range of them, as bits. */
export class CelAddress {
  readonly text: string;
  readonly family: 4 | 6;
  readonly bits: bigint;

  constructor(text: string) {
    const family = isIP(text);
    if (family === 0 || text.includes('%') || /^::ffff:\d+\./i.test(text)) throw new Error(`IP Address ${JSON.stringify(text)} parse error during conversion from string`);
    this.family = family === 4 ? 4 : 6;
    this.bits = family === 4 ? toBits(text.split('.').map(Number), 8n) : toBits(groupsOf(text), 16n);
    this.text = family === 4 ? text : new URL(`http://[${text}]`).hostname.slice(1, -1);
  }

  isIn(network: string): boolean {
    return new CelCidr(network).contains(this);
  }
}

/** An address with the length of its prefix. */
export class CelCidr {
  readonly address: CelAddress;
  readonly prefixLength: number;

  constructor(text: string) {
    const [address = '', length = '', ...rest] = text.split('/');
    if (rest.length > 0 || !/^(0|[1-9]\d{0,2})$/.test(length)) throw new Error(`network address parse error during conversion from string: invalid CIDR address: ${text}`);
    this.address = new CelAddress(address);
    this.prefixLength = Number(length);
    if (this.prefixLength > (this.address.family === 4 ? 32 : 128)) throw new Error(`network address parse error during conversion from string: invalid CIDR address: ${text}`);
  }

  contains({ family, bits }: CelAddress): boolean {
    const shift = BigInt((this.address.family === 4 ? 32 : 128) - this.prefixLength);
    return family === this.address.family && bits >> shift === this.address.bits >> shift;
  }

  masked(): CelCidr {
    const size = this.address.family === 4 ? 32 : 128;
    const shift = BigInt(size - this.prefixLength);
    return new CelCidr(`${fromBits((this.address.bits >> shift) << shift, this.address.family)}/${this.prefixLength}`);
  }
}

/** `ip()` and `cidr()` with what can be asked of them. */
export function registerAddresses(env: Environment): void {
  const [ip, cidr] = ['net.IP', 'net.CIDR'];
  env.registerType(ip, { ctor: CelAddress, fields: {} });
  env.registerType(cidr, { ctor: CelCidr, fields: {} });
  env.registerFunction(`ip(string): ${ip}`, (text: string) => new CelAddress(text));
  env.registerFunction('isIP(string): bool', (text: string) => isParsable(() => new CelAddress(text)));
  // `ip.isCanonical("::1")` is a function of a name with a dot; here `ip` is also a constant that has it.
  const IpNamespace = namedClass('IpNamespace');
  env.registerType('kubernetes.IpNamespace', { ctor: IpNamespace, fields: {} });
  env.registerConstant('ip', 'kubernetes.IpNamespace', new IpNamespace());
  env.registerFunction('kubernetes.IpNamespace.isCanonical(string): bool', (_: unknown, text: string) => new CelAddress(text).text === text);
  env.registerFunction(`${ip}.family(): int`, ({ family }: CelAddress) => BigInt(family));
  const is = (name: string, networks: readonly string[]): void => {
    env.registerFunction(`${ip}.${name}(): bool`, (address: CelAddress) => networks.some((network) => address.isIn(network)));
  };
  is('isUnspecified', ['0.0.0.0/32', '::/128']);
  is('isLoopback', ['127.0.0.0/8', '::1/128']);
  is('isLinkLocalMulticast', ['224.0.0.0/24', 'ff02::/16']);
  is('isLinkLocalUnicast', ['169.254.0.0/16', 'fe80::/10']);
  env.registerFunction(`${ip}.isGlobalUnicast(): bool`, (address: CelAddress) => !['0.0.0.0/32', '::/128', '127.0.0.0/8', '::1/128', '224.0.0.0/4', 'ff00::/8', '169.254.0.0/16', 'fe80::/10', '255.255.255.255/32'].some((network) => address.isIn(network)));
  env.registerFunction(`string(${ip}): string`, ({ text }: CelAddress) => text);
  env.registerOperator(`${ip} == ${ip}`, (a: CelAddress, b: CelAddress) => a.family === b.family && a.bits === b.bits);
  env.registerFunction(`cidr(string): ${cidr}`, (text: string) => new CelCidr(text));
  env.registerFunction('isCIDR(string): bool', (text: string) => isParsable(() => new CelCidr(text)));
  env.registerFunction(`${cidr}.containsIP(string): bool`, (range: CelCidr, text: string) => range.contains(new CelAddress(text)));
  env.registerFunction(`${cidr}.containsIP(${ip}): bool`, (range: CelCidr, address: CelAddress) => range.contains(address));
  const containsRange = (range: CelCidr, inner: CelCidr): boolean => inner.prefixLength >= range.prefixLength && range.contains(inner.address);
  env.registerFunction(`${cidr}.containsCIDR(string): bool`, (range: CelCidr, text: string) => containsRange(range, new CelCidr(text)));
  env.registerFunction(`${cidr}.containsCIDR(${cidr}): bool`, containsRange);
  env.registerFunction(`${cidr}.ip(): ${ip}`, ({ address }: CelCidr) => address);
  env.registerFunction(`${cidr}.masked(): ${cidr}`, (range: CelCidr) => range.masked());
  env.registerFunction(`${cidr}.prefixLength(): int`, ({ prefixLength }: CelCidr) => BigInt(prefixLength));
  env.registerFunction(`string(${cidr}): string`, ({ address, prefixLength }: CelCidr) => `${address.text}/${prefixLength}`);
  env.registerOperator(`${cidr} == ${cidr}`, (a: CelCidr, b: CelCidr) => a.prefixLength === b.prefixLength && a.address.family === b.address.family && a.address.bits === b.address.bits);
}

function toBits(parts: readonly number[], width: bigint): bigint {
  return parts.reduce((bits, part) => (bits << width) | BigInt(part), 0n);
}

/** The eight groups of an IPv6 address. */
function groupsOf(text: string): number[] {
  const plain = new URL(`http://[${text}]`).hostname.slice(1, -1);
  const [head = '', tail] = plain.split('::');
  const read = (part: string): number[] => (part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16)));
  if (tail === undefined) return read(head);
  const [before, after] = [read(head), read(tail)];
  return [...before, ...Array.from({ length: 8 - before.length - after.length }, () => 0), ...after];
}

function fromBits(bits: bigint, family: 4 | 6): string {
  const [count, width] = family === 4 ? [4, 8n] : [8, 16n];
  const parts = Array.from({ length: count }, (_, index) => Number((bits >> (BigInt(count - 1 - index) * width)) & ((1n << width) - 1n)));
  return family === 4 ? parts.join('.') : parts.map((part) => part.toString(16)).join(':');
}

function isParsable(parse: () => unknown): boolean {
  try {
    parse();
    return true;
  } catch {
    return false;
  }
}

import { GantryError } from '../kernel/mod.ts';

/** A Kubernetes quantity as an exact number of 10⁻⁹ units, with the notation it was written in. */
export interface Quantity {
  readonly nano: bigint;
  readonly format: 'decimal' | 'binary' | 'exponent';
}

const decimalSuffixes: Readonly<Record<string, number>> = { n: -9, u: -6, m: -3, '': 0, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };
const binarySuffixes: Readonly<Record<string, bigint>> = { Ki: 1n << 10n, Mi: 1n << 20n, Gi: 1n << 30n, Ti: 1n << 40n, Pi: 1n << 50n, Ei: 1n << 60n };
const grammar = /^([+-]?)(\d*)(?:\.(\d*))?(?:([eE][+-]?\d+)|([KMGTPE]i|[numkMGTPE]))?$/;

/** Reads `500m`, `1.5Gi`, `1e3`, `2`. What is finer than 10⁻⁹ rounds up. `invalid` when it is none. */
export function parseQuantity(text: string | number): Quantity {
  const match = grammar.exec(String(text));
  const [, sign = '', whole = '', fraction = '', exponent, suffix = ''] = match ?? [];
  if (match === null || (whole === '' && fraction === '')) {
    throw new GantryError('invalid', "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
  }
  const power = exponent === undefined ? (decimalSuffixes[suffix] ?? 0) : Math.max(-40, Math.min(40, Number(exponent.slice(1))));
  const multiplier = binarySuffixes[suffix] ?? 1n;
  const digits = BigInt(whole + fraction) * multiplier;
  const shift = power + 9 - fraction.length;
  const divisor = 10n ** BigInt(Math.max(0, -shift));
  const scaled = digits * 10n ** BigInt(Math.max(0, shift));
  const nano = (scaled + divisor - 1n) / divisor;
  const format = binarySuffixes[suffix] !== undefined ? 'binary' : exponent === undefined ? 'decimal' : 'exponent';
  return { nano: sign === '-' ? -nano : nano, format };
}

/** The canonical text: no fraction, the largest suffix that needs none (`0.5` → `500m`, `1024Mi` → `1Gi`). */
export function formatQuantity({ nano, format }: Quantity): string {
  if (nano === 0n) return '0';
  const unit = 1_000_000_000n;
  if (format === 'binary' && nano % unit === 0n) {
    const value = nano / unit;
    const best = Object.entries(binarySuffixes).findLast(([, size]) => value % size === 0n);
    return best === undefined ? String(value) : `${value / best[1]}${best[0]}`;
  }
  const suffixes = format === 'exponent' ? [-9, -6, -3, 0, 3, 6, 9, 12, 15, 18].map((power) => [power === 0 ? '' : `e${power}`, power] as const) : Object.entries(decimalSuffixes);
  const best = suffixes.findLast(([, power]) => nano % 10n ** BigInt(power + 9) === 0n);
  return best === undefined ? `${nano}n` : `${nano / 10n ** BigInt(best[1] + 9)}${best[0]}`;
}

/** The canonical text of a quantity as written. `invalid` as `parseQuantity`. */
export function canonicalQuantity(text: string | number): string {
  return formatQuantity(parseQuantity(text));
}

/** In whole units (bytes, cores), rounded up. 0 for undefined. */
export function quantityValue(text: string | number | undefined): number {
  return text === undefined ? 0 : Number(ceilDivide(parseQuantity(text).nano, 1_000_000_000n));
}

/** In thousandths (millicores), rounded up. 0 for undefined. */
export function quantityMilliValue(text: string | number | undefined): number {
  return text === undefined ? 0 : Number(ceilDivide(parseQuantity(text).nano, 1_000_000n));
}

function ceilDivide(value: bigint, divisor: bigint): bigint {
  const quotient = value / divisor;
  return value % divisor > 0n ? quotient + 1n : quotient;
}

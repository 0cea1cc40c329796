import { GantryError } from '../kernel/mod.ts';

const nano = 1_000_000_000n;

/** Suffix → how many nano-units one of it is (Kubernetes API, resource.Quantity). */
const suffixes: Readonly<Record<string, bigint>> = {
  n: 1n,
  u: 1_000n,
  m: 1_000_000n,
  '': nano,
  k: nano * 10n ** 3n,
  M: nano * 10n ** 6n,
  G: nano * 10n ** 9n,
  T: nano * 10n ** 12n,
  P: nano * 10n ** 15n,
  E: nano * 10n ** 18n,
  Ki: nano << 10n,
  Mi: nano << 20n,
  Gi: nano << 30n,
  Ti: nano << 40n,
  Pi: nano << 50n,
  Ei: nano << 60n,
};

/** A quantity such as `100m`, `1.5Gi` or `2e3`, exactly, in billionths of its unit (rounded up beyond that). `invalid` when it is none. */
export function parseQuantity(text: string): bigint {
  const match = /^([+-]?)(\d+(?:\.\d*)?|\.\d+)(?:[eE]([+-]?\d{1,3})|([num]|k|[MGTPE]|[KMGTPE]i)?)$/.exec(text);
  if (match === null) throw new GantryError('invalid', `${JSON.stringify(text)} is not a quantity: use a number and a suffix such as m, k, M, Ki or Mi`);
  const [, sign, number = '', exponent, suffix = ''] = match;
  const [whole = '', fraction = ''] = number.split('.');
  const unit = exponent === undefined ? (suffixes[suffix] ?? nano) : nano;
  const power = Number(exponent ?? '0') - fraction.length;
  const digits = BigInt(whole + fraction) * unit;
  const value = power >= 0 ? digits * 10n ** BigInt(power) : divideUp(digits, 10n ** BigInt(-power));
  return sign === '-' ? -value : value;
}

/** Thousandths, rounded up: what CPU is counted in. 0 for undefined. */
export function toMilli(quantity: string | undefined): number {
  return quantity === undefined ? 0 : Number(divideUp(parseQuantity(quantity), 1_000_000n));
}

/** Whole units, rounded up: bytes of memory, numbers of pods. 0 for undefined. */
export function toWhole(quantity: string | undefined): number {
  return quantity === undefined ? 0 : Number(divideUp(parseQuantity(quantity), nano));
}

/** CPU as Kubernetes writes it: `2`, `1500m`. */
export function formatMilli(milli: number): string {
  return milli % 1000 === 0 ? String(milli / 1000) : `${milli}m`;
}

/** Bytes with the largest binary suffix that loses nothing: `1Gi`, `1536Mi`, `1000`. */
export function formatBytes(sizeBytes: number): string {
  for (const [shift, suffix] of [[60, 'Ei'], [50, 'Pi'], [40, 'Ti'], [30, 'Gi'], [20, 'Mi'], [10, 'Ki']] as const) {
    if (sizeBytes !== 0 && sizeBytes % 2 ** shift === 0) return `${sizeBytes / 2 ** shift}${suffix}`;
  }
  return String(sizeBytes);
}

function divideUp(value: bigint, by: bigint): bigint {
  return value <= 0n ? value / by : (value + by - 1n) / by;
}

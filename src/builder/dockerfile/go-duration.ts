const unitNanoseconds: Readonly<Record<string, number>> = { ns: 1, us: 1e3, 'µs': 1e3, 'μs': 1e3, ms: 1e6, s: 1e9, m: 6e10, h: 3.6e12 };

/** Nanoseconds of a duration as Go writes it (`1h15m30.5s`, `0`), or undefined when it is none or negative. */
export function parseGoDuration(text: string): number | undefined {
  if (text === '0' || text === '+0') return 0;
  const body = text.startsWith('+') ? text.slice(1) : text;
  if (!/^(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/.test(body)) return undefined;
  let total = 0;
  for (const [, amount = '', unit = ''] of body.matchAll(/(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g)) total += Number(amount) * (unitNanoseconds[unit] ?? 0);
  return Math.round(total);
}

import type { Healthcheck } from '../../api/mod.ts';

/** `["a" "b"]`: how Go prints a quoted list. The history of CMD and ENTRYPOINT has this form. */
export function quotedList(values: readonly string[]): string {
  return `[${values.map((value) => JSON.stringify(value)).join(' ')}]`;
}

/** `[a b]` */
export function plainList(values: readonly string[]): string {
  return `[${values.join(' ')}]`;
}

/** `{Test:[CMD true] Interval:30s …}` */
export function healthcheckText(healthcheck: Healthcheck): string {
  const duration = (name: 'Interval' | 'Timeout' | 'StartPeriod' | 'StartInterval'): string => `${name}:${goDuration(healthcheck[name] ?? 0)}`;
  return `{Test:${plainList(healthcheck.Test ?? [])} ${duration('Interval')} ${duration('Timeout')} ${duration('StartPeriod')} ${duration('StartInterval')} Retries:${healthcheck.Retries ?? 0}}`;
}

/** Nanoseconds as Go prints durations: `1m30s`, `1.5s`, `500ms`, `0s`. */
export function goDuration(nanoseconds: number): string {
  if (nanoseconds === 0) return '0s';
  if (nanoseconds < 1e3) return `${nanoseconds}ns`;
  if (nanoseconds < 1e6) return `${nanoseconds / 1e3}µs`;
  if (nanoseconds < 1e9) return `${nanoseconds / 1e6}ms`;
  const hours = Math.floor(nanoseconds / 3.6e12);
  const minutes = Math.floor((nanoseconds % 3.6e12) / 6e10);
  const seconds = (nanoseconds % 6e10) / 1e9;
  if (hours > 0) return `${hours}h${minutes}m${seconds}s`;
  return minutes > 0 ? `${minutes}m${seconds}s` : `${seconds}s`;
}

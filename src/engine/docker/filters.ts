import { GantryError } from '../../kernel/mod.ts';

/** The `filters` of list end points: values by name. All names must fit, of one name's values any. */
export type Filters = ReadonlyMap<string, readonly string[]>;

/** Parses `{"name":["a","b"]}` and the older `{"name":{"a":true}}`. `invalid` for names outside of `known`. */
export function parseFilters(text: string | undefined, known: readonly string[]): Filters {
  if (text === undefined || text === '') return new Map();
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new GantryError('invalid', 'invalid filter: not JSON', { cause: error });
  }
  if (parsed === null || typeof parsed !== 'object' || Array.isArray(parsed)) throw new GantryError('invalid', 'invalid filter: not an object');
  const filters = new Map<string, readonly string[]>();
  for (const [name, value] of Object.entries(parsed)) {
    if (!known.includes(name)) throw new GantryError('invalid', `invalid filter '${name}'`);
    filters.set(name, valuesOf(name, value));
  }
  return filters;
}

function valuesOf(name: string, value: unknown): string[] {
  if (Array.isArray(value) && value.every((entry) => typeof entry === 'string')) return value;
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return Object.entries(value).flatMap(([key, isOn]) => (isOn === true ? [key] : []));
  throw new GantryError('invalid', `invalid filter '${name}': its values are no texts`);
}

/** Whether the filter is absent or one of its values passes. */
export function matchesAny(filters: Filters, name: string, passes: (value: string) => boolean): boolean {
  const values = filters.get(name);
  return values === undefined || values.length === 0 || values.some(passes);
}

/** Whether the labels have all that the filter names, as `key` or `key=value`. */
export function matchesLabels(filters: Filters, labels: Readonly<Record<string, string>>, name = 'label'): boolean {
  return (filters.get(name) ?? []).every((wanted) => hasLabel(labels, wanted));
}

/** Whether the labels have none that `label!` names. */
export function lacksLabels(filters: Filters, labels: Readonly<Record<string, string>>): boolean {
  return !(filters.get('label!') ?? []).some((unwanted) => hasLabel(labels, unwanted));
}

function hasLabel(labels: Readonly<Record<string, string>>, wanted: string): boolean {
  const equals = wanted.indexOf('=');
  if (equals < 0) return Object.hasOwn(labels, wanted);
  return labels[wanted.slice(0, equals)] === wanted.slice(equals + 1);
}

/** Names are matched as regular expressions with or without the leading slash, as Docker does; a bad expression is a plain part of the name. */
export function matchesName(name: string, pattern: string): boolean {
  try {
    const expression = new RegExp(pattern);
    return expression.test(name) || expression.test(`/${name}`);
  } catch {
    return name.includes(pattern);
  }
}

/** A filter of one flag: `1`, `true`, `0`, `false`. */
export function flagFilter(filters: Filters, name: string): boolean | undefined {
  const [value, ...rest] = filters.get(name) ?? [];
  if (value === undefined) return undefined;
  const isTrue = ['1', 'true'].includes(value.toLowerCase());
  if (rest.length > 0 || !(isTrue || ['0', 'false'].includes(value.toLowerCase()))) throw new GantryError('invalid', `invalid filter '${name}=[${[value, ...rest].join(' ')}]'`);
  return isTrue;
}

/** Times of `until` and `since`: Unix seconds with a fraction, RFC 3339, or a duration such as `24h` before now. */
export function parseTime(value: string, nowMs: number): Date {
  if (/^\d+(\.\d+)?$/.test(value)) return new Date(Number(value) * 1000);
  const duration = /^(?:\d+(?:\.\d+)?(?:h|m|s|ms))+$/.test(value) ? [...value.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s)/g)] : undefined;
  if (duration !== undefined) {
    const units: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };
    return new Date(nowMs - duration.reduce((total, [, amount, unit]) => total + Number(amount) * (units[unit ?? ''] ?? 0), 0));
  }
  const time = new Date(/^\d{4}-\d\d-\d\d(T[\d:.]+(Z|[+-]\d\d:\d\d)?)?$/.test(value) ? value : Number.NaN);
  if (Number.isNaN(time.getTime())) throw new GantryError('invalid', `invalid time ${JSON.stringify(value.slice(0, 100))}`);
  return time;
}

/** A time of a query as RFC 3339 with nanoseconds: clients send Unix seconds with nine digits of fraction. */
export function exactTime(value: string, nowMs: number): string {
  const [, seconds, fraction = ''] = /^(\d{1,12})(?:\.(\d{1,9}))?$/.exec(value) ?? [];
  if (seconds === undefined) return parseTime(value, nowMs).toISOString();
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19)}.${fraction.padEnd(9, '0')}Z`;
}

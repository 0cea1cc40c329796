import { Cron } from 'croner';

/** A parsed schedule of a CronJob. */
export interface CronSchedule {
  /** The first moment strictly after `afterMs`, in milliseconds since the epoch; undefined when there is none any more. */
  next(afterMs: number): number | undefined;
  /** For `@every`: the distance of runs. */
  readonly everyMs?: number;
}

const macros: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
};

const unitMs: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000 };
const fieldNames = ['minute', 'hour', 'day of month', 'month', 'day of week'];

/**
 * Parses a schedule as CronJobs have it: five fields with lists, ranges, steps and names, a macro such as `@daily`, or `@every 1h30m`.
 * `timeZone` is an IANA name, default UTC. Returns what is wrong as text: more than five fields and the extensions of other crons are refused.
 */
export function parseCronSchedule(schedule: string, timeZone = 'UTC'): CronSchedule | string {
  const text = schedule.trim();
  if (/^(CRON_)?TZ=/.test(text)) return 'cannot use TZ or CRON_TZ in schedule, use timeZone field instead';
  if (text.startsWith('@every ')) return parseEvery(text.slice('@every '.length).trim());
  const expression = text.startsWith('@') ? macros[text.toLowerCase()] : text;
  if (expression === undefined) return `unrecognized descriptor: ${text}`;
  const fields = expression.split(/\s+/);
  if (fields.length !== fieldNames.length) return `expected exactly 5 fields, found ${fields.length}: ${JSON.stringify(text)}`;
  const bad = fields.findIndex((field) => !/^[\dA-Za-z*?,/-]+$/.test(field) || /(^|[^A-Za-z])[LW]([^A-Za-z]|$)/i.test(field));
  if (bad >= 0) return `failed to parse ${fieldNames[bad] ?? ''} ${JSON.stringify(fields[bad])}`;
  try {
    const cron = new Cron(fields.map((field) => field.replaceAll('?', '*')).join(' '), { timezone: timeZone, paused: true, legacyMode: true });
    return { next: (afterMs) => cron.nextRun(new Date(afterMs))?.getTime() };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Whether this machine knows the time zone. `Local` is refused: it means something else on every machine. */
export function isTimeZone(name: string): boolean {
  if (name.toLowerCase() === 'local' || name === '') return false;
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}

function parseEvery(text: string): CronSchedule | string {
  if (!/^(\d+[hms])+$/.test(text)) return `failed to parse duration @every ${text}`;
  const everyMs = [...text.matchAll(/(\d+)([hms])/g)].reduce((sum, [, amount, unit]) => sum + Number(amount) * (unitMs[unit ?? ''] ?? 0), 0);
  if (everyMs < 1_000) return `failed to parse duration @every ${text}: must be at least 1s`;
  return { everyMs, next: (afterMs) => Math.floor(afterMs / 1_000) * 1_000 + everyMs };
}

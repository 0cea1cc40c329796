import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isTimeZone, parseCronSchedule } from './cron-schedule.ts';

function nextOf(schedule: string, after: string, timeZone?: string): string {
  const parsed = parseCronSchedule(schedule, timeZone);
  if (typeof parsed === 'string') return parsed;
  const next = parsed.next(Date.parse(after));
  return next === undefined ? 'never' : new Date(next).toISOString();
}

test('parseCronSchedule() finds the next moment', () => {
  const cases: [schedule: string, after: string, zone: string | undefined, next: string][] = [
    ['*/5 * * * *', '2030-01-01T00:00:00Z', undefined, '2030-01-01T00:05:00.000Z'],
    ['0 3 * * *', '2030-01-01T03:00:00Z', undefined, '2030-01-02T03:00:00.000Z'],
    ['30 9 * * mon-fri', '2030-01-04T10:00:00Z', undefined, '2030-01-07T09:30:00.000Z'],
    ['0 0 1,15 * ?', '2030-01-02T00:00:00Z', undefined, '2030-01-15T00:00:00.000Z'],
    // Both days restricted: either will do.
    ['0 0 13 * 5', '2030-01-01T00:00:00Z', undefined, '2030-01-04T00:00:00.000Z'],
    ['@hourly', '2030-01-01T00:10:00Z', undefined, '2030-01-01T01:00:00.000Z'],
    ['@every 1h30m', '2030-01-01T00:10:00Z', undefined, '2030-01-01T01:40:00.000Z'],
    ['0 9 * * *', '2030-07-01T00:00:00Z', 'Europe/Berlin', '2030-07-01T07:00:00.000Z'],
    ['0 9 * * *', '2030-12-01T00:00:00Z', 'Europe/Berlin', '2030-12-01T08:00:00.000Z'],
    ['0 9 * * *', '2030-07-01T00:00:00Z', 'America/New_York', '2030-07-01T13:00:00.000Z'],
  ];
  for (const [schedule, after, zone, next] of cases) assert.equal(nextOf(schedule, after, zone), next, schedule);
});

test('parseCronSchedule() says what is wrong', () => {
  for (const [schedule, problem] of [
    ['* * * *', /exactly 5 fields, found 4/],
    ['* * * * * *', /exactly 5 fields, found 6/],
    ['61 * * * *', /61|minute/],
    ['0 0 L * *', /day of month "L"/],
    ['@fortnightly', /unrecognized descriptor/],
    ['TZ=UTC 0 0 * * *', /use timeZone field instead/],
    ['@every soon', /duration/],
  ] as const) {
    const parsed = parseCronSchedule(schedule);
    assert.match(typeof parsed === 'string' ? parsed : 'parsed', problem, schedule);
  }
});

test('isTimeZone() knows IANA names only', () => {
  assert.deepEqual(['Europe/Berlin', 'Etc/UTC', 'Local', 'Mars/Olympus', ''].map(isTimeZone), [true, true, false, false, false]);
});

import type { Healthcheck } from '../../../api/mod.ts';
import { parseGoDuration } from '../go-duration.ts';
import type { HealthcheckInstruction } from '../instruction.ts';
import type { InstructionLine } from '../instruction-line.ts';

const durations = { interval: 'Interval', timeout: 'Timeout', 'start-period': 'StartPeriod', 'start-interval': 'StartInterval' } as const;

/** `HEALTHCHECK [--interval --timeout --start-period --start-interval --retries] CMD command`, or `HEALTHCHECK NONE`. */
export function parseHealthcheck(line: InstructionLine): HealthcheckInstruction {
  line.allowFlags({ interval: 'value', timeout: 'value', 'start-period': 'value', 'start-interval': 'value', retries: 'value' });
  const { text } = line.args;
  const end = /\s/.exec(text)?.index ?? text.length;
  const type = text.slice(0, end).toUpperCase();
  const rest = line.args.slice(end).trim();
  if (type === 'NONE') {
    if (rest.text !== '') line.failAt(rest.positionAt(0), 'HEALTHCHECK NONE takes no arguments');
    return { kind: 'HEALTHCHECK', healthcheck: { Test: ['NONE'] }, ...line.base };
  }
  if (type !== 'CMD') line.fail(`HEALTHCHECK is followed by CMD or NONE, not ${JSON.stringify(text.slice(0, end))}`);
  const command = line.command(rest);
  const test = command.form === 'exec' ? ['CMD', ...command.args] : ['CMD-SHELL', command.text];
  if (rest.text === '' || (command.form === 'exec' && command.args.length === 0)) line.fail('HEALTHCHECK CMD needs a command');
  return { kind: 'HEALTHCHECK', healthcheck: { Test: test, ...options(line) }, ...line.base };
}

function options(line: InstructionLine): Healthcheck {
  const healthcheck: Healthcheck = {};
  for (const [flag, field] of Object.entries(durations)) {
    const value = line.flag(flag);
    if (value === undefined) continue;
    const nanoseconds = parseGoDuration(value.text);
    if (nanoseconds === undefined) return line.failAt(value.position, `--${flag} is a duration such as 30s or 1m30s, not ${JSON.stringify(value.text)}`);
    if (nanoseconds !== 0 && nanoseconds < 1e6) return line.failAt(value.position, `--${flag} cannot be less than 1ms`);
    if (nanoseconds !== 0) healthcheck[field] = nanoseconds;
  }
  const retries = line.flag('retries');
  if (retries !== undefined) {
    if (!/^\d{1,9}$/.test(retries.text)) return line.failAt(retries.position, `--retries is a number that is not negative, not ${JSON.stringify(retries.text)}`);
    if (Number(retries.text) !== 0) healthcheck.Retries = Number(retries.text);
  }
  return healthcheck;
}

import { constants } from 'node:os';
import { GantryError } from '../../kernel/mod.ts';

/** `SIGTERM`, `term`, `15`, `SIGRTMIN+3` → the number. `invalid` for anything else. */
export function parseSignal(text: string): number {
  if (/^\d+$/.test(text)) {
    const number = Number(text);
    if (number >= 1 && number <= 64) return number;
  }
  const name = text.toUpperCase().startsWith('SIG') ? text.toUpperCase() : `SIG${text.toUpperCase()}`;
  const realTime = /^SIGRT(MIN\+|MAX-)(\d+)$/.exec(name);
  if (realTime !== null) {
    const offset = Number(realTime[2]);
    if (offset <= 30) return realTime[1] === 'MIN+' ? 34 + offset : 64 - offset;
  }
  const number = (constants.signals as Readonly<Record<string, number | undefined>>)[name] ?? { SIGRTMIN: 34, SIGRTMAX: 64 }[name];
  if (number === undefined) throw new GantryError('invalid', `Invalid signal: ${text}`);
  return number;
}

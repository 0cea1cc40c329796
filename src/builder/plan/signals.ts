import { constants } from 'node:os';

/** Whether STOPSIGNAL accepts the text: a number from 1 to 64, or a name with or without SIG, also SIGRTMIN+n and SIGRTMAX-n. */
export function isSignal(text: string): boolean {
  if (/^\d+$/.test(text)) return Number(text) >= 1 && Number(text) <= 64;
  const name = text.toUpperCase().replace(/^SIG/, '');
  if (/^RT(?:MIN(?:\+(?:[1-9]|1[0-5]))?|MAX(?:-(?:[1-9]|1[0-4]))?)$/.test(name)) return true;
  return Object.hasOwn(constants.signals, `SIG${name}`);
}

import { readFileSync } from 'node:fs';
import { unmount } from './syscalls.ts';

/** One line of /proc/self/mountinfo (proc_pid_mountinfo(5)). */
export interface Mount { readonly target: string; readonly type: string; readonly source: string; readonly options: string }

/** Every mount this process sees, in the kernel's order: later ones lie over or under earlier ones. */
export function readMounts(text: string = readFileSync('/proc/self/mountinfo', 'utf8')): Mount[] {
  return text.split('\n').filter((line) => line !== '').map((line) => {
    const [before = '', after = ''] = line.split(' - ');
    const [type = '', source = '', options = ''] = after.split(' ');
    return { target: unescapeField(before.split(' ')[4] ?? ''), type, source: unescapeField(source), options: unescapeField(options) };
  });
}

/** Spaces and the like are octal escapes in mountinfo. */
function unescapeField(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** Unmounts everything at or below the folder, newest first. Returns what was unmounted. */
export function unmountBelow(folder: string): string[] {
  const below = readMounts().map(({ target }) => target).filter((target) => target === folder || target.startsWith(`${folder}/`));
  for (const target of below.toReversed()) unmount(target, { lazy: true });
  return below;
}

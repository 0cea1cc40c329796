import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../../kernel/mod.ts';
import { procReceiveProgram } from '../git-command.ts';

/** Environment variables by which a push's hook finds the server; git passes them on. */
export const hookVariables = { socket: 'GANTRY_HOOK_SOCKET', token: 'GANTRY_HOOK_TOKEN' } as const;

/** Writes the one hook that all repositories share into the folder; core.hooksPath names it. */
export async function writeHooksFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, 'proc-receive');
  const script = [
    '#!/bin/sh',
    `exec 3<<EOF`,
    `$${hookVariables.socket}`,
    `$${hookVariables.token}`,
    'EOF',
    `exec ${shellQuote(process.execPath)} --disable-warning=ExperimentalWarning ${shellQuote(procReceiveProgram)}`,
    '',
  ];
  await writeFileAtomic(path, script.join('\n'), 0o700);
  await chmod(path, 0o700);
}

function shellQuote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

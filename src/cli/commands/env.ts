import { environmentOf } from '../../server/mod.ts';
import { print } from '../output.ts';
import { type InstanceOptions, openInstanceOf } from '../session.ts';

/** One `export NAME=value` line for each variable, quoted for a POSIX shell where needed. */
export async function env(options: InstanceOptions): Promise<void> {
  const variables = await environmentOf(await openInstanceOf(options));
  for (const [name, value] of Object.entries(variables)) print(`export ${name}=${shellQuote(value)}`);
}

/** Text as one word of a POSIX shell. */
export function shellQuote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

import type { ShellInstruction } from '../instruction.ts';
import type { InstructionLine } from '../instruction-line.ts';

/** `SHELL ["program", "argument"…]` */
export function parseShell(line: InstructionLine): ShellInstruction {
  line.allowFlags({});
  const shell = line.jsonList();
  if (shell === undefined) return line.fail('SHELL needs the JSON form, for example ["/bin/sh", "-c"]');
  if (shell.length === 0) return line.fail('SHELL needs at least one argument');
  return { kind: 'SHELL', shell, ...line.base };
}

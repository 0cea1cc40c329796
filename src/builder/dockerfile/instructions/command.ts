import type { CommandInstruction } from '../instruction.ts';
import type { InstructionLine } from '../instruction-line.ts';

/** `CMD` and `ENTRYPOINT`: JSON list or shell text; empty resets it. */
export function parseCommand(line: InstructionLine): CommandInstruction {
  line.allowFlags({});
  const command = line.args.text === '' ? ({ form: 'exec', args: [] } as const) : line.command();
  return { kind: line.keyword === 'CMD' ? 'CMD' : 'ENTRYPOINT', command, ...line.base };
}

import type { SingleValueInstruction } from '../instruction.ts';
import type { InstructionLine } from '../instruction-line.ts';

const kinds = ['WORKDIR', 'USER', 'STOPSIGNAL', 'MAINTAINER'] as const;

/** Instructions whose argument is the rest of the line. */
export function parseSingleValue(line: InstructionLine): SingleValueInstruction {
  line.allowFlags({});
  const kind = kinds.find((name) => name === line.keyword) ?? 'WORKDIR';
  return { kind, value: line.exactlyOne(), ...line.base };
}

import type { ListInstruction } from '../instruction.ts';
import type { InstructionLine } from '../instruction-line.ts';

/** `EXPOSE port…` and `VOLUME path…` (also as a JSON list). */
export function parseList(line: InstructionLine): ListInstruction {
  line.allowFlags({});
  const kind = line.keyword === 'EXPOSE' ? 'EXPOSE' : 'VOLUME';
  const values = kind === 'VOLUME' ? line.listOrWords() : line.words();
  if (values.length === 0) line.fail(`${kind} needs at least one argument`);
  for (const value of values) if (value.text.trim() === '') line.failAt(value.position, `${kind} arguments cannot be empty`);
  return { kind, values, ...line.base };
}

import { splitOnce } from '../flags.ts';
import type { ArgInstruction } from '../instruction.ts';
import type { InstructionLine } from '../instruction-line.ts';

/** `ARG name[=value] …` */
export function parseArg(line: InstructionLine): ArgInstruction {
  line.allowFlags({});
  const words = line.quotedWords();
  if (words.length === 0) line.fail('ARG needs at least one name');
  const args = words.map(({ text, position }) => {
    const [name, value] = splitOnce(text, '=');
    if (name === '') line.failAt(position, 'ARG names cannot be empty');
    const word = { text: name, position };
    if (value === undefined) return { name: word };
    return { name: word, value: { text: value, position: { line: position.line, column: position.column + name.length + 1 } } };
  });
  return { kind: 'ARG', args, ...line.base };
}

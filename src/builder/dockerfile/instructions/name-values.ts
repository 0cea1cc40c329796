import { splitOnce } from '../flags.ts';
import type { NameValuesInstruction } from '../instruction.ts';
import type { InstructionLine } from '../instruction-line.ts';

/** `ENV name=value …` and `LABEL name=value …`; the old form `ENV name value` takes the rest of the line as the value. */
export function parseNameValues(line: InstructionLine): NameValuesInstruction {
  line.allowFlags({});
  const kind = line.keyword === 'ENV' ? 'ENV' : 'LABEL';
  const words = line.quotedWords();
  const [first] = words;
  if (first === undefined) return line.fail(`${kind} needs at least one name=value`);
  if (!first.text.includes('=')) return { kind, pairs: [legacyPair(line, kind)], isLegacyForm: true, ...line.base };
  const pairs = words.map(({ text, position }) => {
    const [name, value] = splitOnce(text, '=');
    if (value === undefined) return line.failAt(position, `no = in ${JSON.stringify(text)}: the form is name=value`);
    if (name === '') return line.failAt(position, `${kind} names cannot be empty`);
    return { name: { text: name, position }, value: { text: value, position: { line: position.line, column: position.column + name.length + 1 } } };
  });
  return { kind, pairs, isLegacyForm: false, ...line.base };
}

function legacyPair(line: InstructionLine, kind: string): NameValuesInstruction['pairs'][number] {
  const { text } = line.args;
  const gap = /[\t\v\f\r ]+/.exec(text);
  if (gap === null) return line.fail(`${kind} needs a name and a value`);
  const end = gap.index + gap[0].length;
  return {
    name: { text: text.slice(0, gap.index), position: line.args.positionAt(0) },
    value: { text: text.slice(end), position: line.args.positionAt(end) },
  };
}

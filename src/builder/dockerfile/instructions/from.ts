import type { FromInstruction } from '../instruction.ts';
import type { InstructionLine } from '../instruction-line.ts';

const stageName = /^[a-z][a-z0-9-_.]*$/;

/** `FROM [--platform=…] image [AS name]` */
export function parseFrom(line: InstructionLine): FromInstruction {
  line.allowFlags({ platform: 'value' });
  const [base, as, name, ...rest] = line.words();
  if (base === undefined) return line.fail('FROM needs an image or a stage');
  if ((as !== undefined && as.text.toLowerCase() !== 'as') || (as !== undefined && name === undefined) || rest.length > 0) {
    line.failAt((rest[0] ?? as ?? base).position, 'FROM is an image, optionally followed by AS and a name');
  }
  if (name !== undefined && !stageName.test(name.text.toLowerCase())) {
    line.failAt(name.position, `a stage's name begins with a letter and has letters, digits and -_. only, not ${JSON.stringify(name.text)}`);
  }
  const platform = line.flag('platform');
  return {
    kind: 'FROM',
    base,
    ...(name === undefined || as === undefined ? {} : { name: name.text.toLowerCase(), alias: { as, name } }),
    ...(platform === undefined ? {} : { platform }),
    ...line.base,
  };
}

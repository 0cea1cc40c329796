import type { OnbuildInstruction } from '../instruction.ts';
import type { InstructionLine } from '../instruction-line.ts';

const forbidden = ['ONBUILD', 'FROM', 'MAINTAINER'];

/** `ONBUILD instruction`: kept as text and read again by the build that starts from the image. */
export function parseOnbuild(line: InstructionLine): OnbuildInstruction {
  line.allowFlags({});
  const [trigger] = line.words();
  if (trigger === undefined) return line.fail('ONBUILD needs an instruction');
  if (forbidden.includes(trigger.text.toUpperCase())) line.failAt(trigger.position, `${trigger.text.toUpperCase()} is not allowed as an ONBUILD trigger`);
  const heredocs = line.heredocs.map(({ content, name }) => `\n${content}${name}`);
  return { kind: 'ONBUILD', expression: line.args.text + heredocs.join(''), ...line.base };
}

import { parseHeredocMark } from '../heredoc.ts';
import type { CopyInstruction } from '../instruction.ts';
import type { InstructionLine } from '../instruction-line.ts';

const sharedFlags = { chown: 'value', chmod: 'value', link: 'boolean', exclude: 'values' } as const;

/** `COPY [--from --chown --chmod --link --parents --exclude] source… destination` */
export function parseCopy(line: InstructionLine): CopyInstruction {
  line.allowFlags({ ...sharedFlags, from: 'value', parents: 'boolean' });
  const from = line.flag('from');
  if (from?.text.includes('$') === true) line.failAt(from.position, 'variables are not expanded in --from; name the image with a FROM … AS stage');
  if (from?.text === '') line.failAt(from.position, '--from needs a stage or an image');
  return { ...parseTransfer(line, 'COPY'), ...(from === undefined ? {} : { from }), keepsParents: line.isFlagSet('parents') };
}

/** `ADD [--chown --chmod --link --exclude --checksum --keep-git-dir --unpack] source… destination` */
export function parseAdd(line: InstructionLine): CopyInstruction {
  line.allowFlags({ ...sharedFlags, checksum: 'value', 'keep-git-dir': 'boolean', unpack: 'boolean' });
  const checksum = line.flag('checksum');
  return {
    ...parseTransfer(line, 'ADD'),
    ...(checksum === undefined ? {} : { checksum }),
    ...(line.flag('unpack') === undefined ? {} : { unpacks: line.isFlagSet('unpack') }),
    ...(line.flag('keep-git-dir') === undefined ? {} : { keepsGitFolder: line.isFlagSet('keep-git-dir') }),
  };
}

function parseTransfer(line: InstructionLine, kind: 'COPY' | 'ADD'): CopyInstruction {
  const words = line.listOrWords();
  const destination = words.at(-1);
  if (words.length < 2 || destination === undefined) return line.fail(`${kind} needs at least one source and a destination`);
  const isList = line.jsonList() !== undefined;
  if (!isList && parseHeredocMark(destination.text) !== undefined) line.failAt(destination.position, `the destination of ${kind} cannot be a here-document`);
  const isInline = (text: string): boolean => !isList && parseHeredocMark(text) !== undefined;
  const [chown, chmod] = [line.flag('chown'), line.flag('chmod')];
  return {
    kind,
    sources: words.slice(0, -1).filter(({ text }) => !isInline(text)),
    inlineFiles: line.heredocs,
    destination,
    excludes: line.flagValues('exclude'),
    isLink: line.isFlagSet('link'),
    keepsParents: false,
    ...(chown === undefined ? {} : { chown }),
    ...(chmod === undefined ? {} : { chmod }),
    ...line.base,
  };
}

import { type ErrorPlace, isError } from '../../kernel/mod.ts';
import { type CheckOptions, defaultCheckOptions, parseCheckOptions } from '../lint/check-options.ts';
import type { ArgInstruction, FromInstruction, Instruction, StageInstruction } from './instruction.ts';
import { InstructionLine } from './instruction-line.ts';
import { instructionTable } from './instruction-table.ts';
import { lexDockerfile, type LogicalLine } from './lexer.ts';
import type { Position } from './located-text.ts';
import { nearest } from './nearest.ts';
import type { EscapeCharacter } from './shell-word.ts';
import { SourceFile } from './source-file.ts';

export interface Stage {
  readonly index: number;
  readonly from: FromInstruction;
  readonly instructions: readonly StageInstruction[];
}

export interface Dockerfile {
  readonly source: SourceFile;
  readonly escape: EscapeCharacter;
  /** ARG instructions before the first FROM. */
  readonly globalArgs: readonly ArgInstruction[];
  readonly stages: readonly Stage[];
  readonly emptyContinuations: readonly Position[];
  /** What `# check=` asks for. */
  readonly checkOptions: CheckOptions;
}

/** Text to stages. Throws one `invalid` error with every problem found, each with file, line, column and the line shown. */
export function parseDockerfile(text: string, fileName: string): Dockerfile {
  const source = new SourceFile(fileName, text);
  const lexed = lexDockerfile(source);
  const problems: ErrorPlace[] = [...lexed.problems];
  const check = lexed.directives.get('check');
  const checkOptions = parseCheckOptions(check?.value.split(' ')[0] ?? '');
  if (check !== undefined && 'message' in checkOptions) problems.push(source.place(check.position, checkOptions.message));
  const instructions = lexed.lines.flatMap((line) => parseLine(line, lexed.escape, source, problems) ?? []);
  const globalArgs: ArgInstruction[] = [];
  const stages: { index: number; from: FromInstruction; instructions: StageInstruction[] }[] = [];
  for (const instruction of instructions) {
    const stage = stages.at(-1);
    if (instruction.kind === 'FROM') stages.push({ index: stages.length, from: instruction, instructions: [] });
    else if (stage !== undefined) stage.instructions.push(instruction);
    else if (instruction.kind === 'ARG') globalArgs.push(instruction);
    else problems.push(source.place(instruction.position, `${instruction.kind} stands before the first FROM; only ARG can`));
  }
  if (stages.length === 0 && problems.length === 0) problems.push(source.place({ line: 1, column: 1 }, 'the Dockerfile has no FROM'));
  if (problems.length > 0) throw source.error(problems.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0)));
  return { source, escape: lexed.escape, globalArgs, stages, emptyContinuations: lexed.emptyContinuations, checkOptions: 'message' in checkOptions ? defaultCheckOptions : checkOptions };
}

/** One instruction from text that is not in the file: a base image's ONBUILD trigger. Its problems are told with `fileName`. */
export function parseTrigger(text: string, fileName: string): { instruction: StageInstruction; source: SourceFile } {
  const source = new SourceFile(fileName, text);
  const { lines, escape, problems: lexed } = lexDockerfile(source);
  const problems = [...lexed];
  const instructions = lines.flatMap((line) => parseLine(line, escape, source, problems) ?? []);
  const [instruction] = instructions;
  if (problems.length === 0 && (instructions.length !== 1 || instruction === undefined || instruction.kind === 'FROM')) {
    problems.push(source.place({ line: 1, column: 1 }, 'an ONBUILD trigger is one instruction other than FROM'));
  }
  if (problems.length > 0 || instruction === undefined || instruction.kind === 'FROM') throw source.error(problems);
  return { instruction, source };
}

function parseLine(line: LogicalLine, escape: EscapeCharacter, source: SourceFile, problems: ErrorPlace[]): Instruction | undefined {
  const instruction = new InstructionLine(line, escape);
  const parse = Object.hasOwn(instructionTable, instruction.keyword) ? instructionTable[instruction.keyword] : undefined;
  if (parse === undefined) {
    const guess = nearest(instruction.keyword, Object.keys(instructionTable));
    const word = /^\S*/.exec(line.text.text.trimStart())?.[0] ?? '';
    problems.push(source.place(instruction.position, `unknown instruction ${word}${guess === undefined ? '' : ` (did you mean ${guess}?)`}`));
    return undefined;
  }
  try {
    return parse(instruction);
  } catch (error) {
    if (!isError(error, 'invalid') || error.places.length === 0) throw error;
    problems.push(...error.places.map((place) => ({ ...place, file: source.name })));
    return undefined;
  }
}

import type { FromInstruction, Instruction } from '../dockerfile/instruction.ts';
import type { Dockerfile } from '../dockerfile/parse.ts';
import type { Linter } from './linter.ts';

const reserved = ['context', 'scratch'];

/** The rules that need only the file: casing, names of stages, comments, forms. */
export function lintStructure(dockerfile: Dockerfile, linter: Linter): void {
  const stages = dockerfile.stages.map(({ from }) => from);
  const inStages = dockerfile.stages.flatMap(({ from, instructions }): Instruction[] => [from, ...instructions]);
  for (const position of dockerfile.emptyContinuations) linter.reporter([])('NoEmptyContinuation', position, 'Empty continuation line');
  for (const from of stages) lintFrom(from, linter);
  lintStageNames(stages, linter);
  lintCasing(inStages, linter);
  for (const instruction of [...dockerfile.globalArgs, ...inStages]) lintInstruction(instruction, linter);
}

function lintFrom(from: FromInstruction, linter: Linter): void {
  const { alias } = from;
  if (alias === undefined) return;
  const report = linter.reporter(from.comments);
  if (alias.name.text !== alias.name.text.toLowerCase()) report('StageNameCasing', alias.name.position, `Stage name '${alias.name.text}' should be lowercase`);
  const wanted = from.keyword === from.keyword.toLowerCase() ? 'as' : from.keyword === from.keyword.toUpperCase() ? 'AS' : undefined;
  if (wanted !== undefined && alias.as.text !== wanted) report('FromAsCasing', alias.as.position, `'${alias.as.text}' and '${from.keyword}' keywords' casing do not match`);
}

function lintStageNames(stages: readonly FromInstruction[], linter: Linter): void {
  const seen = new Set<string>();
  for (const { name, alias, comments } of stages) {
    if (name === undefined || alias === undefined) continue;
    const report = linter.reporter(comments);
    if (reserved.includes(name)) report('ReservedStageName', alias.name.position, `Stage name should not use the same name as reserved stage ${JSON.stringify(name)}`);
    if (seen.has(name)) report('DuplicateStageName', alias.name.position, `Duplicate stage name ${JSON.stringify(name)}, stage names should be unique`);
    seen.add(name);
  }
}

/** The majority of instructions decides; ties are for upper case. */
function lintCasing(instructions: readonly Instruction[], linter: Linter): void {
  const lower = instructions.filter(({ keyword }) => keyword === keyword.toLowerCase()).length;
  const upper = instructions.filter(({ keyword }) => keyword === keyword.toUpperCase()).length;
  const isLower = lower > upper;
  for (const { keyword, position, comments } of instructions) {
    if (keyword === (isLower ? keyword.toLowerCase() : keyword.toUpperCase())) continue;
    linter.reporter(comments)('ConsistentInstructionCasing', position, `Command '${keyword}' should match the case of the command majority (${isLower ? 'lowercase' : 'uppercase'})`);
  }
}

function lintInstruction(instruction: Instruction, linter: Linter): void {
  const { comments, position } = instruction;
  const report = linter.reporter(comments);
  if (instruction.kind === 'MAINTAINER') report('MaintainerDeprecated', position, 'Maintainer instruction is deprecated in favor of using label');
  const names = instruction.kind === 'ARG' ? instruction.args.map(({ name }) => name.text) : instruction.kind === 'FROM' && instruction.name !== undefined ? [instruction.name] : [];
  const description = comments.at(-1)?.split(' ')[0];
  if (names.length === 0 || description === undefined || names.includes(description)) return;
  const shown = names.length > 1 ? '<arg_key>' : names[0];
  report('InvalidDefinitionDescription', position, `Comment for ${instruction.kind} should follow the format: \`# ${shown} <description>\``);
}

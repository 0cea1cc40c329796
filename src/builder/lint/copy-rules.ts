import { posix } from 'node:path';
import type { CopyInstruction, Word } from '../dockerfile/instruction.ts';
import type { IgnoreRules } from '../../context/mod.ts';
import type { ReportLint } from './linter.ts';

/** COPY of a path of the context that .dockerignore leaves out. With exceptions among the rules nothing can be said. */
export function lintIgnoredSource(instruction: CopyInstruction, word: Word, text: string, ignore: IgnoreRules, report: ReportLint): void {
  if (instruction.from !== undefined || ignore.isEmpty || !ignore.canSkipFolders) return;
  const path = posix.normalize(text).replace(/^\/(?=.)/, '').replace(/(?<=.)\/$/, '');
  const isRoot = path === '.' || path === '/';
  if (isRoot ? !ignore.ignoresEverything : !ignore.isIgnored(path)) return;
  report('CopyIgnoredFile', word.position, `Attempting to ${instruction.kind === 'ADD' ? 'Add' : 'Copy'} file ${JSON.stringify(path)} that is excluded by .dockerignore`);
}

import type { Digest } from '../../api/mod.ts';
import type { CopyInstruction } from '../dockerfile/instruction.ts';
import { heredocText } from '../dockerfile/heredoc.ts';
import { checkMode } from '../files/mode.ts';
import type { RemoteFile } from './build-plan.ts';
import { normalizeSource, resolveDestination } from './paths.ts';
import type { PlanningContext, StepPlanner } from './step-planner.ts';

/** COPY and ADD. Git sources are refused; remote files are fetched when the step runs. */
export const planCopy: StepPlanner<CopyInstruction> = (instruction, state, context) => {
  const { expander } = context;
  const isAdd = instruction.kind === 'ADD';
  const sources = instruction.sources.map((word) => ({ word, text: expander.word(word) }));
  for (const { word, text } of sources) {
    if (isGitSource(text)) expander.fail(word, 'git repositories as a source are not supported', 'unsupported');
    if (isHttpSource(text) && !isAdd) expander.fail(word, 'COPY cannot have a URL as its source; ADD can');
  }
  const destination = expander.word(instruction.destination);
  const owner = instruction.chown === undefined ? undefined : expander.word(instruction.chown);
  const mode = instruction.chmod === undefined ? undefined : expander.word(instruction.chmod);
  if (instruction.chmod !== undefined && mode !== undefined) {
    const problem = checkMode(mode);
    if (problem !== undefined) expander.fail(instruction.chmod, problem);
  }
  const excludes = instruction.excludes.map((word) => expander.word(word));
  const inlineFiles = instruction.inlineFiles.map((heredoc) => {
    const text = heredocText(heredoc);
    return { name: heredoc.name, content: heredoc.isExpanded ? expander.content({ text, position: heredoc.position }) : text };
  });
  const flags = [instruction.keepsParents ? ' --parents' : '', owner === undefined ? '' : ` --chown=${owner}`, mode === undefined ? '' : ` --chmod=${mode}`];
  const shownSources = [...sources.map(({ text }) => text), ...inlineFiles.map(({ name }) => `<<${name}`)];
  const resolved = resolveDestination(state.config.WorkingDir ?? '/', destination);
  const count = sources.length + inlineFiles.length;
  if (count > 1 && !resolved.endsWith('/')) expander.fail(instruction.destination, `with more than one source the destination must be a folder and end with /`);
  return {
    state,
    createdBy: `${instruction.kind}${flags.join('')} ${[...shownSources, destination].join(' ')} # buildkit`,
    action: {
      kind: 'copy',
      from: instruction.from === undefined ? { kind: 'context' } : (context.sources.get(instruction.from.text) ?? expander.fail(instruction.from, 'unknown stage or image')),
      sources: sources.filter(({ text }) => !isHttpSource(text)).map(({ text }) => (instruction.keepsParents ? text : normalizeSource(text))),
      remoteFiles: remoteFiles(instruction, sources.filter(({ text }) => isHttpSource(text)).map(({ text }) => text), context),
      inlineFiles,
      destination: resolved,
      ...(owner === undefined ? {} : { owner }),
      ...(mode === undefined ? {} : { mode }),
      excludes,
      isLink: instruction.isLink,
      keepsParents: instruction.keepsParents,
      unpacks: instruction.unpacks ?? isAdd,
    },
  };
};

function remoteFiles(instruction: CopyInstruction, urls: readonly string[], { expander }: PlanningContext): RemoteFile[] {
  const { checksum } = instruction;
  if (checksum === undefined) return urls.map((url) => ({ url }));
  const digest = expander.word(checksum);
  if (urls.length !== 1 || instruction.sources.length !== 1) expander.fail(checksum, '--checksum needs exactly one source, and it must be a URL');
  if (!/^sha256:[0-9a-f]{64}$/.test(digest)) expander.fail(checksum, '--checksum is sha256: and 64 hex digits');
  return urls.map((url) => ({ url, checksum: digest as Digest }));
}

function isHttpSource(text: string): boolean {
  return /^https?:\/\//.test(text) && !isGitSource(text);
}

/** `git@host:path`, `git://…`, `ssh://…` and URLs whose path ends with `.git`. */
function isGitSource(text: string): boolean {
  return /^(?:git|ssh):\/\//.test(text) || /^git@[^/]+:/.test(text) || /^https?:\/\/[^#]*\.git(?:#.*)?$/.test(text);
}

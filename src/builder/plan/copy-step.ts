import type { Digest } from '../../api/mod.ts';
import type { CopyInstruction, Word } from '../dockerfile/instruction.ts';
import { heredocText } from '../dockerfile/heredoc.ts';
import { checkMode } from '../files/mode.ts';
import { lintIgnoredSource } from '../lint/copy-rules.ts';
import type { RemoteFile } from './build-plan.ts';
import { type GitSource, isCommitChecksum, parseGitSource } from './git-source.ts';
import { normalizeSource, resolveDestination } from './paths.ts';
import type { PlanningContext, StepPlanner } from './step-planner.ts';

/** COPY and ADD. Remote files and repositories are fetched when the step runs. */
export const planCopy: StepPlanner<CopyInstruction> = (instruction, state, context) => {
  const { expander } = context;
  const sources = instruction.sources.map((word) => ({ word, text: expander.word(word) }));
  const { paths, remoteFiles, gitSources } = sortSources(instruction, sources, context);
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
      sources: paths.map((text) => (instruction.keepsParents ? text : normalizeSource(text))),
      remoteFiles,
      gitSources,
      inlineFiles,
      destination: resolved,
      ...(owner === undefined ? {} : { owner }),
      ...(mode === undefined ? {} : { mode }),
      excludes,
      isLink: instruction.isLink,
      keepsParents: instruction.keepsParents,
      unpacks: instruction.unpacks ?? instruction.kind === 'ADD',
      unpacksRemote: instruction.unpacks ?? false,
    },
  };
};

interface SortedSources {
  readonly paths: string[];
  readonly remoteFiles: RemoteFile[];
  readonly gitSources: GitSource[];
}

/** Paths, URLs and repositories; `--checksum` belongs to a single one of the latter two. */
function sortSources(instruction: CopyInstruction, sources: readonly { word: Word; text: string }[], context: PlanningContext): SortedSources {
  const { expander } = context;
  const checksum = instruction.checksum === undefined ? undefined : { word: instruction.checksum, text: expander.word(instruction.checksum) };
  const sorted: SortedSources = { paths: [], remoteFiles: [], gitSources: [] };
  for (const { word, text } of sources) {
    const git = parseGitSource(text);
    if (git === undefined && !/^https?:\/\//.test(text)) {
      lintIgnoredSource(instruction, word, text, context.ignore, context.lint);
      sorted.paths.push(text);
    } else if (instruction.kind === 'COPY') expander.fail(word, `COPY cannot have ${git === undefined ? 'a URL' : 'a git repository'} as its source; ADD can`);
    else if (git === undefined) sorted.remoteFiles.push({ url: checkUrl(text, () => expander.fail(word, `${JSON.stringify(text)} is no URL`)) });
    else if ('message' in git) expander.fail(word, git.message);
    else sorted.gitSources.push(withFlags(git, instruction, checksum, context));
  }
  if (checksum === undefined) return sorted;
  if (sources.length !== 1 || sorted.paths.length > 0) expander.fail(checksum.word, '--checksum needs exactly one source, and it must be a URL or a git repository');
  if (sorted.gitSources.length > 0) return sorted;
  if (!/^sha256:[0-9a-f]{64}$/.test(checksum.text)) expander.fail(checksum.word, '--checksum is sha256: and 64 hex digits');
  return { ...sorted, remoteFiles: sorted.remoteFiles.map((file) => ({ ...file, checksum: checksum.text as Digest })) };
}

function withFlags(git: GitSource, { keepsGitFolder }: CopyInstruction, checksum: { word: Word; text: string } | undefined, { expander }: PlanningContext): GitSource {
  if (checksum !== undefined && !isCommitChecksum(checksum.text)) expander.fail(checksum.word, '--checksum of a git repository is a commit, 7 to 64 hex digits');
  if (checksum !== undefined && git.checksum !== undefined && git.checksum !== checksum.text) expander.fail(checksum.word, 'the URL names another commit than --checksum');
  return { ...git, keepsGitFolder: git.keepsGitFolder || keepsGitFolder === true, ...(checksum === undefined ? {} : { checksum: checksum.text }) };
}

function checkUrl(text: string, fail: () => never): string {
  return URL.parse(text) === null ? fail() : text;
}

import { randomHex } from '../../kernel/mod.ts';
import { maxReportBytes, maxReportFiles, reportFolderPatterns, reportNamePatterns } from '../reports/report-files.ts';

/** What a `run` step needs besides its text. */
export interface StepScript {
  readonly text: string;
  /** GitHub's `shell`: a known name or a command line with `{0}`; undefined is bash if there is one, else sh. */
  readonly shell: string | undefined;
  /** Absolute path in the container. */
  readonly workingDirectory: string;
  readonly env: Readonly<Record<string, string>>;
  /** Folders that come before the image's own PATH. */
  readonly paths: readonly string[];
  /** Folder for the step's files; absolute. */
  readonly folder: string;
}

/** Names of the files a step may write, inside its folder, by the variable that names each. */
export const commandFiles = { GITHUB_OUTPUT: 'output', GITHUB_ENV: 'env', GITHUB_PATH: 'path', GITHUB_STEP_SUMMARY: 'summary' } as const;

const shells: Readonly<Record<string, string>> = {
  bash: 'bash --noprofile --norc -eo pipefail {0}',
  sh: 'sh -e {0}',
  python: 'python {0}',
  pwsh: 'pwsh -command ". \'{0}\'"',
};

export function shellQuote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/**
 * A program for `sh -s` that runs the step, then prints what it left behind on standard error (see `collectScript`), and ends with the
 * step's exit code. Everything travels through standard input, so that no value shows up among the arguments of a process; the step
 * itself reads from /dev/null, and both its outputs go to standard output, so that their order is kept.
 */
export function stepScript(step: StepScript, workspace: string, marker: string): string {
  const { text, workingDirectory, env, paths, folder } = step;
  const file = `${folder}/script`;
  const end = `END_${randomHex(12)}`;
  return [
    `rm -rf ${shellQuote(folder)} && mkdir -p ${shellQuote(folder)} 2>&1 || exit 125`,
    ...Object.values(commandFiles).map((name) => `: > ${shellQuote(`${folder}/${name}`)}`),
    `cat > ${shellQuote(file)} <<'${end}'`,
    text,
    end,
    `: > ${shellQuote(`${folder}/started`)}`,
    // Other finds than GNU's compare whole seconds: better to see a report of the step before once more than to miss one of this.
    `find --version > /dev/null 2>&1 || touch -d "@$(($(date +%s) - 1))" ${shellQuote(`${folder}/started`)} 2> /dev/null`,
    `echo $$ > ${shellQuote(`${folder}/pid`)}`,
    // In a shell of its own, so that the step's variables do not reach what follows.
    'step() (',
    `cd ${shellQuote(workingDirectory)} || exit 125`,
    ...Object.entries(env).map(([name, value]) => `export ${name}=${shellQuote(value)}`),
    ...Object.entries(commandFiles).map(([name, own]) => `export ${name}=${shellQuote(`${folder}/${own}`)}`),
    '[ -z "$RUNNER_TEMP" ] || mkdir -p "$RUNNER_TEMP"',
    ...(paths.length === 0 ? [] : [`export PATH=${shellQuote(paths.join(':'))}:"$PATH"`]),
    ...shellLines(step.shell, file),
    ')',
    ...runLines(`${folder}/out`),
    '{',
    collectScript(folder, workspace, marker),
    '} >&2',
    'exit $code',
    '',
  ].join('\n');
}

/**
 * Runs `step` and ends with it, even if processes that it has left in the background hold its output: these have a second, and then
 * write to nobody, but still without harm. That takes a named pipe; an image without mkfifo waits for them.
 */
function runLines(pipe: string): string[] {
  const quoted = shellQuote(pipe);
  return [
    `if mkfifo ${quoted} 2> /dev/null; then`,
    `cat ${quoted} & reader=$!`,
    `step < /dev/null > ${quoted} 2>&1; code=$?`,
    `{ sleep 1; exec 9< ${quoted}; kill $reader; exec cat <&9; } < /dev/null > /dev/null 2>&1 & drain=$!`,
    'wait $reader; [ $? -ge 128 ] || kill $drain',
    'else step < /dev/null 2>&1; code=$?; fi',
  ];
}

function shellLines(shell: string | undefined, file: string): string[] {
  const quoted = shellQuote(file);
  if (shell !== undefined) return [`exec ${(Object.hasOwn(shells, shell) ? shells[shell] : shell)?.replaceAll('{0}', quoted) ?? ''}`];
  return [`if command -v bash > /dev/null 2>&1; then exec bash -e ${quoted}; else exec sh -e ${quoted}; fi`];
}

/** A program for `sh -s` that ends the step and everything it started. */
export function killScript(folder: string): string {
  return [
    'tree() { for child in $(cat /proc/"$1"/task/*/children 2> /dev/null); do tree "$child"; done; echo "$1"; }',
    `kill -9 $(tree "$(cat ${shellQuote(`${folder}/pid`)})") 2> /dev/null`,
    'true',
    '',
  ].join('\n');
}

/**
 * Shell commands that print the step's command files and the reports it wrote, in the form that `parseCollected` reads. What the shell
 * itself may have said before ends at the marker, which must be a secret of this step.
 */
export function collectScript(folder: string, workspace: string, marker: string): string {
  const names = reportNamePatterns.map((pattern) => `-name ${shellQuote(pattern)}`);
  const folders = reportFolderPatterns.flatMap((pattern) => ['xml', 'json'].map((extension) => `-path ${shellQuote(`${pattern}.${extension}`)}`));
  const find = [
    `find ${shellQuote(workspace)} \\( -name node_modules -o -name .git \\) -prune`,
    `-o -type f -size -${maxReportBytes / 512} -newer ${shellQuote(`${folder}/started`)} \\( ${[...names, ...folders].join(' -o ')} \\) -print`,
  ].join(' ');
  return [
    `echo; echo ${marker}`,
    'emit() { size=$(($(wc -c < "$2"))); printf "%s %s %s\\n" "$1" "$size" "$2"; head -c "$size" "$2"; echo; }',
    ...Object.values(commandFiles).map((name) => `emit ${name} ${shellQuote(`${folder}/${name}`)}`),
    `if command -v find > /dev/null 2>&1; then ${find} | head -n ${maxReportFiles} | while IFS= read -r file; do emit report "$file"; done; fi`,
  ].join('\n');
}

/** One file that `collectScript` printed. */
export interface CollectedFile {
  readonly kind: string;
  readonly path: string;
  readonly text: string;
}

/** Reads the output of `collectScript`: after the marker's line, for each file a line `kind size path`, its bytes, and a line end. */
export function parseCollected(output: Buffer, marker: string): CollectedFile[] {
  const files: CollectedFile[] = [];
  const start = output.indexOf(`\n${marker}\n`);
  for (let position = start < 0 ? output.length : start + marker.length + 2; position < output.length; ) {
    const end = output.indexOf('\n', position);
    const [, kind = '', size = '0', path = ''] = /^(\w+) (\d+) (.*)$/s.exec(output.subarray(position, end < 0 ? output.length : end).toString()) ?? [];
    if (end < 0 || kind === '') break;
    files.push({ kind, path, text: output.subarray(end + 1, end + 1 + Number(size)).toString() });
    position = end + 1 + Number(size) + 1;
  }
  return files;
}

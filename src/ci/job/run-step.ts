import { Readable, Writable } from 'node:stream';
import type { TestLevel } from '../../api/mod.ts';
import { GantryError, isError, randomHex, shortHash, withTimeout } from '../../kernel/mod.ts';
import { parseConsoleReport } from '../reports/console.ts';
import { testLevelOf } from '../reports/level.ts';
import { parseReportFile } from '../reports/report-files.ts';
import { addReports, type TestReport } from '../reports/test-report.ts';
import type { JobSession } from '../ports.ts';
import { isReservedVariable, parseCommandFile } from './command-files.ts';
import type { JobLog } from './job-log.ts';
import { LineWriter } from './line-writer.ts';
import { type CollectedFile, collectScript, killScript, parseCollected, type StepScript, stepScript } from './step-script.ts';
import { CommandFilter } from './workflow-commands.ts';

/** What a `run` step left behind. */
export interface StepResult {
  readonly exitCode: number;
  /** Why the step counts as failed although its command ended well, or did not end. */
  readonly problem?: string;
  readonly outputs: Readonly<Record<string, string>>;
  readonly env: Readonly<Record<string, string>>;
  readonly paths: readonly string[];
  readonly tests?: { readonly level: TestLevel; readonly report: TestReport };
}

export interface RunStepOptions {
  readonly session: JobSession;
  readonly log: JobLog;
  readonly script: StepScript;
  /** Names that tell the level of tests, the most telling first. */
  readonly levelTexts: readonly string[];
  readonly timeoutMs: number;
  /** Reports of the steps before, by path and content; those of this step are added. */
  readonly seenReports: Set<string>;
}

const maxCollectedBytes = 64 << 20;
const collectTimeoutMs = 60_000;

/** Runs one step, its output going to the log line by line, and reads the files it wrote for us. */
export async function runStep({ session, log, script, levelTexts, timeoutMs, seenReports }: RunStepOptions, signal: AbortSignal): Promise<StepResult> {
  const filter = new CommandFilter((value) => log.masker.add(value));
  const onLine = async (line: string): Promise<void> => {
    const shown = filter.apply(line);
    if (shown !== undefined) await log.line(shown);
  };
  const stdout = new LineWriter(onLine);
  const marker = randomHex(16);
  let left = new CappedBuffer(maxCollectedBytes);
  let exitCode: number;
  let problem: string | undefined;
  try {
    const stdin = Readable.from([stepScript(script, session.workspace, marker)]);
    ({ exitCode } = await session.exec(['sh', '-s'], { stdin, stdout, stderr: left }, withTimeout(signal, timeoutMs)));
  } catch (error) {
    if (signal.aborted || !isError(error, 'timeout')) throw error;
    left = new CappedBuffer(maxCollectedBytes);
    const stdin = Readable.from([`${killScript(script.folder)}{\n${collectScript(script.folder, session.workspace, marker)}\n} >&2\n`]);
    await session.exec(['sh', '-s'], { stdin, stderr: left }, withTimeout(signal, collectTimeoutMs));
    exitCode = 124;
    problem = `it ran longer than ${timeoutMs / 60_000} minutes`;
  }
  await finish(stdout);
  const files = parseCollected(left.bytes(), marker);
  const tests = testsOf(newReports(files, seenReports), log.stepOutput, levelTexts);
  return { exitCode, ...problemOf(problem, exitCode, tests?.report), ...readCommandFiles(files), ...(tests === undefined ? {} : { tests }) };
}

function problemOf(problem: string | undefined, exitCode: number, report: TestReport | undefined): { problem?: string } {
  if (problem !== undefined) return { problem };
  // Tests that failed count, whatever the script made of them.
  return exitCode === 0 && report !== undefined && report.failed > 0 ? { problem: 'its tests failed although it ended with exit code 0' } : {};
}

/** Keeps what is written up to a limit in bytes, and lets the rest go. */
class CappedBuffer extends Writable {
  readonly #maxBytes: number;
  readonly #chunks: Buffer[] = [];
  #sizeBytes = 0;

  constructor(maxBytes: number) {
    super();
    this.#maxBytes = maxBytes;
  }

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    this.#sizeBytes += chunk.length;
    if (this.#sizeBytes <= this.#maxBytes) this.#chunks.push(chunk);
    callback();
  }

  bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }
}

function newReports(files: readonly CollectedFile[], seen: Set<string>): CollectedFile[] {
  return files.filter(({ kind, path, text }) => {
    const key = shortHash(`${path}\0${text}`, 64);
    const isNew = kind === 'report' && !seen.has(key);
    if (isNew) seen.add(key);
    return isNew;
  });
}

/** Report files count; without one, the summaries that the step printed. */
function testsOf(files: readonly CollectedFile[], output: string, levelTexts: readonly string[]): StepResult['tests'] {
  const reports = files.flatMap(({ path, text }) => parseReportFile(path, text) ?? []);
  const report = reports.length > 0 ? addReports(reports) : parseConsoleReport(output);
  return report === undefined ? undefined : { level: testLevelOf(levelTexts), report };
}

function readCommandFiles(files: readonly CollectedFile[]): Pick<StepResult, 'outputs' | 'env' | 'paths'> {
  const text = (kind: string): string => files.find((file) => file.kind === kind)?.text ?? '';
  const env = parseCommandFile(text('env'), '$GITHUB_ENV');
  const reserved = env.find(([name]) => isReservedVariable(name));
  if (reserved !== undefined) throw new GantryError('invalid', `$GITHUB_ENV: the variable ${reserved[0]} cannot be set`);
  return { outputs: Object.fromEntries(parseCommandFile(text('output'), '$GITHUB_OUTPUT')), env: Object.fromEntries(env), paths: text('path').split(/\r?\n/).filter((line) => line !== '') };
}

function finish(writer: LineWriter): Promise<void> {
  return new Promise((resolve, reject) => {
    writer.once('error', reject);
    writer.end(resolve);
  });
}

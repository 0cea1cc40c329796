import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { GantryError, randomHex } from '../../kernel/mod.ts';
import type { StepInputs } from '../cache/step-inputs.ts';
import type { RunAction } from '../plan/build-plan.ts';
import { splitVariable } from '../plan/stage-state.ts';
import type { BuildTree } from '../ports.ts';
import { MountPoints } from './mount-points.ts';
import { holdRunMounts, mountInputs, type RunMountServices } from './run-mounts.ts';
import type { RunExtras } from './trust.ts';

export interface RunServices extends RunMountServices {
  /** Made ready by the first step that runs. */
  readonly extras: () => Promise<RunExtras>;
  /** Predefined arguments that were given (proxies): seen by the command, not by the cache. */
  readonly predefined: Readonly<Record<string, string>>;
}

/** What a RUN step's result depends on. */
export async function runInputs(action: RunAction, services: RunServices, signal: AbortSignal): Promise<StepInputs> {
  return [
    ['command', JSON.stringify(action.args)],
    ...action.env.map(splitVariable).map(([name, value]): [string, string] => [`variable ${name}`, value]),
    ['working directory', action.workingDir],
    ['user', action.user],
    ['network', action.network],
    ...(action.isInsecure ? [['security', 'insecure'] satisfies [string, string]] : []),
    ...(action.script === undefined ? [] : [['script', action.script.content] satisfies [string, string]]),
    ...(await mountInputs(action.mounts, services, signal)),
  ];
}

/** Runs the command in the tree. `invalid` with `details.exitCode` when it fails. */
export async function performRun(action: RunAction, tree: BuildTree, services: RunServices, write: (text: string) => void, signal: AbortSignal): Promise<void> {
  await using held = await holdRunMounts(action.mounts, services, signal);
  const script = action.script === undefined ? [] : [scriptMount(action.script, services.workFolder)];
  const extras = await services.extras();
  const mounts = [...extras.mounts.map((mount) => ({ mount, isFolder: true })), ...held.mounts, ...script];
  using points = new MountPoints(tree.rootPath, mounts.map(({ mount, isFolder }) => ({ path: mount.containerPath, isFolder })));
  const output = new TextOutput(write);
  const { exitCode } = await services.runtime.run(
    tree,
    {
      args: [...action.args],
      env: environment(action, { extras, predefined: services.predefined }, held.variables),
      workingDir: action.workingDir,
      user: action.user,
      network: action.network,
      isPrivileged: action.isInsecure,
      mounts: mounts.map(({ mount }) => mount),
      output,
    },
    signal,
  );
  points.remove();
  output.end();
  await finished(output);
  if (exitCode !== 0) throw new GantryError('invalid', `The command '${action.args.join(' ')}' returned a non-zero code: ${exitCode}`, { details: { exitCode } });
}

/** The image's own variables win over the machine's. */
function environment(action: RunAction, { extras, predefined }: { extras: RunExtras; predefined: RunServices['predefined'] }, mountVariables: Readonly<Record<string, string>>): string[] {
  const own = new Set(action.env.map((entry) => splitVariable(entry)[0]));
  const added = Object.entries({ ...extras.variables, ...predefined, ...mountVariables }).filter(([name]) => !own.has(name) || name in mountVariables);
  return [...action.env.filter((entry) => !(splitVariable(entry)[0] in mountVariables)), ...added.map(([name, value]) => `${name}=${value}`)];
}

function scriptMount(script: NonNullable<RunAction['script']>, workFolder: string): { mount: { kind: 'bind'; hostPath: string; containerPath: string; isReadOnly: true }; isFolder: true } {
  const folder = join(workFolder, `script-${randomHex(6)}`);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  writeFileSync(join(folder, basename(script.path)), script.content, { mode: 0o755 });
  return { mount: { kind: 'bind', hostPath: folder, containerPath: dirname(script.path), isReadOnly: true }, isFolder: true };
}

/** Bytes to text without breaking a character that spans two chunks. */
class TextOutput extends Writable {
  readonly #write: (text: string) => void;
  readonly #decoder = new TextDecoder();

  constructor(write: (text: string) => void) {
    super();
    this.#write = write;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    const text = this.#decoder.decode(chunk, { stream: true });
    if (text !== '') this.#write(text);
    done();
  }

  override _final(done: () => void): void {
    const rest = this.#decoder.decode();
    if (rest !== '') this.#write(rest);
    done();
  }
}

import type { ImageConfig } from '../../api/mod.ts';
import type { Position } from '../dockerfile/located-text.ts';
import type { SourceFile } from '../dockerfile/source-file.ts';

export type ContainerConfig = NonNullable<ImageConfig['config']>;

interface Seen { readonly position: Position; readonly source: SourceFile }

/** What instructions change besides files: folded over a stage's instructions, never mutated. */
export interface StageState {
  readonly config: ContainerConfig;
  readonly author?: string;
  /** ENV of the base and the stage, and declared ARGs with a value, in the order they were set. */
  readonly variables: ReadonlyMap<string, string>;
  /** ARGs the stage has declared, for history and for what RUN sees. */
  readonly args: ReadonlyMap<string, string>;
  /** Where CMD, ENTRYPOINT and HEALTHCHECK last stood in this stage. CMD in the stage is not reset by ENTRYPOINT. */
  readonly seen: ReadonlyMap<string, Seen>;
  /** WORKDIR has stood in this stage or in one below it. */
  readonly isWorkdirSet: boolean;
}

export const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The state a stage starts with: its base's configuration, or for `scratch` an empty one. PATH is always set. */
export function initialState(base: ImageConfig | undefined): StageState {
  const { OnBuild: _, ...config }: ContainerConfig = base === undefined ? { WorkingDir: '/' } : (base.config ?? {});
  const hasPath = (config.Env ?? []).some((entry) => splitVariable(entry)[0] === 'PATH');
  const Env = [...(config.Env ?? []), ...(hasPath ? [] : [`PATH=${defaultPath}`])];
  return {
    config: { ...config, Env },
    ...(base?.author === undefined ? {} : { author: base.author }),
    variables: new Map(Env.map(splitVariable)),
    args: new Map(),
    seen: new Map(),
    isWorkdirSet: false,
  };
}

/** `name=value` of an image's environment. */
export function splitVariable(text: string): [string, string] {
  const at = text.indexOf('=');
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}

/** The list with the variable set: in its old place when it was there, else at the end. */
export function withVariable(env: readonly string[], name: string, value: string): string[] {
  const index = env.findIndex((entry) => splitVariable(entry)[0] === name);
  return index < 0 ? [...env, `${name}=${value}`] : env.with(index, `${name}=${value}`);
}

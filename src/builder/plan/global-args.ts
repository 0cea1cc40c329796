import type { Dockerfile } from '../dockerfile/parse.ts';
import { Expander } from './expander.ts';

export interface TargetPlatform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

/** `os/architecture[/variant]` */
export function formatPlatform({ os, architecture, variant }: TargetPlatform): string {
  return [os, architecture, ...(variant === undefined || variant === '' ? [] : [variant])].join('/');
}

/** Arguments that need no ARG in a stage to be given to RUN; they are neither in history nor in cache keys (Dockerfile reference, "Predefined ARGs"). */
export const predefinedArgs: readonly string[] = ['HTTP_PROXY', 'HTTPS_PROXY', 'FTP_PROXY', 'NO_PROXY', 'ALL_PROXY'].flatMap((name) => [name, name.toLowerCase()]);

/** The platform's arguments and the ARGs before the first FROM: what FROM lines are expanded with, and what a stage's bare ARG takes. */
export function globalArgs(dockerfile: Dockerfile, platform: TargetPlatform, target: string, buildArgs: Readonly<Record<string, string>>): Map<string, string> {
  const values = new Map<string, string>();
  for (const side of ['BUILD', 'TARGET']) {
    values.set(`${side}PLATFORM`, formatPlatform(platform));
    values.set(`${side}OS`, platform.os);
    values.set(`${side}ARCH`, platform.architecture);
    values.set(`${side}VARIANT`, platform.variant ?? '');
  }
  values.set('TARGETSTAGE', target);
  for (const name of values.keys()) if (Object.hasOwn(buildArgs, name)) values.set(name, buildArgs[name] ?? '');
  for (const { args } of dockerfile.globalArgs) {
    for (const { name, value } of args) {
      const expander = new Expander(dockerfile.source, dockerfile.escape, values);
      const given = Object.hasOwn(buildArgs, name.text) ? buildArgs[name.text] : undefined;
      const actual = given ?? (value === undefined ? undefined : expander.word(value));
      if (actual !== undefined) values.set(name.text, actual);
    }
  }
  return values;
}

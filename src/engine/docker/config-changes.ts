import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImageConfig } from '../../api/mod.ts';
import { GantryError, randomHex } from '../../kernel/mod.ts';
import type { DockerServices } from './call.ts';

/** The instructions that change nothing but an image's configuration. */
const allowed: readonly string[] = ['CMD', 'ENTRYPOINT', 'ENV', 'EXPOSE', 'HEALTHCHECK', 'LABEL', 'ONBUILD', 'STOPSIGNAL', 'USER', 'VOLUME', 'WORKDIR'];

/** The lines of `--change`: one instruction each. `invalid` for one that does more than configure. */
export function splitChanges(changes: readonly string[]): string[] {
  const lines = changes.flatMap((change) => change.split('\n')).map((line) => line.trim()).filter((line) => line !== '');
  for (const line of lines) {
    const name = line.split(/\s/, 1)[0]?.toUpperCase() ?? '';
    if (!allowed.includes(name)) throw new GantryError('invalid', `${name.toLowerCase() || JSON.stringify(line)} is not a valid change command`);
  }
  return lines;
}

/**
 * The image's configuration after the instructions. The builder reads them, as it reads those of a Dockerfile: over a passing name, and
 * only the configuration is taken. `unsupported` without a builder.
 */
export async function changedConfig(services: DockerServices, image: ImageConfig, changes: readonly string[], signal: AbortSignal): Promise<ImageConfig> {
  if (changes.length === 0) return image;
  const { builder, images, temporaryFolder } = services;
  if (builder === undefined) throw new GantryError('unsupported', 'changes: this engine has no builder to read them');
  const name = `localhost/changes-${randomHex(8)}`;
  const folder = await mkdtemp(join(temporaryFolder, 'changes-'));
  const lasting = new AbortController().signal;
  try {
    await writeFile(join(folder, 'Dockerfile'), [`FROM ${name}:before`, ...changes, ''].join('\n'));
    await images.createImage(image, [`${name}:before`], signal);
    await builder.build({ contextFolder: folder, dockerfilePath: 'Dockerfile', tags: [`${name}:after`], buildArgs: {}, labels: {}, noCache: false, pull: false, network: 'none' }, () => undefined, signal);
    const { ArgsEscaped: _, ...changed } = images.get(`${name}:after`).config.config ?? {};
    // What a build adds of its own: `docker commit` has neither.
    const env = (changed.Env ?? []).filter((variable) => image.config?.Env?.includes(variable) === true || changes.some((line) => /^ENV\s/i.test(line) && line.includes(variable.split('=', 1)[0] ?? '')));
    const { Env: __, ...others } = changed;
    return { ...image, config: env.length === 0 ? others : { ...others, Env: env } };
  } finally {
    for (const tag of ['before', 'after']) if (images.find(`${name}:${tag}`) !== undefined) await images.remove(`${name}:${tag}`, { isForced: true }, lasting);
    await rm(folder, { recursive: true, force: true });
  }
}

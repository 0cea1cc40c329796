import { lstatSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest, ImageBuild, ImageBuildSpec, Stored } from '../../api/mod.ts';
import { GantryError, runCommand } from '../../kernel/mod.ts';
import type { Builder } from '../builder.ts';
import { sharedCache, untrustedCache } from '../cache/cache-access.ts';
import { resolveInRoot } from '../files/resolve-in-root.ts';
import type { BuildRuntime, SourceArchives } from '../ports.ts';
import { classicView } from '../progress/classic-view.ts';

export interface BuildServices {
  readonly builder: Pick<Builder, 'build'>;
  readonly runtime: Pick<BuildRuntime, 'pushImage'>;
  readonly sources: SourceArchives;
  /** For checkouts; each is removed after its build. */
  readonly folder: string;
}

/** Fetches the source, builds, and pushes when asked. `write` gets the log. Resolves to what the status tells. */
export async function performImageBuild(build: Stored<ImageBuild>, services: BuildServices, write: (text: string) => void, signal: AbortSignal): Promise<{ imageId: Digest; digest?: Digest }> {
  const { spec } = build;
  if (spec === undefined) throw new GantryError('invalid', 'the image build has no spec');
  const checkout = await mkdtemp(join(services.folder, 'checkout-'));
  try {
    const archive = await services.sources.open({ namespace: build.metadata.namespace ?? 'default', name: spec.source.repository }, spec.source.commit, signal);
    await runCommand('bsdtar', ['-xf', '-', '-C', checkout, '--no-same-owner'], { stdin: archive }, signal);
    const imageId = await services.builder.build(
      {
        contextFolder: contextFolder(checkout, spec),
        dockerfilePath: spec.dockerfile ?? 'Dockerfile',
        tags: spec.tags,
        ...(spec.target === undefined ? {} : { target: spec.target }),
        buildArgs: spec.buildArgs ?? {},
        labels: spec.labels ?? {},
        noCache: false,
        pull: false,
        network: 'default',
        cacheAccess: spec.untrustedScope === undefined ? sharedCache : untrustedCache(spec.untrustedScope),
      },
      (plan) => classicView(plan.stages.map(({ index }) => index), write, { explains: true }),
      signal,
    );
    if (!spec.push) return { imageId };
    let digest: Digest | undefined;
    for (const tag of spec.tags) {
      write(`The push refers to ${tag}\n`);
      digest = await services.runtime.pushImage(tag, (line) => write(`${line}\n`), signal);
      write(`${tag}: digest: ${digest}\n`);
    }
    return { imageId, ...(digest === undefined ? {} : { digest }) };
  } finally {
    await rm(checkout, { recursive: true, force: true });
  }
}

function contextFolder(checkout: string, { contextPath = '.' }: ImageBuildSpec): string {
  const folder = resolveInRoot(checkout, contextPath);
  if (lstatSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) throw new GantryError('not-found', `the commit has no folder ${contextPath}`);
  return folder;
}

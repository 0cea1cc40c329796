import { lstatSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest, ImageBuild, ImageBuildSpec, ImageFormat, Stored } from '../../api/mod.ts';
import { GantryError, runCommand } from '../../kernel/mod.ts';
import type { Builder } from '../builder.ts';
import { sharedCache, untrustedCache } from '../cache/cache-access.ts';
import type { RequestedContext } from '../executor/named-folders.ts';
import { resolveInRoot } from '../files/resolve-in-root.ts';
import type { BuildRuntime, SourceArchives } from '../ports.ts';
import { classicView } from '../progress/classic-view.ts';

export interface BuildServices {
  readonly builder: Pick<Builder, 'build'>;
  readonly runtime: Pick<BuildRuntime, 'packImage' | 'pushImage'>;
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
    const isTrusted = spec.untrustedScope === undefined;
    const cacheTo = isTrusted ? (spec.cacheTo ?? []) : [];
    if (!isTrusted && (spec.cacheTo ?? []).length > 0) write('The cache is not pushed: nobody vouches for this build, and builds of protected branches might read it\n');
    const imageId = await services.builder.build(
      {
        contextFolder: contextFolder(checkout, spec),
        dockerfilePath: spec.dockerfile ?? 'Dockerfile',
        tags: spec.tags,
        ...(spec.target === undefined ? {} : { target: spec.target }),
        buildArgs: spec.buildArgs ?? {},
        labels: spec.labels ?? {},
        noCache: spec.noCache ?? false,
        noCacheStages: new Set(spec.noCacheStages),
        pull: spec.pull ?? false,
        ...(spec.platform === undefined ? {} : { platform: spec.platform }),
        contexts: contextsOf(spec),
        cacheFrom: spec.cacheFrom ?? [],
        cacheTo,
        hasInlineCache: spec.inlineCache ?? false,
        network: 'default',
        cacheAccess: spec.untrustedScope === undefined ? sharedCache : untrustedCache(spec.untrustedScope),
      },
      (plan) => classicView(plan.stages.map(({ index }) => index), write, { explains: true }),
      signal,
    );
    if (spec.format !== undefined) await services.runtime.packImage(imageId, toFormat(spec.format), signal);
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

function contextsOf({ contexts = {} }: ImageBuildSpec): ReadonlyMap<string, RequestedContext> {
  const image = 'docker-image://';
  return new Map(Object.entries(contexts).map(([name, value]) => [name, value.startsWith(image) ? { kind: 'image', reference: value.slice(image.length) } : { kind: 'git', url: value }]));
}

function toFormat({ compression, level, force = false, mediaTypes = 'oci' }: NonNullable<ImageBuildSpec['format']>): ImageFormat {
  return { compression, ...(level === undefined ? {} : { level }), isForced: force, mediaTypes };
}

function contextFolder(checkout: string, { contextPath = '.' }: ImageBuildSpec): string {
  const folder = resolveInRoot(checkout, contextPath);
  if (lstatSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) throw new GantryError('not-found', `the commit has no folder ${contextPath}`);
  return folder;
}

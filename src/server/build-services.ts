import { join } from 'node:path';
import { type BuildEnvironment, Builder, BuilderApi, builderConfigSchema, ContextStore, ImageBuilds } from '../builder/mod.ts';
import type { Informers, KubeClient } from '../client/mod.ts';
import type { Engine, ImageBuilder, ImageStore } from '../engine/mod.ts';
import type { Logger } from '../kernel/mod.ts';
import { buildRuntimeOf } from './adapters/build-runtime.ts';
import { imageBuilderOf } from './adapters/image-builder.ts';
import { registryRobots } from './adapters/registry-access.ts';
import { ownRegistryCredentials } from './adapters/registry-client.ts';
import { openSourceArchives } from './adapters/source-archives.ts';
import type { Credentials } from './credentials.ts';
import type { Instance } from './instance.ts';

export interface BuildParts {
  readonly client: KubeClient;
  readonly informers: Informers;
  readonly engine: Engine;
  readonly images: ImageStore;
  readonly environment: BuildEnvironment;
  /** Takes what has to be closed. */
  readonly parts: AsyncDisposableStack;
  readonly log: Logger;
}

/** The builder on this node's engine, behind the Docker API and behind ImageBuild resources. */
export async function openBuildServices(instance: Instance, { token, registry }: Credentials, { client, informers, engine, images, environment, parts, log }: BuildParts): Promise<{ imageBuilder: ImageBuilder; imageBuilds: ImageBuilds; builderApi: BuilderApi }> {
  const { paths, record, nodeName } = instance;
  const credentialsFor = ownRegistryCredentials(record.registryPort, { username: registryRobots.ci, password: registry.ci });
  const runtime = buildRuntimeOf({ engine, images, credentialsFor });
  const builder = parts.use(
    await Builder.open({ runtime, folder: join(paths.builder, 'cache'), runFolder: join(paths.runDir, 'b'), environment, config: builderConfigSchema.parse({}), log }),
  );
  const sources = openSourceArchives({ gitUrl: `http://127.0.0.1:${record.httpPort}`, token });
  const imageBuilds = await ImageBuilds.open({ nodeName, folder: join(paths.builder, 'resources') }, { client, informers, builder, runtime, sources, log });
  const contexts = await ContextStore.open(join(paths.builder, 'client-contexts'));
  return { imageBuilder: imageBuilderOf(builder), imageBuilds, builderApi: parts.use(new BuilderApi({ builder, runtime, contexts, log })) };
}

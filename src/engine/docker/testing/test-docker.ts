import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { ImageConfig } from '../../../api/mod.ts';
import { silentLogger } from '../../../kernel/mod.ts';
import { openRegistryClient } from '../../../registry/mod.ts';
import { openImageStore } from '../../images/local-image-store.ts';
import { testConfig } from '../../images/testing/test-images.ts';
import { archiveTree } from '../../images/tree-archive.ts';
import type { ImageStore } from '../../images/types.ts';
import type { Engine } from '../../engine.ts';
import type { EngineOptions } from '../../open-engine.ts';
import type { ImageBuilder } from '../../ports.ts';
import { BusyboxImages } from '../../testing/busybox-images.ts';
import { openTestEngine, type TestEngine } from '../../testing/test-engine.ts';
import { openDockerApi } from '../docker-api.ts';

/** An engine, an image store with `busybox:latest`, and the Docker API over both on a socket. */
export interface TestDocker extends AsyncDisposable {
  readonly engine: TestEngine;
  readonly images: ImageStore;
  /** For DOCKER_HOST. */
  readonly host: string;
  readonly socketPath: string;
  /** Empty, for the test's own files. */
  readonly folder: string;
}

export interface TestDockerOptions {
  readonly builder?: ImageBuilder;
  readonly imageConfig?: ImageConfig['config'];
  readonly engine?: Partial<EngineOptions>;
  /** What the API is given instead of the engine: the real one with something counted or broken. */
  readonly wrap?: (engine: Engine) => Engine;
}

export async function openTestDocker(options: TestDockerOptions = {}): Promise<TestDocker> {
  const stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'gantry-docker-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const { signal } = new AbortController();
  const registry = stack.use(openRegistryClient());
  const images = stack.use(await openImageStore({ folder: join(folder, 'images'), registry, log: silentLogger() }));
  const layer = await importBusybox(images, signal);
  await images.createImage(testConfig([layer], { Env: ['PATH=/bin'], Cmd: ['sh'], ...options.imageConfig }), ['busybox'], signal);
  const engine = stack.use(await openTestEngine(images, options.engine));
  const api = await openDockerApi({ engine: options.wrap?.(engine.engine) ?? engine.engine, images, registry, version: '0.0.0', log: silentLogger(), temporaryFolder: join(folder, 'contexts'), ...(options.builder === undefined ? {} : { builder: options.builder }) });
  const socketPath = join(folder, 'docker.sock');
  const listening = stack.use(await api.listen({ socketPath }));
  return { engine, images, host: listening.url, socketPath, folder, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

async function importBusybox(images: ImageStore, signal: AbortSignal) {
  using busybox = new BusyboxImages();
  const { diffId } = await images.importLayer(Readable.from(archiveTree(busybox.folder, { format: 'plain' }, signal)), signal);
  return diffId;
}

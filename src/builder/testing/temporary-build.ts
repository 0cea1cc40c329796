import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { silentLogger } from '../../kernel/mod.ts';
import { Builder, type BuilderOptions, type BuildRequest } from '../builder.ts';
import { classicView } from '../progress/classic-view.ts';
import { FolderRuntime } from './folder-runtime.ts';

/** A builder over a FolderRuntime in a temporary folder. */
export interface TemporaryBuild extends AsyncDisposable {
  readonly folder: string;
  readonly runtime: FolderRuntime;
  readonly builder: Builder;
  /** Writes files into a fresh context and builds. Resolves to the image, its files, and what `docker build` would show. */
  build(files: Record<string, string>, request?: Partial<BuildRequest>, signal?: AbortSignal): Promise<BuiltImage>;
  /** A second builder over the same folders, as after a restart. */
  reopen(): Promise<Builder>;
}

export interface BuiltImage {
  readonly imageId: string;
  readonly output: string;
  readonly cachedSteps: number;
  readonly missReasons: readonly string[];
}

export async function openTemporaryBuild(options: Partial<BuilderOptions> = {}): Promise<TemporaryBuild> {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-build-'));
  const runtime = new FolderRuntime(join(folder, 'runtime'));
  const open = (): Promise<Builder> =>
    Builder.open({
      runtime,
      folder: join(folder, 'builder'),
      runFolder: join(folder, 'run'),
      environment: { certificateBundle: undefined, proxyVariables: {} },
      config: { cacheBytes: 1 << 30, cacheMountBytes: 1 << 30, parallelSteps: 4 },
      platform: { os: 'linux', architecture: 'amd64' },
      log: silentLogger(),
      ...options,
    });
  const builder = await open();
  let count = 0;
  return {
    folder,
    runtime,
    builder,
    reopen: open,
    build: async (files, request = {}, signal = AbortSignal.timeout(60_000)) => {
      count += 1;
      const contextFolder = join(folder, `context-${count}`);
      writeFiles(contextFolder, files);
      return runBuild(builder, { contextFolder, ...request }, signal);
    },
    [Symbol.asyncDispose]: async () => {
      await builder[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Builds and collects what was told of it. */
export async function runBuild(builder: Builder, request: Partial<BuildRequest> & { contextFolder: string }, signal: AbortSignal, onOutput: (text: string) => void = () => undefined): Promise<BuiltImage> {
  let output = '';
  let cachedSteps = 0;
  const missReasons: string[] = [];
  const imageId = await builder.build(
    { dockerfilePath: 'Dockerfile', tags: ['built'], buildArgs: {}, labels: {}, noCache: false, pull: false, network: 'default', ...request },
    (plan) => {
      const view = classicView(plan.stages.map(({ index }) => index), (text) => (output += text));
      return (event) => {
        view(event);
        if (event.kind === 'output') onOutput(event.text);
        if (event.kind !== 'step-finished') return;
        if (event.isCached) cachedSteps += 1;
        if (event.missReason !== undefined) missReasons.push(event.missReason);
      };
    },
    signal,
  );
  return { imageId, output, cachedSteps, missReasons };
}

/** Writes text files below a folder; a path that ends with `/` is an empty folder. */
export function writeFiles(folder: string, files: Record<string, string>): void {
  mkdirSync(folder, { recursive: true });
  for (const [path, content] of Object.entries(files)) {
    if (path.endsWith('/')) mkdirSync(join(folder, path), { recursive: true });
    else {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), content);
    }
  }
}

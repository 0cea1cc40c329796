import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { cp, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { existsSync, lstatSync, lutimesSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Digest, formatImageReference, type ImageConfig, type ImageFormat, parseImageReference } from '../../api/mod.ts';
import type { Writable } from 'node:stream';
import { GantryError, runCommand } from '../../kernel/mod.ts';
import type { BuildImage, BuildProcess, BuildRuntime, BuildTree } from '../ports.ts';

const applets = ['sh', 'cat', 'echo', 'mkdir', 'rm', 'ls', 'sleep', 'touch', 'env', 'id', 'ln', 'test', 'chmod', 'stat', 'true', 'false', 'date', 'pwd'];

/**
 * A small real BuildRuntime: layers are folders of changed files, trees are copies, processes run in chroot(8) without further isolation.
 * For tests of the builder alone; mounts are not supported, and running processes needs root.
 */
export class FolderRuntime implements BuildRuntime {
  readonly images = new Map<string, BuildImage>();
  readonly runs: string[][] = [];
  /** Trees that are open: zero after a build. */
  openTrees = 0;
  readonly #folder: string;
  readonly #held = new Map<Digest, number>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Makes an image of one layer with busybox as its programs, and the given files (path → content). */
  async addBusybox(reference: string, files: Record<string, string>, config: ImageConfig['config'] = {}): Promise<BuildImage> {
    const signal = AbortSignal.timeout(30_000);
    await using tree = await this.openTree([], signal);
    for (const [path, content] of Object.entries(files)) {
      await mkdir(dirname(join(tree.rootPath, path)), { recursive: true });
      await writeFile(join(tree.rootPath, path), content);
    }
    await mkdir(join(tree.rootPath, 'bin'), { recursive: true });
    await cp('/bin/busybox', join(tree.rootPath, 'bin/busybox'), { dereference: true });
    for (const applet of applets) await symlink('busybox', join(tree.rootPath, 'bin', applet));
    const layer = await tree.commit({}, signal);
    const created = '2020-01-01T00:00:00.000Z';
    const full: ImageConfig = { created, architecture: 'amd64', os: 'linux', config, rootfs: { type: 'layers', diff_ids: layer === undefined ? [] : [layer.diffId] }, history: layer === undefined ? [] : [{ created, created_by: 'base' }] };
    await this.createImage(full, [reference], signal);
    return this.resolveImage(reference);
  }

  async resolveImage(reference: string): Promise<BuildImage> {
    const image = this.images.get(nameOf(reference));
    if (image === undefined) throw new GantryError('not-found', `no image ${reference}`);
    return image;
  }

  async openTree(layers: readonly Digest[], signal: AbortSignal): Promise<BuildTree> {
    const rootPath = join(this.#folder, 'trees', randomBytes(6).toString('hex'));
    await mkdir(rootPath, { recursive: true });
    this.openTrees += 1;
    const close = async (): Promise<void> => {
      this.openTrees -= 1;
      await rm(rootPath, { recursive: true, force: true });
    };
    try {
      for (const layer of layers) await this.#apply(layer, rootPath, signal);
      const before = snapshot(rootPath);
      return { rootPath, commit: ({ latestModification }) => this.#commit(rootPath, before, latestModification, signal), [Symbol.asyncDispose]: close };
    } catch (error) {
      await close();
      throw error;
    }
  }

  async run(tree: BuildTree, process: BuildProcess, signal: AbortSignal): Promise<{ exitCode: number }> {
    this.runs.push(process.args);
    const script = `cd "$0" && exec "$@"`;
    const child = spawn('/usr/sbin/chroot', [tree.rootPath, '/bin/sh', '-c', script, process.workingDir, ...process.args], {
      env: Object.fromEntries(process.env.map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)])),
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    const kill = (): void => {
      try {
        if (child.pid !== undefined) globalThis.process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It has just ended by itself.
      }
    };
    signal.addEventListener('abort', kill, { once: true });
    child.stdout.on('data', (chunk: Buffer) => process.output.write(chunk));
    child.stderr.on('data', (chunk: Buffer) => process.output.write(chunk));
    const exitCode = await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => resolve(code ?? 137));
    });
    signal.removeEventListener('abort', kill);
    signal.throwIfAborted();
    return { exitCode };
  }

  hasLayer(diffId: Digest): boolean {
    return existsSync(this.#layerFolder(diffId));
  }

  holdLayers(layers: readonly Digest[]): Disposable {
    for (const layer of layers) this.#held.set(layer, (this.#held.get(layer) ?? 0) + 1);
    return { [Symbol.dispose]: () => layers.forEach((layer) => this.#held.set(layer, (this.#held.get(layer) ?? 0) - 1)) };
  }

  /** Layers somebody holds. */
  get heldLayers(): number {
    return [...this.#held.values()].filter((count) => count > 0).length;
  }

  addLayerUser(): Disposable {
    return { [Symbol.dispose]: () => undefined };
  }

  async createImage(config: ImageConfig, references: readonly string[], _signal: AbortSignal): Promise<Digest> {
    const id = `sha256:${createHash('sha256').update(JSON.stringify(config)).digest('hex')}` as Digest;
    for (const reference of [...references, id]) this.images.set(nameOf(reference), { id, config });
    return id;
  }

  async fetchCacheImage(reference: string): Promise<BuildImage> {
    return this.resolveImage(reference);
  }

  async pushCacheImage(config: ImageConfig, reference: string, _progress: (message: string) => void, signal: AbortSignal): Promise<Digest> {
    return this.createImage(config, [reference], signal);
  }

  /** The form that was asked for last. */
  packed: ImageFormat | undefined;

  async packImage(_image: Digest, format: ImageFormat): Promise<void> {
    this.packed = format;
  }

  async saveLayout(image: Digest, references: readonly string[], format: ImageFormat, output: Writable): Promise<void> {
    output.end(JSON.stringify({ image, references, format }));
  }

  async pushImage(reference: string): Promise<Digest> {
    return (await this.resolveImage(reference)).id;
  }

  /** Path → content (or `-> target`, or `folder`) of all files of an image or layers. */
  async contents(layers: readonly Digest[]): Promise<Record<string, string>> {
    await using tree = await this.openTree(layers, AbortSignal.timeout(30_000));
    const found: Record<string, string> = {};
    for (const path of Object.keys(snapshot(tree.rootPath))) {
      const full = join(tree.rootPath, path);
      const stats = lstatSync(full);
      found[path] = stats.isDirectory() ? 'folder' : stats.isSymbolicLink() ? `-> ${readlinkSync(full)}` : readFileSync(full, 'utf8');
    }
    return found;
  }

  /** Removes a layer as a prune would. */
  removeLayer(diffId: Digest): void {
    rmSync(this.#layerFolder(diffId), { recursive: true });
  }

  #layerFolder(diffId: Digest): string {
    return join(this.#folder, 'layers', diffId.slice('sha256:'.length));
  }

  async #apply(layer: Digest, rootPath: string, signal: AbortSignal): Promise<void> {
    const folder = this.#layerFolder(layer);
    const removed = JSON.parse(await readFile(join(folder, 'removed.json'), 'utf8')) as string[];
    for (const path of removed) rmSync(join(rootPath, path), { recursive: true, force: true });
    await runCommand('cp', ['-aT', join(folder, 'files'), rootPath], {}, signal);
  }

  async #commit(rootPath: string, before: Record<string, string>, latest: number | undefined, signal: AbortSignal): Promise<{ diffId: Digest; sizeBytes: number } | undefined> {
    if (latest !== undefined) limitTimes(rootPath, before, latest);
    const after = snapshot(rootPath);
    const changed = Object.keys(after).filter((path) => before[path] !== after[path]);
    // What becomes something else than a folder takes the place of all that was in it.
    const isFolder = (description: string | undefined): boolean => description?.startsWith('4') === true && description.split(' ')[0]?.length === 5;
    const removed = Object.keys(before).filter((path) => !(path in after) || (isFolder(before[path]) && !isFolder(after[path])));
    if (changed.length === 0 && removed.length === 0) return undefined;
    const diffId = `sha256:${createHash('sha256').update(JSON.stringify([changed.map((path) => [path, after[path]]), removed])).digest('hex')}` as Digest;
    const folder = this.#layerFolder(diffId);
    if (existsSync(folder)) return { diffId, sizeBytes: 1 };
    await mkdir(join(folder, 'files'), { recursive: true });
    await writeFile(join(folder, 'removed.json'), JSON.stringify(removed));
    // Folders above come with their owners and modes.
    const list = [...new Set(changed.flatMap((path) => path.split('/').map((_, index, parts) => parts.slice(0, index + 1).join('/'))))].map((path) => `${path}\0`).join('');
    await runCommand('sh', ['-c', `tar --null --no-recursion -C "$0" -cf - -T - | tar -xpf - -C "$1"`, rootPath, join(folder, 'files')], { stdin: list }, signal);
    return { diffId, sizeBytes: list.length };
  }
}

function nameOf(reference: string): string {
  return reference.startsWith('sha256:') ? reference : formatImageReference(parseImageReference(reference));
}

function limitTimes(rootPath: string, before: Record<string, string>, latest: number): void {
  for (const [path, description] of Object.entries(snapshot(rootPath))) {
    const full = join(rootPath, path);
    if (before[path] !== description && lstatSync(full).mtimeMs / 1000 > latest) lutimesSync(full, latest, latest);
  }
}

/** Path → everything a layer would say of it. */
function snapshot(rootPath: string, folder = ''): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of readdirSync(join(rootPath, folder)).sort()) {
    const path = folder === '' ? name : `${folder}/${name}`;
    const full = join(rootPath, path);
    const stats = lstatSync(full);
    const content = stats.isFile() ? createHash('sha256').update(readFileSync(full)).digest('hex') : stats.isSymbolicLink() ? readlinkSync(full) : '';
    found[path] = [stats.mode.toString(8), stats.uid, stats.gid, stats.isDirectory() ? '' : stats.mtimeMs, content].join(' ');
    if (stats.isDirectory()) Object.assign(found, snapshot(rootPath, path));
  }
  return found;
}

import { lstatSync, mkdirSync } from 'node:fs';
import { join, posix } from 'node:path';
import { GantryError, randomHex, shortHash } from '../../kernel/mod.ts';
import { digestSources } from '../files/content-digest.ts';
import { copySources } from '../files/copy-entries.ts';
import { findCopySources } from '../files/copy-sources.ts';
import { resolveInRoot } from '../files/resolve-in-root.ts';
import type { ContextDigests } from '../cache/context-digests.ts';
import type { CacheAccess } from '../cache/cache-access.ts';
import type { FileSource, PlannedMount } from '../plan/build-plan.ts';
import type { BuildMount, BuildRuntime } from '../ports.ts';
import { openAgentProxy } from './agent-proxy.ts';
import type { CacheMounts } from './cache-mounts.ts';
import { type BuildSecrets, holdSecretFile } from './secrets.ts';
import type { SourceTrees } from './source-trees.ts';

export interface RunMountServices {
  readonly runtime: BuildRuntime;
  readonly trees: SourceTrees;
  readonly cacheMounts: CacheMounts;
  readonly contextDigests: ContextDigests;
  readonly secrets: BuildSecrets;
  /** Host paths of SSH agents' sockets by id. */
  readonly sshSockets: ReadonlyMap<string, string>;
  /** In memory (tmpfs). */
  readonly secretFolder: string;
  readonly workFolder: string;
  /** Which cache mounts are used. */
  readonly access: CacheAccess;
}

/** The mounts of one RUN step and what must be undone after it. */
export interface HeldRunMounts extends AsyncDisposable {
  readonly mounts: readonly { mount: BuildMount; isFolder: boolean }[];
  readonly variables: Readonly<Record<string, string>>;
}

/** What of a mount decides the step's result: files by content; caches, secrets and agents only by name. */
export async function mountInputs(mounts: readonly PlannedMount[], services: RunMountServices, signal: AbortSignal): Promise<[string, string][]> {
  const inputs: [string, string][] = [];
  for (const mount of mounts) {
    const { files, ...rest } = mount;
    inputs.push([`mount ${mount.target}`, JSON.stringify(rest)]);
    if (mount.type !== 'bind' || files === undefined) continue;
    inputs.push([`files of mount ${mount.target}`, await mountedContent(files, mount.source ?? '/', services, signal)]);
  }
  return inputs;
}

async function mountedContent(files: FileSource, source: string, { trees, contextDigests }: RunMountServices, signal: AbortSignal): Promise<string> {
  const layers = await trees.layersOf(files);
  if (layers !== undefined) return layers.join();
  const tree = await trees.open(files, signal);
  const selection = { sources: [posix.normalize(`/${source}`)], excludes: [], keepsParents: false };
  const read = async (): Promise<[string, string][]> => digestSources(findCopySources(tree.rootPath, selection, tree.ignore), tree.owners, tree.version === undefined ? undefined : contextDigests.files, signal);
  return shortHash(JSON.stringify(tree.version === undefined ? await read() : await contextDigests.of(tree.version, selection, read)), 64);
}

/** Makes a step's mounts ready. `not-found` for a source or a required secret that is not there. */
export async function holdRunMounts(mounts: readonly PlannedMount[], services: RunMountServices, signal: AbortSignal): Promise<HeldRunMounts> {
  await using stack = new AsyncDisposableStack();
  const held: { mount: BuildMount; isFolder: boolean }[] = [];
  const variables: Record<string, string> = {};
  for (const mount of mounts) {
    const made = await holders[mount.type](mount, services, stack, signal);
    if (made?.mount !== undefined) held.push({ mount: made.mount, isFolder: made.isFolder ?? true });
    Object.assign(variables, made?.variables);
  }
  const owned = stack.move();
  return { mounts: held, variables, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

interface Held { mount?: BuildMount; isFolder?: boolean; variables?: Record<string, string> }

type Holder = (mount: PlannedMount, services: RunMountServices, stack: AsyncDisposableStack, signal: AbortSignal) => Promise<Held | undefined>;

const holders: Readonly<Record<PlannedMount['type'], Holder>> = {
  bind: holdBind,
  cache: holdCache,
  tmpfs: async ({ target, sizeBytes }) => ({ mount: { kind: 'tmpfs', containerPath: target, ...(sizeBytes === undefined ? {} : { sizeBytes }) } }),
  secret: holdSecret,
  ssh: holdSsh,
};

/** Read-only binds show the source itself; others, and a context with ignored files, get a copy that is thrown away. */
async function holdBind(mount: PlannedMount, services: RunMountServices, stack: AsyncDisposableStack, signal: AbortSignal): Promise<Held> {
  const files = mount.files ?? { kind: 'context' };
  const source = posix.normalize(`/${mount.source ?? '/'}`);
  const layers = await services.trees.layersOf(files);
  if (!mount.isReadOnly && layers !== undefined) {
    const tree = stack.use(await services.runtime.openTree(layers, signal));
    return bound(mount, existing(tree.rootPath, source));
  }
  const tree = await services.trees.open(files, signal);
  if (mount.isReadOnly && tree.ignore.isEmpty) return bound(mount, existing(tree.rootPath, source));
  const folder = join(services.workFolder, `bind-${randomHex(6)}`);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const sources = findCopySources(tree.rootPath, { sources: [source], excludes: [], keepsParents: false }, tree.ignore);
  const isFile = sources[0]?.kind === 'file';
  await copySources(sources, { rootPath: folder, destination: isFile ? '/file' : '/', owner: { uid: 0, gid: 0 }, mode: undefined }, signal);
  return bound(mount, isFile ? join(folder, 'file') : folder);
}

function existing(rootPath: string, source: string): string {
  const hostPath = resolveInRoot(rootPath, source);
  if (lstatSync(hostPath, { throwIfNoEntry: false }) === undefined) throw new GantryError('not-found', `the mount's source ${source} is not there`);
  return hostPath;
}

function bound(mount: PlannedMount, hostPath: string): Held {
  return { mount: { kind: 'bind', hostPath, containerPath: mount.target, isReadOnly: mount.isReadOnly }, isFolder: lstatSync(hostPath).isDirectory() };
}

async function holdCache(mount: PlannedMount, services: RunMountServices, stack: AsyncDisposableStack, signal: AbortSignal): Promise<Held> {
  const { files } = mount;
  if (files === undefined && mount.source !== undefined) throw new GantryError('unsupported', 'source needs from on a cache mount');
  const fill = async (folder: string): Promise<void> => {
    if (files === undefined) return;
    const tree = await services.trees.open(files, signal);
    const sources = findCopySources(tree.rootPath, { sources: [posix.normalize(`/${mount.source ?? '/'}`)], excludes: [], keepsParents: false }, tree.ignore);
    await copySources(sources, { rootPath: folder, destination: '/', owner: undefined, mode: undefined }, signal);
  };
  const request = {
    id: mount.id ?? mount.target,
    access: services.access,
    sharing: mount.sharing ?? 'shared',
    uid: mount.uid ?? 0,
    gid: mount.gid ?? 0,
    mode: mount.mode ?? 0o755,
    fill,
  };
  const { folder } = stack.use(await services.cacheMounts.hold(request, signal));
  return { mount: { kind: 'bind', hostPath: folder, containerPath: mount.target, isReadOnly: mount.isReadOnly } };
}

async function holdSecret(mount: PlannedMount, services: RunMountServices, stack: AsyncDisposableStack): Promise<Held | undefined> {
  const id = mount.id ?? mount.source ?? posix.basename(mount.target);
  const value = services.secrets.get(id);
  if (value === undefined) {
    if (mount.isRequired) throw new GantryError('not-found', `the build was given no secret ${JSON.stringify(id)}`);
    return undefined;
  }
  const variables = mount.env === undefined ? {} : { [mount.env === '' ? id : mount.env]: Buffer.from(value).toString() };
  if (mount.target === '') return { variables };
  const owner = { uid: mount.uid ?? 0, gid: mount.gid ?? 0, mode: mount.mode ?? 0o400 };
  const { path } = stack.use(holdSecretFile(services.secretFolder, randomHex(8), value, owner));
  return { mount: { kind: 'bind', hostPath: path, containerPath: mount.target, isReadOnly: true }, isFolder: false, variables };
}

async function holdSsh(mount: PlannedMount, services: RunMountServices, stack: AsyncDisposableStack): Promise<Held | undefined> {
  const id = mount.id ?? 'default';
  const socket = services.sshSockets.get(id);
  if (socket === undefined) {
    if (mount.isRequired) throw new GantryError('not-found', `the build was given no SSH agent ${JSON.stringify(id)}`);
    return undefined;
  }
  const owner = { uid: mount.uid ?? 0, gid: mount.gid ?? 0, mode: mount.mode ?? 0o600 };
  const { path } = stack.use(await openAgentProxy(socket, services.secretFolder, randomHex(8), owner));
  return { mount: { kind: 'bind', hostPath: path, containerPath: mount.target, isReadOnly: true }, isFolder: false, variables: { SSH_AUTH_SOCK: mount.target } };
}

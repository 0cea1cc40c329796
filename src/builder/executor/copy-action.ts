import { lstatSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { GantryError, randomHex, shortHash } from '../../kernel/mod.ts';
import type { ContextDigests } from '../cache/context-digests.ts';
import type { DigestCache } from '../cache/digest-cache.ts';
import type { RemoteNotes } from '../cache/remote-notes.ts';
import type { StepInputs } from '../cache/step-inputs.ts';
import { isTarArchive, unpackArchive } from '../files/archives.ts';
import { digestSources } from '../files/content-digest.ts';
import { copySources, type CopyTarget } from '../files/copy-entries.ts';
import { type CopySource, findCopySources } from '../files/copy-sources.ts';
import { IgnoreRules } from '../../context/mod.ts';
import { makeFolders } from '../files/make-folders.ts';
import { type Owner, resolveOwner } from '../files/owner.ts';
import { resolveInRoot } from '../files/resolve-in-root.ts';
import type { BuildEnvironment } from '../config.ts';
import type { CopyAction } from '../plan/build-plan.ts';
import type { BuildTree } from '../ports.ts';
import { checkOutGitSource, resolveGitSource } from './git-checkout.ts';
import { fetchRemoteFile, remoteFileName, type RemoteNote } from './remote-file.ts';
import type { SourceTrees } from './source-trees.ts';

export interface CopyServices {
  readonly trees: SourceTrees;
  readonly digests: DigestCache;
  readonly contextDigests: ContextDigests;
  readonly remoteNotes: RemoteNotes;
  /** For what ADD fetches. */
  readonly environment: BuildEnvironment;
  readonly workFolder: string;
  /** Of inline files and folders that are made, in seconds since the epoch; undefined: now. */
  readonly timeSeconds: number | undefined;
}

/** A COPY whose sources are found and whose remote files are here. */
export interface PreparedCopy {
  readonly action: CopyAction;
  readonly inputs: StepInputs;
  /** Copies into the tree; may be called once. */
  perform(tree: BuildTree, signal: AbortSignal): Promise<void>;
}

/** Finds what a COPY takes and what its result depends on. Sources in layers that were seen before are not read again. */
export async function prepareCopy(action: CopyAction, services: CopyServices, signal: AbortSignal): Promise<PreparedCopy> {
  const remote = new Map<string, string>();
  const inputs: [string, string][] = [
    ['destination', action.destination],
    ['owner', action.owner ?? ''],
    ['mode', action.mode ?? ''],
    ['unpacks archives', `${action.unpacks} ${action.unpacksRemote}`],
    ...action.inlineFiles.map(({ name, content }): [string, string] => [`inline file ${name}`, content]),
  ];
  for (const file of action.remoteFiles) {
    // A checksum says what the file is, so that a step which is cached needs no download.
    inputs.push([`remote file ${file.url}`, file.checksum ?? `sha256:${await digestOf(file, remote, services, signal)}`]);
  }
  const commits: string[] = [];
  for (const source of action.gitSources) {
    const commit = await resolveGitSource(source, services.environment, signal);
    commits.push(commit);
    inputs.push([`repository ${source.text}`, JSON.stringify([commit, source.folder, source.keepsGitFolder, source.hasSubmodules])]);
  }
  inputs.push(...(await sourceInputs(action, services, signal)));
  return { action, inputs, perform: (tree, performSignal) => perform(action, tree, { files: remote, commits }, services, performSignal) };
}

async function sourceInputs(action: CopyAction, services: CopyServices, signal: AbortSignal): Promise<[string, string][]> {
  if (action.sources.length === 0) return [];
  const digest = async (): Promise<readonly (readonly [string, string])[]> => {
    const tree = await services.trees.open(action.from, signal);
    const read = async (): Promise<[string, string][]> => digestSources(findCopySources(tree.rootPath, action, tree.ignore), tree.owners, tree.version === undefined ? undefined : services.contextDigests.files, signal);
    return tree.version === undefined ? read() : services.contextDigests.of(tree.version, [action.sources, action.excludes, action.keepsParents], read);
  };
  const layers = await services.trees.layersOf(action.from);
  if (layers === undefined) return (await digest()).map(([path, value]) => [`file ${path.slice(path.indexOf(':') + 1)}`, `${path} ${value}`]);
  const key = shortHash(JSON.stringify([layers, action.sources, action.excludes, action.keepsParents]), 64);
  const value = await services.digests.get(key, async () => shortHash(JSON.stringify(await digest()), 64));
  return [[`files from ${action.from.kind === 'stage' ? `stage ${action.from.stage}` : 'the image'}`, value]];
}

/** The digest of a remote file: told by the server's word that it is unchanged, or by fetching it. */
async function digestOf(file: CopyAction['remoteFiles'][number], remote: Map<string, string>, services: CopyServices, signal: AbortSignal): Promise<string> {
  const known = await services.remoteNotes.get(file.url);
  return (await download(file, remote, known, services, signal))?.digest ?? known?.digest ?? '';
}

async function download(file: CopyAction['remoteFiles'][number], remote: Map<string, string>, known: RemoteNote | undefined, { workFolder, remoteNotes }: CopyServices, signal: AbortSignal): Promise<RemoteNote | undefined> {
  mkdirSync(workFolder, { recursive: true });
  const path = join(workFolder, `remote-${randomHex(6)}`);
  const note = await fetchRemoteFile(file, path, known, signal);
  if (note === undefined) return undefined;
  remote.set(file.url, path);
  await remoteNotes.set(file.url, note);
  return note;
}

interface Fetched {
  readonly files: Map<string, string>;
  /** Of the repositories, in their order. */
  readonly commits: readonly string[];
}

async function perform(action: CopyAction, tree: BuildTree, { files: remote, commits }: Fetched, services: CopyServices, signal: AbortSignal): Promise<void> {
  const source = action.sources.length === 0 ? undefined : await services.trees.open(action.from, signal);
  const named = action.owner === undefined ? undefined : resolveOwner(tree.rootPath, action.owner);
  const owner = named ?? (source === undefined || source.owners === 'root' ? { uid: 0, gid: 0 } : undefined);
  const target: CopyTarget = { rootPath: tree.rootPath, destination: action.destination, owner, mode: action.mode };
  if (source !== undefined) {
    const sources = findCopySources(source.rootPath, action, source.ignore);
    if (sources.length > 1 && !action.destination.endsWith('/')) throw new GantryError('invalid', 'with more than one source the destination must be a folder and end with /');
    for (const item of sources) await copyOne(item, action.unpacks, target, named, services.workFolder, signal);
  }
  for (const { name, content } of action.inlineFiles) await copyInline(name, content, target, services, signal);
  for (const file of action.remoteFiles) {
    if (!remote.has(file.url)) await download(file, remote, undefined, services, signal);
    await copyRemote(file.url, remote.get(file.url) ?? '', action, target, named, services.workFolder, signal);
  }
  for (const [index, repository] of action.gitSources.entries()) await copyRepository(repository, commits[index] ?? '', action, { ...target, owner: named ?? { uid: 0, gid: 0 } }, services, signal);
}

async function copyRepository(repository: CopyAction['gitSources'][number], commit: string, action: CopyAction, target: CopyTarget, services: CopyServices, signal: AbortSignal): Promise<void> {
  const folder = join(services.workFolder, `repository-${randomHex(6)}`);
  try {
    await checkOutGitSource(repository, commit, folder, services.environment, signal);
    await copySources(findCopySources(folder, { sources: [repository.folder], excludes: action.excludes, keepsParents: false }, IgnoreRules.none), { ...target, destination: target.destination.replace(/\/?$/, '/') }, signal);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function copyOne(source: CopySource, unpacks: boolean, target: CopyTarget, named: Owner | undefined, workFolder: string, signal: AbortSignal): Promise<void> {
  const [entry] = source.entries;
  const isArchive = unpacks && source.kind === 'file' && entry !== undefined && (await isTarArchive(entry.hostPath, signal));
  if (isArchive) await unpackInto(entry.hostPath, target, named, workFolder, signal);
  else await copySources([source], target, signal);
}

async function unpackInto(archive: string, target: CopyTarget, named: Owner | undefined, workFolder: string, signal: AbortSignal): Promise<void> {
  const folder = resolveInRoot(target.rootPath, target.destination);
  makeFolders(folder, named ?? { uid: 0, gid: 0 });
  if (named === undefined && target.mode === undefined) return unpackArchive(archive, folder, signal);
  // Owners and modes of everything inside change: unpacked beside, then copied.
  const beside = join(workFolder, `unpacked-${randomHex(6)}`);
  mkdirSync(beside, { recursive: true });
  try {
    await unpackArchive(archive, beside, signal);
    await copySources(findCopySources(beside, { sources: ['/'], excludes: [], keepsParents: false }, IgnoreRules.none), target, signal);
  } finally {
    rmSync(beside, { recursive: true, force: true });
  }
}

async function copyInline(name: string, content: string, target: CopyTarget, { workFolder, timeSeconds }: CopyServices, signal: AbortSignal): Promise<void> {
  mkdirSync(workFolder, { recursive: true });
  const path = join(workFolder, `inline-${randomHex(6)}`);
  writeFileSync(path, content, { mode: 0o644 });
  if (timeSeconds !== undefined) await utimes(path, timeSeconds, timeSeconds);
  await copySources([{ kind: 'file', name, entries: [{ path: '', hostPath: path, stats: lstatSync(path) }] }], target, signal);
}

async function copyRemote(url: string, path: string, action: CopyAction, target: CopyTarget, named: Owner | undefined, workFolder: string, signal: AbortSignal): Promise<void> {
  const source: CopySource = { kind: 'file', name: remoteFileName(url), entries: [{ path: '', hostPath: path, stats: lstatSync(path) }] };
  await copyOne(source, action.unpacksRemote, { ...target, owner: named ?? { uid: 0, gid: 0 } }, named, workFolder, signal);
}

import { lstatSync, readdirSync, type Stats } from 'node:fs';
import { posix, relative } from 'node:path';
import { errnoOf, GantryError } from '../../kernel/mod.ts';
import type { FileEntry } from './file-entry.ts';
import { compileIgnoreRules, type IgnoreRules, toPathExpression } from '../../context/mod.ts';
import { resolveInRoot } from './resolve-in-root.ts';
import { type WalkFilter, walkTree } from './walk.ts';

/** One source of a COPY: a file, the contents of a folder, or with `--parents` a part of the tree. */
export interface CopySource {
  readonly kind: 'file' | 'folder' | 'parents';
  /** Of a file: its name at a destination that is a folder. */
  readonly name: string;
  /** A folder's root comes first. Paths are below the destination folder. */
  readonly entries: readonly FileEntry[];
}

export interface CopySelection {
  readonly sources: readonly string[];
  readonly excludes: readonly string[];
  readonly keepsParents: boolean;
}

/** The entries that a COPY takes from the tree below `rootPath`, without what `ignore` leaves out. `not-found` names a source that is not there. */
export function findCopySources(rootPath: string, selection: CopySelection, ignore: IgnoreRules): CopySource[] {
  const finder = new SourceFinder(rootPath, compileIgnoreRules(selection.excludes.map((text) => ({ text, where: '--exclude' }))), ignore);
  return selection.sources.flatMap((source) => (selection.keepsParents ? finder.withParents(source) : finder.plain(source)));
}

class SourceFinder {
  readonly #root: string;
  readonly #excludes: IgnoreRules;
  readonly #ignore: IgnoreRules;

  constructor(root: string, excludes: IgnoreRules, ignore: IgnoreRules) {
    this.#root = root;
    this.#excludes = excludes;
    this.#ignore = ignore;
  }

  plain(source: string): CopySource[] {
    if (!/[*?[\\]/.test(source)) return this.#one(source, true);
    const parts = source.split('/').filter((part) => part !== '');
    return this.#expand('/', parts).flatMap((path) => this.#one(path, false));
  }

  /** Matches component by component, as Go's `filepath.Glob`; nothing matched is no error. */
  #expand(folder: string, parts: readonly string[]): string[] {
    const [part, ...rest] = parts;
    if (part === undefined) return [folder];
    if (!/[*?[\\]/.test(part)) return this.#exists(posix.join(folder, part)) ? this.#expand(posix.join(folder, part), rest) : [];
    const expression = toPathExpression(part);
    const names = this.#namesIn(folder).filter((name) => expression.test(name));
    return names.flatMap((name) => this.#expand(posix.join(folder, name), rest));
  }

  #namesIn(folder: string): string[] {
    try {
      return readdirSync(resolveInRoot(this.#root, folder)).sort();
    } catch (error) {
      if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return [];
      throw error;
    }
  }

  #exists(path: string): boolean {
    return lstatSync(resolveInRoot(this.#root, path), { throwIfNoEntry: false }) !== undefined;
  }

  #one(path: string, isRequired: boolean): CopySource[] {
    const hostPath = resolveInRoot(this.#root, path);
    const stats = lstatSync(hostPath, { throwIfNoEntry: false });
    const inside = relative(this.#root, hostPath);
    const isIgnored = inside !== '' && this.#ignore.isIgnored(inside) && (stats?.isDirectory() !== true || this.#ignore.canSkipFolders);
    if (stats === undefined || isIgnored) {
      if (!isRequired) return [];
      throw new GantryError('not-found', `${JSON.stringify(path)} is not in the source${isIgnored ? ': .dockerignore leaves it out' : ''}`);
    }
    const name = posix.basename(path);
    if (!stats.isDirectory()) return this.#excludes.isIgnored(name) ? [] : [{ kind: 'file', name, entries: [{ path: '', hostPath, stats }] }];
    const entries = [...walkTree(hostPath, this.#filter(inside, () => true))];
    return [{ kind: 'folder', name, entries: inside === '' ? entries.map((entry) => (entry.path === '' ? asPlainFolder(entry) : entry)) : entries }];
  }

  withParents(source: string): CopySource[] {
    const [before, after] = splitPivot(source);
    const base = resolveInRoot(this.#root, before);
    const pattern = posix.normalize(`/${after}`).replace(/(?<=.)\/$/, '').slice(1);
    const expression = toPathExpression(pattern === '' ? '**' : pattern);
    const isTaken = (path: string): boolean => expression.test(path) || parentsOf(path).some((parent) => expression.test(parent));
    const inside = relative(this.#root, base);
    const all = [...walkTree(base, this.#filter(inside, () => true))];
    const taken = new Set(all.filter(({ path }) => path !== '' && isTaken(path)).flatMap(({ path }) => [path, ...parentsOf(path)]));
    if (taken.size === 0 && !/[*?[]/.test(source)) throw new GantryError('not-found', `${JSON.stringify(source)} is not in the source`);
    return [{ kind: 'parents', name: '', entries: all.filter(({ path }) => taken.has(path)) }];
  }

  #filter(inside: string, isTaken: (path: string) => boolean): WalkFilter {
    return (path, isFolder) => {
      if (this.#excludes.isIgnored(path)) return this.#excludes.canSkipFolders ? 'skip' : 'leave';
      if (this.#ignore.isIgnored(posix.join(inside, path))) return isFolder && !this.#ignore.canSkipFolders ? 'leave' : 'skip';
      return isTaken(path) ? 'take' : 'leave';
    };
  }
}

/** A tree's own root says nothing of the folder it becomes: how the context was unpacked must not show. */
function asPlainFolder(entry: FileEntry): FileEntry {
  const stats: Stats = Object.assign(Object.create(Object.getPrototypeOf(entry.stats) as object) as Stats, entry.stats, { mode: 0o040755, uid: 0, gid: 0 });
  return { ...entry, stats };
}

/** `a/./b/c`: the part after `/./` is kept at the destination. */
function splitPivot(source: string): [string, string] {
  const at = source.indexOf('/./');
  return at < 0 ? ['/', source] : [source.slice(0, at), source.slice(at + 3)];
}

function parentsOf(path: string): string[] {
  const parts = path.split('/');
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join('/'));
}

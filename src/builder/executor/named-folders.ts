import { join } from 'node:path';
import { GantryError, randomHex } from '../../kernel/mod.ts';
import type { BuildEnvironment } from '../config.ts';
import { resolveInRoot } from '../files/resolve-in-root.ts';
import { parseGitSource } from '../plan/git-source.ts';
import { type NamedFolder, openNamedFolder } from './build-context.ts';
import { checkOutGitSource, resolveGitSource } from './git-checkout.ts';

/** A named context of a request. */
export type RequestedContext =
  | { readonly kind: 'folder'; readonly folder: string; readonly version?: string }
  | { readonly kind: 'image'; readonly reference: string }
  | { readonly kind: 'git'; readonly url: string };

/** The folders of named contexts; repositories are checked out below `workFolder`. */
export async function openNamedFolders(contexts: ReadonlyMap<string, RequestedContext>, environment: BuildEnvironment, workFolder: string, signal: AbortSignal): Promise<Map<string, NamedFolder>> {
  const folders = new Map<string, NamedFolder>();
  for (const [name, context] of contexts) {
    if (context.kind === 'folder') folders.set(name, openNamedFolder(context.folder, name, context.version));
    if (context.kind === 'git') folders.set(name, openNamedFolder(await checkOut(context.url, environment, workFolder, signal), name));
  }
  return folders;
}

async function checkOut(url: string, environment: BuildEnvironment, workFolder: string, signal: AbortSignal): Promise<string> {
  const source = parseGitSource(url);
  if (source === undefined || 'message' in source) throw new GantryError('invalid', source?.message ?? `${JSON.stringify(url)} is no git repository`);
  const folder = join(workFolder, `context-${randomHex(6)}`);
  await checkOutGitSource(source, await resolveGitSource(source, environment, signal), folder, environment, signal);
  return resolveInRoot(folder, source.folder);
}

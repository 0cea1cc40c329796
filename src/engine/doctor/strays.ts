import { readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { commandLine, commandName, identifyProcess, type ProcessIdentity } from '../../host/mod.ts';
import type { EnginePaths } from '../paths.ts';
import { type EngineState, namesIn, shortIdsOf } from './state.ts';

/** Something in the engine's folders that belongs to nothing. */
export interface StrayFile { readonly kind: 'container-folder' | 'run-folder' | 'runtime-state' | 'exit-file' | 'namespace'; readonly path: string }

/** Files and folders of containers, pods and builds that are not known. */
export async function findStrayFiles(stateNow: () => EngineState, paths: EnginePaths): Promise<StrayFile[]> {
  const stray: StrayFile[] = [];
  for (const { kind, folder, isWanted } of places(paths)) {
    const names = await namesIn(folder);
    const known = stateNow();
    stray.push(...names.filter((name) => !isWanted(name, known)).map((name) => ({ kind, path: join(folder, name) })));
  }
  return stray;
}

interface Place { readonly kind: StrayFile['kind']; readonly folder: string; readonly isWanted: (name: string, state: EngineState) => boolean }

function places(paths: EnginePaths): Place[] {
  const isContainer = (id: string, { containers }: EngineState): boolean => containers.some((container) => container.id === id);
  const isBuild = (id: string, { builds }: EngineState): boolean => builds.shortIds.includes(id.slice(0, 16));
  const hasShortId = (id: string, state: EngineState): boolean => shortIdsOf(state).has(id);
  return [
    { kind: 'container-folder', folder: paths.containers, isWanted: isContainer },
    { kind: 'container-folder', folder: paths.trees, isWanted: isBuild },
    { kind: 'container-folder', folder: paths.sandboxes, isWanted: (id, { sandboxes }) => sandboxes.some((sandbox) => sandbox.id === id) },
    { kind: 'run-folder', folder: join(paths.run, 'c'), isWanted: hasShortId },
    { kind: 'run-folder', folder: join(paths.run, 's'), isWanted: hasShortId },
    { kind: 'run-folder', folder: join(paths.run, 't'), isWanted: isBuild },
    { kind: 'namespace', folder: paths.namespaces, isWanted: (name, state) => hasShortId(name.replace(/^\w+-/, ''), state) },
    { kind: 'runtime-state', folder: paths.runtimeState, isWanted: (id, state) => isContainer(id, state) || isBuild(id, state) },
    { kind: 'exit-file', folder: paths.exits, isWanted: (name, state) => isContainer(name.replace(/\..*$/, ''), state) },
  ];
}

export async function removeStrayFile({ path }: StrayFile): Promise<void> {
  await rm(path, { recursive: true, force: true });
}

/** Monitors of the instance whose container is not known. A monitor tells by its arguments whose it is. */
export function findStrayMonitors(stateNow: () => EngineState, paths: EnginePaths): ProcessIdentity[] {
  const found = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((name) => {
    const pid = Number(name);
    if (commandName(pid) !== 'conmon') return [];
    const args = commandLine(pid).split('\0');
    const valueOf = (flag: string): string => args[args.indexOf(flag) + 1] ?? '';
    if (!args.includes('--exit-dir') || valueOf('--exit-dir') !== paths.exits) return [];
    const identity = identifyProcess(pid);
    return identity === undefined ? [] : [{ identity, container: valueOf('--cid') }];
  });
  const known = new Set<string>(stateNow().containers.map(({ id }) => id));
  return found.filter(({ container }) => !known.has(container)).map(({ identity }) => identity);
}

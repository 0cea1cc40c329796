import { spawn } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { spreadFolders } from '../../host/mod.ts';
import { baseEnv, cancelled, GantryError, pollUntil, randomHex, throwIfAborted } from '../../kernel/mod.ts';
import { type BundleFacts, planBundle, serializeSpec } from '../bundle/bundle.ts';
import { defaultCapabilities, planCapabilities } from '../bundle/capabilities.ts';
import { planDevices } from '../bundle/devices.ts';
import type { ResolvedMount } from '../bundle/mounts.ts';
import { hostSeccompTarget, toOciSeccomp } from '../bundle/seccomp.ts';
import { readUserDatabases, resolveUser } from '../bundle/user.ts';
import { type Cgroups, countOomKills } from '../cgroups/cgroups.ts';
import { checkRootfs } from '../containers/guarded-paths.ts';
import { etcMounts } from '../containers/launch-request.ts';
import { mountRootfs, unmountRootfs } from '../containers/rootfs.ts';
import { plainContainerSpec } from '../containers/plain-spec.ts';
import type { Tree, TreeMount, TreeProcess, Trees } from '../engine.ts';
import type { HostFacts } from '../host-facts.ts';
import { formatHosts, formatResolvConf, planDns } from '../networks/etc-files.ts';
import type { NetworkManager } from '../networks/network-manager.ts';
import type { ContainerPaths, EnginePaths } from '../paths.ts';
import type { EndpointStatus } from '../types.ts';

export interface TreeParts {
  readonly host: HostFacts;
  readonly paths: EnginePaths;
  readonly cgroups: Cgroups;
  readonly networks: NetworkManager;
}

/** What containers have and no build needs: making packets by hand. */
const needless = new Set(['CAP_NET_RAW']);

/**
 * Writable file trees and the processes that a build runs in them. A process is a child of this program, without a monitor: a build
 * does not outlive its builder. Trees are not kept over a restart.
 */
export class TreeManager implements Trees {
  readonly #parts: TreeParts;
  readonly #open = new Map<string, ContainerPaths>();
  readonly #steps = new Set<string>();

  constructor(parts: TreeParts) {
    this.#parts = parts;
  }

  /** Removes what an earlier engine left. Its processes and mounts have been swept. */
  async load(): Promise<void> {
    await mkdir(this.#parts.paths.trees, { recursive: true });
    spreadFolders(this.#parts.paths.trees);
    for (const name of await readdir(this.#parts.paths.trees)) await rm(join(this.#parts.paths.trees, name), { recursive: true, force: true });
  }

  async open(layerFolders: readonly string[], signal: AbortSignal): Promise<Tree> {
    throwIfAborted(signal);
    const id = randomHex(16);
    const paths = this.#parts.paths.tree(id);
    mountRootfs(this.#parts.paths, paths, layerFolders, false);
    this.#open.set(id, paths);
    return { id, rootPath: paths.rootfs, writableFolder: paths.upper, unmount: () => unmountRootfs(paths), [Symbol.asyncDispose]: () => this.#close(id, paths) };
  }

  /** Mount points and cgroups of open trees and running steps. */
  inUse(): { mounts: string[]; cgroups: string[]; shortIds: string[] } {
    return {
      mounts: [...this.#open.values()].map(({ run }) => run),
      cgroups: [...this.#steps].map((runId) => this.#parts.cgroups.pathOf('job', runId)),
      shortIds: [...this.#open.keys(), ...this.#steps].map((id) => id.slice(0, 16)),
    };
  }

  async #close(id: string, paths: ContainerPaths): Promise<void> {
    this.#open.delete(id);
    await unmountRootfs(paths);
    rmSync(paths.run, { recursive: true, force: true });
    await rm(paths.folder, { recursive: true, force: true });
  }

  async run(tree: Tree, step: TreeProcess, signal: AbortSignal): Promise<{ exitCode: number; isOomKilled: boolean }> {
    throwIfAborted(signal);
    const paths = this.#open.get(tree.id);
    if (paths === undefined) throw new GantryError('precondition-failed', `the tree ${tree.id} is closed`);
    const runId = randomHex(32);
    const bundle = join(paths.run, runId.slice(0, 16));
    const { cgroups, networks } = this.#parts;
    const cgroupPath = cgroups.pathOf('job', runId);
    let endpoints: EndpointStatus[] = [];
    this.#steps.add(runId);
    try {
      mkdirSync(bundle, { recursive: true, mode: 0o700 });
      const network = this.#connect(runId, step.network);
      endpoints = network.endpoints;
      const facts = this.#facts(runId, paths, step, bundle, network, cgroupPath);
      await writeFile(join(bundle, 'config.json'), serializeSpec(planBundle(treeSpec(runId, step), facts)), { mode: 0o600 });
      const exitCode = await this.#spawn(runId, bundle, step.output, cgroupPath, signal);
      return { exitCode, isOomKilled: countOomKills(cgroups.layout, cgroupPath) > 0 };
    } finally {
      this.#steps.delete(runId);
      await cgroups.kill(cgroupPath, AbortSignal.timeout(10_000));
      networks.removeNamespace(runId.slice(0, 16));
      networks.release(endpoints);
      rmSync(bundle, { recursive: true, force: true });
      rmSync(join(this.#parts.paths.runtimeState, runId), { recursive: true, force: true });
      await pollUntil('the cgroup to empty', () => cgroups.remove(cgroupPath) || undefined, { timeoutMs: 5000, intervalMs: 5 }, AbortSignal.timeout(10_000));
    }
  }

  #connect(runId: string, mode: TreeProcess['network']): { source: BundleFacts['namespaces']['network']; endpoints: EndpointStatus[] } {
    if (mode === 'host') return { source: { kind: 'host' }, endpoints: [] };
    if (mode === 'none') return { source: { kind: 'new' }, endpoints: [] };
    const file = this.#parts.networks.createNamespace(runId.slice(0, 16));
    const endpoint = this.#parts.networks.connect(file, { network: 'bridge', aliases: [] }, 'eth0', true);
    return { source: { kind: 'join', path: file }, endpoints: [endpoint] };
  }

  #facts(
    runId: string,
    paths: ContainerPaths,
    step: TreeProcess,
    bundle: string,
    network: { source: BundleFacts['namespaces']['network']; endpoints: EndpointStatus[] },
    cgroupPath: string,
  ): BundleFacts {
    const { host } = this.#parts;
    const isPrivileged = step.isPrivileged === true;
    const wanted = isPrivileged ? planCapabilities({ isPrivileged, addCapabilities: [], dropCapabilities: [] }) : defaultCapabilities.filter((name) => !needless.has(name));
    const capabilities = wanted.filter((name) => host.capabilities.has(name));
    const hostname = 'buildkitsandbox';
    writeFileSync(join(bundle, 'hosts'), formatHosts(network.endpoints.map(({ ipv4Address }) => ({ ip: ipv4Address, names: [hostname] })), []));
    writeFileSync(join(bundle, 'hostname'), `${hostname}\n`);
    writeFileSync(join(bundle, 'resolv.conf'), formatResolvConf(planDns({ servers: [], searches: [], options: [] }, this.#parts.networks.hostDns(), step.network === 'host')));
    const taken = new Set(step.mounts.map(({ containerPath }) => containerPath));
    const mounts = step.mounts.map(toResolvedMount);
    checkRootfs(paths.rootfs, mounts, step.workingDir);
    const own = { kind: 'new' } as const;
    return {
      containerId: runId,
      rootfsPath: paths.rootfs,
      cgroupVersion: host.layout.version,
      cgroupPath,
      hostname,
      user: resolveUser(step.user, [], readUserDatabases(paths.rootfs)),
      capabilities,
      seccomp: isPrivileged ? undefined : toOciSeccomp(host.seccomp, hostSeccompTarget(capabilities, paths.rootfs)),
      rlimits: [],
      resources: {},
      devices: planDevices([], isPrivileged),

      mounts: [...mounts, ...etcMounts(bundle, taken)],
      namespaces: { network: network.source, ipc: own, uts: own, pid: own, cgroup: own },
      sharedShmPath: undefined,
      oomScoreAdj: undefined,
      userNamespace: undefined,
    };
  }

  async #spawn(runId: string, bundle: string, output: Writable, cgroupPath: string, signal: AbortSignal): Promise<number> {
    const { programs } = this.#parts.host;
    const child = spawn(programs.path, ['--root', this.#parts.paths.runtimeState, 'run', '--bundle', bundle, runId], { env: baseEnv(), stdio: ['ignore', 'pipe', 'pipe'] });
    const onAbort = (): void => {
      // The runtime does not pass SIGKILL on: the processes are ended by their cgroup, and it follows them.
      void this.#parts.cgroups.kill(cgroupPath, AbortSignal.timeout(10_000)).catch(() => undefined).finally(() => child.kill('SIGKILL'));
    };
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      const ended = new Promise<number>((resolve, reject) => {
        child.once('error', (error) => reject(new GantryError('unavailable', 'cannot start the OCI runtime', { cause: error })));
        child.once('close', (code) => resolve(code ?? 137));
      });
      const copies = [child.stdout, child.stderr].map((stream) => copy(stream, output));
      const [exitCode] = await Promise.all([ended, ...copies]);
      if (signal.aborted) throw cancelled(signal);
      return exitCode;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }
}

function toResolvedMount(mount: TreeMount): ResolvedMount {
  const target = mount.containerPath;
  if (mount.kind === 'tmpfs') return { type: 'tmpfs', target, isReadOnly: false, options: [], ...(mount.sizeBytes === undefined ? {} : { sizeBytes: mount.sizeBytes }) };
  return { type: 'bind', source: mount.hostPath, target, isReadOnly: mount.isReadOnly, propagation: 'rprivate', isRecursive: true };
}

/** Copies with back-pressure and leaves the target open: two streams write to it. */
async function copy(source: Readable, target: Writable): Promise<void> {
  for await (const chunk of source) {
    if (target.destroyed) continue;
    if (!target.write(chunk)) await new Promise<void>((resolve) => {
      const go = (): void => {
        target.off('drain', go);
        target.off('close', go);
        resolve();
      };
      target.once('drain', go);
      target.once('close', go);
    });
  }
}

function treeSpec(runId: string, step: TreeProcess) {
  const spec = plainContainerSpec({ name: runId, image: { id: 'sha256:0', reference: '' }, args: step.args });
  return { ...spec, env: step.env, workingDir: step.workingDir, user: step.user, security: { ...spec.security, isPrivileged: step.isPrivileged === true } };
}

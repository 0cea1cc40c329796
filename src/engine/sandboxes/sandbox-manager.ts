import { chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mount, mountFlags, nameHost, pinNamespaces, pinUserNamespace, readMounts, unmount, unpinNamespace, withinNamespaces, writeSysctl, writeSysctlsWithin } from '../../host/mod.ts';
import { GantryError, Mutex, randomHex, readTextIfExists, writeFileAtomic } from '../../kernel/mod.ts';
import type { Cgroups } from '../cgroups/cgroups.ts';
import { freeIdRange } from '../containers/id-ranges.ts';
import type { SandboxParts } from '../containers/launch-request.ts';
import { isNamespacedSysctl } from '../containers/namespaced-sysctl.ts';
import type { EventLog } from '../events/event-log.ts';
import { setUpNamespace } from '../networks/endpoints.ts';
import { formatHosts, formatResolvConf, planDns } from '../networks/etc-files.ts';
import type { NetworkManager } from '../networks/network-manager.ts';
import type { EnginePaths } from '../paths.ts';
import type { EndpointStatus, PortBinding, SandboxRecord, SandboxSpec, UserNamespaceMode } from '../types.ts';

interface SandboxState { readonly record: SandboxRecord; readonly ports: readonly PortBinding[] }

/** Size of the /dev/shm that a pod's containers share. */
const shmSizeBytes = 64 << 20;
/** Making a user namespace takes 5 ms. */
const pinTimeoutMs = 30_000;

/** Pods' namespaces, pinned by bind mounts so that they need no process, and their parent cgroups. */
export class SandboxManager {
  readonly #paths: EnginePaths;
  readonly #networks: NetworkManager;
  readonly #cgroups: Cgroups;
  readonly #events: EventLog;
  readonly #idRangesInUse: () => readonly UserNamespaceMode[];
  readonly #sandboxes = new Map<string, SandboxState>();
  readonly #locks = new Map<string, Mutex>();
  readonly #making = new Map<string, SandboxRecord>();

  /** `idRangesInUse`: those of everything in the engine, sandboxes included. */
  constructor(paths: EnginePaths, networks: NetworkManager, cgroups: Cgroups, events: EventLog, idRangesInUse: () => readonly UserNamespaceMode[]) {
    this.#paths = paths;
    this.#networks = networks;
    this.#cgroups = cgroups;
    this.#events = events;
    this.#idRangesInUse = idRangesInUse;
  }

  /** Reads the sandboxes. One whose namespaces are gone (a reboot) gets new ones with the same address: the pod keeps its identity. */
  async load(): Promise<void> {
    await mkdir(this.#paths.sandboxes, { recursive: true });
    const mounted = new Set(readMounts().map(({ target }) => target));
    const states = await Promise.all((await readdir(this.#paths.sandboxes)).map((id) => this.#read(id)));
    const found = states.filter((state) => state !== undefined);
    // Addresses first: a sandbox that is made anew must not be given one that another has.
    for (const { record } of found) if (record.endpoint !== undefined) this.#networks.restore([record.endpoint]);
    for (const state of found) {
      const { record } = state;
      this.#sandboxes.set(record.id, state);
      const pins = Object.values(this.#files(record.id, record.spec));
      if (pins.some((file) => !mounted.has(file))) await this.#remake(record);
      if (record.endpoint !== undefined) await this.#networks.publications.restore(record.id, state.ports, { ipv4: record.endpoint.ipv4Address });
      this.#prepareShared(record);
    }
  }

  async #read(id: string): Promise<SandboxState | undefined> {
    const folder = join(this.#paths.sandboxes, id);
    const text = await readTextIfExists(join(folder, 'sandbox.json'));
    if (text !== undefined) return JSON.parse(text) as SandboxState;
    await rm(folder, { recursive: true, force: true });
    return undefined;
  }

  list(): readonly SandboxRecord[] {
    return [...this.#sandboxes.values()].map(({ record }) => record);
  }

  /** Also those that are just being made. */
  known(): readonly SandboxRecord[] {
    return [...this.list(), ...this.#making.values()];
  }

  get(id: string): SandboxRecord {
    const state = this.#sandboxes.get(id);
    if (state === undefined) throw new GantryError('not-found', `No such sandbox: ${id}`);
    return state.record;
  }

  /** Returns the existing one when the pod already has a sandbox. */
  async create(spec: SandboxSpec): Promise<SandboxRecord> {
    return this.#lock(spec.podUid).run(async () => {
      const existing = this.list().find((record) => record.spec.podUid === spec.podUid);
      return existing ?? this.#create(spec);
    });
  }

  async #create(spec: SandboxSpec): Promise<SandboxRecord> {
    if (spec.hostUsers === false && spec.hostNetwork) throw new GantryError('invalid', "cannot share the host's network namespace when user namespaces are enabled");
    const owns = { network: !spec.hostNetwork, ipc: true };
    const foreign = Object.keys(spec.sysctls).find((name) => !isNamespacedSysctl(name, owns));
    if (foreign !== undefined) throw new GantryError('invalid', `sysctl ${foreign} is not in a namespace of the pod and would change the host`);
    const id = randomHex(32);
    let endpoint: EndpointStatus | undefined;
    let ports: PortBinding[] = [];
    const made: SandboxRecord = { id, spec, createdAt: new Date().toISOString(), ...(spec.hostUsers === false ? { idRange: freeIdRange(this.#idRangesInUse()) } : {}) };
    this.#making.set(id, made);
    try {
      endpoint = await this.#makeNamespaces(made);
      if (endpoint !== undefined) ports = await this.#networks.publications.publish(id, spec.ports, { ipv4: endpoint.ipv4Address });
      const record: SandboxRecord = { ...made, ...(endpoint === undefined ? {} : { endpoint }) };
      this.#cgroups.createParent(this.#cgroupPath(spec), spec.cgroup);
      this.#prepareShared(record);
      await this.#writeEtcFiles(record);
      await writeFileAtomic(join(this.#paths.sandboxes, id, 'sandbox.json'), JSON.stringify({ record, ports } satisfies SandboxState));
      this.#sandboxes.set(id, { record, ports });
      this.#events.publish({ type: 'sandbox', action: 'create', id, attributes: attributesOf(spec) });
      return record;
    } catch (error) {
      await this.#dismantle(id, spec, endpoint);
      throw error;
    } finally {
      this.#making.delete(id);
    }
  }

  /** The caller has removed its containers. A no-op when it is gone. */
  async remove(id: string): Promise<void> {
    const found = this.#sandboxes.get(id);
    if (found === undefined) return;
    await this.#lock(found.record.spec.podUid).run(async () => {
      const state = this.#sandboxes.get(id);
      if (state === undefined) return;
      await this.#dismantle(id, state.record.spec, state.record.endpoint);
      this.#sandboxes.delete(id);
      this.#events.publish({ type: 'sandbox', action: 'destroy', id, attributes: attributesOf(state.record.spec) });
    });
    this.#locks.delete(found.record.spec.podUid);
  }

  async #dismantle(id: string, spec: SandboxSpec, endpoint: EndpointStatus | undefined): Promise<void> {
    await this.#networks.publications.unpublish(id);
    if (endpoint !== undefined) this.#networks.release([endpoint]);
    for (const file of Object.values(this.#files(id, { hostNetwork: false, hostUsers: false }))) unpinNamespace(file);
    while (unmount(this.#shmPath(id), { lazy: true }));
    this.#cgroups.remove(this.#cgroupPath(spec));
    await rm(join(this.#paths.run, 's', id.slice(0, 16)), { recursive: true, force: true });
    await rm(join(this.#paths.sandboxes, id), { recursive: true, force: true });
  }

  /** What containers of the pod join. */
  partsOf(id: string): SandboxParts {
    const { spec, idRange } = this.get(id);
    const files = this.#files(id, spec);
    return {
      ...(files.user === undefined || idRange === undefined ? {} : { userNamespace: { file: files.user, range: idRange } }),
      namespaces: {
        network: files.net === undefined ? { kind: 'host' } : { kind: 'join', path: files.net },
        ipc: { kind: 'join', path: files.ipc },
        uts: files.uts === undefined ? { kind: 'host' } : { kind: 'join', path: files.uts },
      },
      shmPath: this.#shmPath(id),
      etcFolder: this.#etcFolder(id),
      cgroupPath: this.#cgroupPath(spec),
      hostname: spec.hostname,
    };
  }

  enterNetwork<T>(id: string, work: () => T): T {
    const { net } = this.#files(id, this.get(id).spec);
    return net === undefined ? work() : withinNamespaces({ net }, work);
  }

  async #remake(record: SandboxRecord): Promise<void> {
    for (const file of Object.values(this.#files(record.id, { hostNetwork: false, hostUsers: false }))) unpinNamespace(file);
    await this.#makeNamespaces(record);
  }

  /** A record that has an endpoint already had it before a reboot. */
  async #makeNamespaces({ id, spec, idRange, endpoint: previous }: SandboxRecord): Promise<EndpointStatus | undefined> {
    const { user, ...files } = this.#files(id, spec);
    const setUp = (sysctls: Readonly<Record<string, string>>): void => {
      if (files.uts !== undefined) nameHost(spec.hostname);
      if (files.net !== undefined) setUpNamespace();
      for (const [name, value] of Object.entries(sysctls)) writeSysctl(name, value);
    };
    if (user === undefined || idRange === undefined || files.net === undefined) pinNamespaces(files, () => setUp(spec.sysctls));
    else {
      const limit = AbortSignal.timeout(pinTimeoutMs);
      await pinUserNamespace({ ...files, net: files.net, user }, idRange, limit);
      withinNamespaces(files, () => setUp({}));
      await writeSysctlsWithin({ user, net: files.net, ipc: files.ipc }, spec.sysctls, limit);
    }
    if (files.net === undefined) return undefined;
    if (previous !== undefined) this.#networks.release([previous]);
    const address = previous === undefined ? {} : { ipv4Address: previous.ipv4Address };
    return this.#networks.connect(files.net, { network: this.#networks.podNetwork.id, aliases: [], ...address }, 'eth0', true);
  }

  #prepareShared({ id, spec, idRange }: SandboxRecord): void {
    const shm = this.#shmPath(id);
    mkdirSync(shm, { recursive: true });
    if (!readMounts().some(({ target }) => target === shm)) {
      mount('shm', shm, 'tmpfs', mountFlags.noSuid | mountFlags.noDevices | mountFlags.noExec, `mode=1777,size=${shmSizeBytes}${idRange === undefined ? '' : `,uid=${idRange.firstId},gid=${idRange.firstId}`}`);
    }
    this.#cgroups.createParent(this.#cgroupPath(spec), spec.cgroup);
  }

  async #writeEtcFiles({ id, spec, endpoint, idRange }: SandboxRecord): Promise<void> {
    const folder = this.#etcFolder(id);
    mkdirSync(folder, { recursive: true });
    const own = endpoint === undefined ? [] : [{ ip: endpoint.ipv4Address, names: [spec.hostname] }];
    writeFileSync(join(folder, 'hosts'), formatHosts(own, spec.extraHosts));
    await writeFile(join(folder, 'hostname'), `${spec.hostname}\n`);
    await writeFile(join(folder, 'resolv.conf'), formatResolvConf(planDns(spec.dns, this.#networks.hostDns(), spec.hostNetwork)));
    if (idRange !== undefined) for (const name of ['hosts', 'hostname', 'resolv.conf']) chownSync(join(folder, name), idRange.firstId, idRange.firstId);
  }

  #files(id: string, { hostNetwork, hostUsers }: Pick<SandboxSpec, 'hostNetwork' | 'hostUsers'>): { ipc: string; net?: string; uts?: string; user?: string } {
    const name = id.slice(0, 16);
    const ipc = join(this.#paths.namespaces, `ipc-${name}`);
    // As in Kubernetes: a pod on the host's network has the host's name.
    if (hostNetwork) return { ipc };
    const own = { ipc, net: this.#networks.namespaceFile(name), uts: join(this.#paths.namespaces, `uts-${name}`) };
    return hostUsers === false ? { ...own, user: join(this.#paths.namespaces, `user-${name}`) } : own;
  }

  #shmPath(id: string): string {
    return join(this.#paths.run, 's', id.slice(0, 16), 'shm');
  }

  #etcFolder(id: string): string {
    return join(this.#paths.sandboxes, id, 'etc');
  }

  #cgroupPath(spec: SandboxSpec): string {
    return this.#cgroups.pathOf(spec.cgroup.workload, `pod${spec.podUid}`);
  }

  #lock(podUid: string): Mutex {
    const lock = this.#locks.get(podUid) ?? new Mutex();
    this.#locks.set(podUid, lock);
    return lock;
  }
}

function attributesOf(spec: SandboxSpec): Record<string, string> {
  return { namespace: spec.namespace, name: spec.name, podUid: spec.podUid };
}

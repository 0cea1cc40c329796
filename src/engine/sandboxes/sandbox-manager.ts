import { mkdirSync, writeFileSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mount, mountFlags, nameHost, pinNamespaces, readMounts, unmount, unpinNamespace, withinNamespaces, writeSysctl } from '../../host/mod.ts';
import { GantryError, Mutex, randomHex, readTextIfExists, writeFileAtomic } from '../../kernel/mod.ts';
import type { Cgroups } from '../cgroups/cgroups.ts';
import type { SandboxParts } from '../containers/launch-request.ts';
import { isNamespacedSysctl } from '../containers/namespaced-sysctl.ts';
import type { EventLog } from '../events/event-log.ts';
import { setUpNamespace } from '../networks/endpoints.ts';
import { formatHosts, formatResolvConf, planDns, readHostDns } from '../networks/etc-files.ts';
import type { NetworkManager } from '../networks/network-manager.ts';
import type { EnginePaths } from '../paths.ts';
import type { EndpointStatus, PortBinding, SandboxRecord, SandboxSpec } from '../types.ts';

interface SandboxState { readonly record: SandboxRecord; readonly ports: readonly PortBinding[] }

/** Size of the /dev/shm that a pod's containers share. */
const shmSizeBytes = 64 << 20;

/** Pods' namespaces, pinned by bind mounts so that they need no process, and their parent cgroups. */
export class SandboxManager {
  readonly #paths: EnginePaths;
  readonly #networks: NetworkManager;
  readonly #cgroups: Cgroups;
  readonly #events: EventLog;
  readonly #sandboxes = new Map<string, SandboxState>();
  readonly #locks = new Map<string, Mutex>();
  readonly #making = new Map<string, SandboxRecord>();

  constructor(paths: EnginePaths, networks: NetworkManager, cgroups: Cgroups, events: EventLog) {
    this.#paths = paths;
    this.#networks = networks;
    this.#cgroups = cgroups;
    this.#events = events;
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
      const pins = Object.values(this.#files(record.id, record.spec.hostNetwork));
      if (pins.some((file) => !mounted.has(file))) this.#remake(record);
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
    const owns = { network: !spec.hostNetwork, ipc: true };
    const foreign = Object.keys(spec.sysctls).find((name) => !isNamespacedSysctl(name, owns));
    if (foreign !== undefined) throw new GantryError('invalid', `sysctl ${foreign} is not in a namespace of the pod and would change the host`);
    const id = randomHex(32);
    let endpoint: EndpointStatus | undefined;
    let ports: PortBinding[] = [];
    this.#making.set(id, { id, spec, createdAt: new Date().toISOString() });
    try {
      endpoint = this.#makeNamespaces(id, spec, undefined);
      if (endpoint !== undefined) ports = await this.#networks.publications.publish(id, spec.ports, { ipv4: endpoint.ipv4Address });
      const record: SandboxRecord = { id, spec, createdAt: new Date().toISOString(), ...(endpoint === undefined ? {} : { endpoint }) };
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
    for (const file of Object.values(this.#files(id, false))) unpinNamespace(file);
    while (unmount(this.#shmPath(id), { lazy: true }));
    this.#cgroups.remove(this.#cgroupPath(spec));
    await rm(join(this.#paths.run, 's', id.slice(0, 16)), { recursive: true, force: true });
    await rm(join(this.#paths.sandboxes, id), { recursive: true, force: true });
  }

  /** What containers of the pod join. */
  partsOf(id: string): SandboxParts {
    const { spec } = this.get(id);
    const files = this.#files(id, spec.hostNetwork);
    return {
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
    const { net } = this.#files(id, this.get(id).spec.hostNetwork);
    return net === undefined ? work() : withinNamespaces({ net }, work);
  }

  #remake(record: SandboxRecord): void {
    for (const file of Object.values(this.#files(record.id, false))) unpinNamespace(file);
    this.#makeNamespaces(record.id, record.spec, record.endpoint);
  }

  /** `previous`: the endpoint that a sandbox had before a reboot. */
  #makeNamespaces(id: string, spec: SandboxSpec, previous: EndpointStatus | undefined): EndpointStatus | undefined {
    const files = this.#files(id, spec.hostNetwork);
    pinNamespaces(files, () => {
      if (files.uts !== undefined) nameHost(spec.hostname);
      if (files.net !== undefined) setUpNamespace();
      for (const [name, value] of Object.entries(spec.sysctls)) writeSysctl(name, value);
    });
    if (files.net === undefined) return undefined;
    if (previous !== undefined) this.#networks.release([previous]);
    const address = previous === undefined ? {} : { ipv4Address: previous.ipv4Address };
    return this.#networks.connect(files.net, { network: this.#networks.podNetwork.id, aliases: [], ...address }, 'eth0', true);
  }

  #prepareShared({ id, spec }: SandboxRecord): void {
    const shm = this.#shmPath(id);
    mkdirSync(shm, { recursive: true });
    if (!readMounts().some(({ target }) => target === shm)) {
      mount('shm', shm, 'tmpfs', mountFlags.noSuid | mountFlags.noDevices | mountFlags.noExec, `mode=1777,size=${shmSizeBytes}`);
    }
    this.#cgroups.createParent(this.#cgroupPath(spec), spec.cgroup);
  }

  async #writeEtcFiles({ id, spec, endpoint }: SandboxRecord): Promise<void> {
    const folder = this.#etcFolder(id);
    mkdirSync(folder, { recursive: true });
    const own = endpoint === undefined ? [] : [{ ip: endpoint.ipv4Address, names: [spec.hostname] }];
    writeFileSync(join(folder, 'hosts'), formatHosts(own, spec.extraHosts));
    await writeFile(join(folder, 'hostname'), `${spec.hostname}\n`);
    await writeFile(join(folder, 'resolv.conf'), formatResolvConf(planDns(spec.dns, readHostDns(), spec.hostNetwork)));
  }

  #files(id: string, hostNetwork: boolean): { ipc: string; net?: string; uts?: string } {
    const name = id.slice(0, 16);
    const ipc = join(this.#paths.namespaces, `ipc-${name}`);
    // As in Kubernetes: a pod on the host's network has the host's name.
    return hostNetwork ? { ipc } : { ipc, net: this.#networks.namespaceFile(name), uts: join(this.#paths.namespaces, `uts-${name}`) };
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

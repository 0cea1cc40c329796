import { join } from 'node:path';

/**
 * Where the engine keeps things. `root` is durable: records, writable layers, logs, volumes. `run` is gone after a reboot and may be
 * deleted when nothing runs: bundles, sockets, mounts, pinned namespaces, exit files. Socket paths need `run` to be short (60 bytes).
 */
export class EnginePaths {
  readonly root: string;
  readonly run: string;

  constructor(root: string, run: string) {
    this.root = root;
    this.run = run;
  }

  get containers(): string {
    return join(this.root, 'containers');
  }

  get sandboxes(): string {
    return join(this.root, 'sandboxes');
  }

  get networks(): string {
    return join(this.root, 'networks');
  }

  get volumes(): string {
    return join(this.root, 'volumes');
  }

  get trees(): string {
    return join(this.root, 'trees');
  }

  /** One file per exit: the container's id; its text is the exit code. */
  get exits(): string {
    return join(this.run, 'exits');
  }

  /** The runtime's own state. */
  get runtimeState(): string {
    return join(this.run, 'runtime');
  }

  /** The layer of mount points over every image; its name carries the version of its content. */
  get initLayer(): string {
    return join(this.root, 'init-layer-1');
  }

  /** Short symlinks to layers, for overlay options. */
  get layerLinks(): string {
    return join(this.run, 'l');
  }

  get namespaces(): string {
    return join(this.run, 'ns');
  }

  container(id: string): ContainerPaths {
    return containerPaths(join(this.containers, id), join(this.run, 'c', id.slice(0, 16)));
  }

  /** Paths of a builder's tree, which is laid out as a container. */
  tree(id: string): ContainerPaths {
    return containerPaths(join(this.trees, id), join(this.run, 't', id.slice(0, 16)));
  }
}

export interface ContainerPaths {
  readonly folder: string;
  readonly record: string;
  readonly upper: string;
  readonly work: string;
  readonly logs: string;
  /** hosts, hostname, resolv.conf. */
  readonly etc: string;
  readonly run: string;
  readonly bundle: string;
  readonly rootfs: string;
  readonly pidFile: string;
  readonly monitorPidFile: string;
  /** A FIFO whose write end the monitor holds: end-of-file means that the monitor is gone. */
  readonly aliveFifo: string;
  readonly controlFifo: string;
  readonly attachSocket: string;
  /** Made by the monitor when the kernel killed for memory. */
  readonly oomFile: string;
  readonly shm: string;
  /** Size of the log when the run began. */
  readonly logStartFile: string;
  /** Parts of volumes, mounted during a start. */
  readonly parts: string;
}

function containerPaths(folder: string, run: string): ContainerPaths {
  return {
    folder,
    record: join(folder, 'container.json'),
    upper: join(folder, 'upper'),
    work: join(folder, 'work'),
    logs: join(folder, 'log'),
    etc: join(folder, 'etc'),
    run,
    bundle: run,
    rootfs: join(run, 'rootfs'),
    pidFile: join(run, 'pid'),
    monitorPidFile: join(run, 'conmon.pid'),
    aliveFifo: join(run, 'alive'),
    controlFifo: join(run, 'ctl'),
    attachSocket: join(run, 'attach'),
    oomFile: join(run, 'oom'),
    shm: join(run, 'shm'),
    logStartFile: join(run, 'log-start'),
    parts: join(run, 'parts'),
  };
}

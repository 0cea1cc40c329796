import { join } from 'node:path';

/** Where an instance keeps things. Only src/server knows this layout; every layer is given its own folders. */
export interface InstancePaths {
  readonly dataDir: string;
  /** Sockets and pinned namespaces; short, and empty after a reboot. */
  readonly runDir: string;
  readonly record: string;
  readonly configFile: string;
  readonly pki: string;
  readonly token: string;
  readonly kubeconfig: string;
  readonly store: string;
  readonly git: string;
  /** The hooks git runs; not under the run folder, which may forbid executing files. */
  readonly hooks: string;
  readonly registry: string;
  readonly engine: string;
  readonly builder: string;
  readonly ci: string;
  readonly node: string;
  /** Manifests of static pods, which users write. */
  readonly staticPods: string;
  /** Volumes of claims: users' data. */
  readonly volumes: string;
  readonly log: string;
  readonly dockerSocket: string;
  /** Sockets of the Docker API that are limited by policy. */
  readonly scopeSockets: string;
  /** The agent's own socket, for what neither the Docker nor the Kubernetes API has: image bootstrap. */
  readonly agentSocket: string;
}

/** The layout under a data folder. `dataDir` is a real path. */
export function instancePaths(dataDir: string, runDir: string): InstancePaths {
  return {
    dataDir,
    runDir,
    record: join(dataDir, 'instance.json'),
    configFile: join(dataDir, 'config.yaml'),
    pki: join(dataDir, 'pki'),
    token: join(dataDir, 'token'),
    kubeconfig: join(dataDir, 'kubeconfig'),
    store: join(dataDir, 'store'),
    git: join(dataDir, 'git'),
    hooks: join(dataDir, 'hooks'),
    registry: join(dataDir, 'registry'),
    engine: join(dataDir, 'engine'),
    builder: join(dataDir, 'builder'),
    ci: join(dataDir, 'ci'),
    node: join(dataDir, 'node'),
    staticPods: join(dataDir, 'static-pods'),
    volumes: join(dataDir, 'volumes'),
    log: join(dataDir, 'log'),
    dockerSocket: join(runDir, 'docker.sock'),
    scopeSockets: join(runDir, 'scopes'),
    agentSocket: join(runDir, 'agent.sock'),
  };
}

/** What Gantry made in the data folder, for purging. */
export function madePaths(paths: InstancePaths): string[] {
  const { record, pki, token, kubeconfig, store, git, hooks, registry, engine, builder, ci, node, staticPods, volumes, log } = paths;
  return [record, pki, token, kubeconfig, store, git, hooks, registry, engine, builder, ci, node, staticPods, volumes, log, join(paths.dataDir, 'run')];
}

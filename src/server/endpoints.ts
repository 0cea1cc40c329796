import { readTextIfExists } from '../kernel/mod.ts';
import type { Instance } from './instance.ts';

/** Where people and programs reach an instance. */
export interface Endpoints {
  readonly api: string;
  readonly web: string;
  readonly registry: string;
  readonly docker: string;
  readonly kubeconfig: string;
}

export function endpointsOf({ record, paths }: Pick<Instance, 'record' | 'paths'>): Endpoints {
  return {
    api: `https://127.0.0.1:${record.apiPort}`,
    web: `http://127.0.0.1:${record.httpPort}`,
    registry: `127.0.0.1:${record.registryPort}`,
    docker: `unix://${paths.dockerSocket}`,
    kubeconfig: paths.kubeconfig,
  };
}

/** The variables of `gantry env`: what kubectl, docker, git and scripts need to use the instance. */
export async function environmentOf(instance: Instance): Promise<Record<string, string>> {
  const { kubeconfig, docker, web, registry } = endpointsOf(instance);
  const token = (await readTextIfExists(instance.paths.token))?.trim() ?? '';
  return { KUBECONFIG: kubeconfig, DOCKER_HOST: docker, GANTRY_URL: web, GANTRY_TOKEN: token, GANTRY_REGISTRY: registry, GANTRY_DATA_DIR: instance.paths.dataDir };
}

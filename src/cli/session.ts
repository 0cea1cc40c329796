import { type KubeClient, openKubeClient, readKubeconfig } from '../client/mod.ts';
import { endpointsOf, environmentOf, type Instance, locateInstance, readInstance } from '../server/mod.ts';
import { readEnvironment } from './environment.ts';

export { interruptSignal } from './interrupt.ts';

/** Options that every command of an instance takes. */
export interface InstanceOptions { dataDir?: string }

/** The instance that `--data-dir`, GANTRY_DATA_DIR or the default names. `not-found` when it was never started. */
export async function openInstanceOf(options: InstanceOptions): Promise<Instance> {
  return readInstance(await locateInstance(options.dataDir ?? readEnvironment().dataDir));
}

export interface Session extends AsyncDisposable {
  readonly client: KubeClient;
  /** Where run logs are served, and the token for it. */
  readonly web: { url: string; token: string };
  /** The instance, when one on this machine is used. */
  readonly instance: Instance | undefined;
}

/**
 * A connection to an instance: the one of the data folder if one is named, else what KUBECONFIG and GANTRY_URL name,
 * so that the commands also work from another machine.
 */
export async function openSession(options: InstanceOptions): Promise<Session> {
  const environment = readEnvironment();
  if (options.dataDir === undefined && environment.kubeconfig !== undefined && environment.url !== undefined) {
    return session(environment.kubeconfig, { url: environment.url, token: environment.token ?? '' }, undefined);
  }
  const instance = await openInstanceOf(options);
  const { GANTRY_TOKEN = '' } = await environmentOf(instance);
  const { kubeconfig, web } = endpointsOf(instance);
  return session(kubeconfig, { url: web, token: GANTRY_TOKEN }, instance);
}

async function session(kubeconfig: string, web: { url: string; token: string }, instance: Instance | undefined): Promise<Session> {
  const client = openKubeClient((await readKubeconfig(kubeconfig)).connection);
  return { client, web, instance, [Symbol.asyncDispose]: () => client[Symbol.asyncDispose]() };
}

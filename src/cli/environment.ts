import { join } from 'node:path';

/** What the command line takes from the environment. */
export interface CliEnvironment {
  /** GANTRY_DATA_DIR, else /var/lib/gantry for root and a folder of the user's own for others. */
  readonly dataDir: string;
  /** KUBECONFIG: an API server to talk to when no data folder is named. */
  readonly kubeconfig: string | undefined;
  /** GANTRY_URL and GANTRY_TOKEN: where run logs are served. */
  readonly url: string | undefined;
  readonly token: string | undefined;
}

export function readEnvironment(): CliEnvironment {
  const { GANTRY_DATA_DIR, KUBECONFIG, GANTRY_URL, GANTRY_TOKEN, HOME } = process.env;
  const fallback = process.getuid?.() === 0 ? '/var/lib/gantry' : join(HOME ?? '.', '.local/share/gantry');
  return { dataDir: GANTRY_DATA_DIR ?? fallback, kubeconfig: KUBECONFIG, url: GANTRY_URL, token: GANTRY_TOKEN };
}

/** Every variable of the user's environment, for options that name one. */
export function readVariables(): Readonly<Record<string, string | undefined>> {
  return process.env;
}

import { GantryError } from '../kernel/mod.ts';
import { parseSettings, type Settings } from '../server/mod.ts';

/** The setting flags as commander gives them. */
export interface SettingFlags {
  config?: string;
  apiPort?: string;
  httpPort?: string;
  registryPort?: string;
  agentPort?: string;
  dockerListen?: string[];
  dockerTlsCacert?: string;
  dockerTlsCert?: string;
  dockerTlsKey?: string;
  dockerGroup?: string;
  usernsRemap?: string;
  podCidr?: string;
  serviceCidr?: string;
  containerCidr?: string;
  publishAddress?: string;
  nodePortRange?: string;
  tokenFile?: string;
  gitRoot?: string;
  registryMirror?: string[];
  insecureRegistry?: string[];
  registryAuthFile?: string;
  registryCertificates?: string;
  certificateBundle?: string;
  httpProxy?: string;
  httpsProxy?: string;
  noProxyFor?: string;
  logLevel?: string;
}

/** The flags that were given, checked like the configuration file. `invalid` names the setting. */
export async function settingsOf(flags: SettingFlags): Promise<Settings> {
  const { dockerListen, dockerGroup, usernsRemap, podCidr, serviceCidr, containerCidr, publishAddress, nodePortRange, tokenFile, gitRoot, registryAuthFile, registryCertificates, certificateBundle, httpProxy, httpsProxy, logLevel } = flags;
  const given = {
    apiPort: port(flags.apiPort),
    httpPort: port(flags.httpPort),
    registryPort: port(flags.registryPort),
    agentPort: port(flags.agentPort),
    ...{ dockerListen, dockerGroup, usernsRemap, podCidr, serviceCidr, containerCidr, publishAddress, nodePortRange, tokenFile, gitRoot, registryAuthFile, registryCertificates, certificateBundle, httpProxy, httpsProxy, logLevel },
    dockerTls: dockerTls(flags),
    noProxy: flags.noProxyFor,
    insecureRegistries: flags.insecureRegistry,
    registryMirrors: mirrors(flags.registryMirror),
  };
  return parseSettings(Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)));
}

/** A number stays what it is for the schema to judge; anything else is left as text, which the schema refuses. */
function port(text: string | undefined): number | string | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : text;
}

/** All three or none; the schema names what is missing. */
function dockerTls({ dockerTlsCacert, dockerTlsCert, dockerTlsKey }: SettingFlags): Record<string, string | undefined> | undefined {
  if (dockerTlsCacert === undefined && dockerTlsCert === undefined && dockerTlsKey === undefined) return undefined;
  return { caCert: dockerTlsCacert, cert: dockerTlsCert, key: dockerTlsKey };
}

function mirrors(pairs: readonly string[] | undefined): Record<string, string[]> | undefined {
  if (pairs === undefined) return undefined;
  const found: Record<string, string[]> = {};
  for (const pair of pairs) {
    const [, host, url] = /^([^=]+)=(.+)$/.exec(pair) ?? [];
    if (host === undefined || url === undefined) throw new GantryError('invalid', `--registry-mirror ${pair}: expected HOST=URL, for example docker.io=http://mirror.local:5000`);
    found[host] = [...(found[host] ?? []), url];
  }
  return found;
}

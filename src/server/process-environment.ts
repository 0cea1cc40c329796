import type { Settings } from './settings.ts';

/** Of this program; shown by nodes and by `gantry --version`. */
export const version = '0.1.0';

/** The configured proxies as variables in both spellings, because programs differ in which they read. */
export function proxyVariables({ httpProxy, httpsProxy, noProxy }: Settings): Record<string, string> {
  const pairs = Object.entries({ HTTP_PROXY: httpProxy, HTTPS_PROXY: httpsProxy, NO_PROXY: noProxy });
  return Object.fromEntries(pairs.flatMap(([name, value]) => (value === undefined ? [] : [[name, value], [name.toLowerCase(), value]])));
}

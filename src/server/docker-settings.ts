import { readFile } from 'node:fs/promises';
import { defaultIdRange, type DockerListener, type DockerTls, parseSubordinateRange, type UserNamespaceOptions } from '../engine/mod.ts';
import { GantryError, readTextIfExists } from '../kernel/mod.ts';
import type { Settings } from './settings.ts';

/** The group of the Docker socket where nothing is set. Docker's own group is not taken: its members were given another engine. */
const ownGroup = 'gantry';

/**
 * The id of the group that may use the Docker socket, by name or number, from the text of /etc/group (group(5)). Undefined: root alone,
 * which is so when nothing is set and there is no group `gantry`. `not-found` for a group that was named and does not exist.
 */
export function dockerGroupOf(wanted: string | undefined, groupFile: string): number | undefined {
  const line = groupFile.split('\n').map((text) => text.split(':')).find(([name]) => name === (wanted ?? ownGroup));
  if (line !== undefined) return Number(line[2]);
  if (wanted === undefined) return undefined;
  if (/^\d{1,9}$/.test(wanted)) return Number(wanted);
  throw new GantryError('not-found', `dockerGroup: there is no group ${JSON.stringify(wanted)} on this machine`);
}

/** What `usernsRemap` means for the engine. `not-found` and `invalid` name the file of subordinate ids that is wrong. */
export async function userNamespacesOf({ usernsRemap }: Settings): Promise<UserNamespaceOptions> {
  if (usernsRemap === undefined || usernsRemap === 'default') return { isDefault: usernsRemap !== undefined, range: defaultIdRange };
  const [subuid, subgid] = await Promise.all(['/etc/subuid', '/etc/subgid'].map(readTextIfExists));
  return { isDefault: true, range: parseSubordinateRange(usernsRemap, subuid ?? '', subgid ?? '') };
}

/** The addresses of `dockerListen`, with the certificates of `dockerTls` read. The settings have checked that those without are loopback. */
export async function tcpListeners({ dockerListen, dockerTls }: Settings): Promise<DockerListener[]> {
  const tls = dockerTls === undefined ? undefined : await readTls(dockerTls);
  return (dockerListen ?? []).map((address) => {
    const { hostname, port } = new URL(address);
    return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port), ...(tls === undefined ? {} : { tls }) };
  });
}

async function readTls({ caCert, cert, key }: NonNullable<Settings['dockerTls']>): Promise<DockerTls> {
  const [ca, own, secret] = await Promise.all([caCert, cert, key].map((file) => readFile(file, 'utf8')));
  return { ca: ca ?? '', cert: own ?? '', key: secret ?? '' };
}

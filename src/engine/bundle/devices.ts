import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, GantryError } from '../../kernel/mod.ts';
import type { DeviceRule, DeviceSpec } from '../types.ts';
import type { OciDevice, OciDeviceRule } from './oci-spec.ts';

/** The nodes every container may use; the runtime makes null, zero, full, random, urandom, tty and the pty devices itself. */
const defaultRules: readonly OciDeviceRule[] = [
  { allow: false, access: 'rwm' },
  // mknod of any device is allowed as long as it cannot be opened.
  { allow: true, type: 'c', access: 'm' },
  { allow: true, type: 'b', access: 'm' },
  ...[[1, 3], [1, 5], [1, 7], [1, 8], [1, 9], [5, 0], [5, 1], [5, 2]].map(([major, minor]): OciDeviceRule => ({ allow: true, type: 'c', major, minor, access: 'rwm' })),
  { allow: true, type: 'c', major: 136, access: 'rwm' },
];

export interface DevicePlan { devices: OciDevice[]; rules: OciDeviceRule[] }

/** Devices of the container and the rules that let it use them. `not-found` for a host path that does not exist. */
export function planDevices(specs: readonly DeviceSpec[], isPrivileged: boolean, extraRules: readonly DeviceRule[] = [], readDevices: (path: string) => OciDevice[] = devicesAt): DevicePlan {
  if (isPrivileged) {
    const all = readDevices('/dev').filter(({ path }) => !/^\/dev\/(pts|shm|mqueue|console)(\/|$)/.test(path));
    return { devices: all, rules: [{ allow: true, access: 'rwm' }] };
  }
  const devices: OciDevice[] = [];
  const rules = [...defaultRules];
  for (const spec of specs) {
    const found = readDevices(spec.hostPath);
    if (found.length === 0) throw new GantryError('invalid', `device ${spec.hostPath}: neither a device nor a folder of devices`);
    for (const device of found) {
      devices.push({ ...device, path: spec.containerPath + device.path.slice(spec.hostPath.length) });
      if (device.type !== 'p') rules.push({ allow: true, type: device.type, major: device.major, minor: device.minor, access: spec.permissions });
    }
  }
  return { devices, rules: [...rules, ...extraRules.map((rule): OciDeviceRule => ({ allow: true, ...rule }))] };
}

/** The device at the path, or all devices below the folder. */
export function devicesAt(path: string): OciDevice[] {
  const stat = statOf(path);
  if (stat.isDirectory()) {
    return readdirSync(path, { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() || entry.isCharacterDevice() || entry.isBlockDevice() ? devicesAt(join(path, entry.name)) : [],
    );
  }
  if (!stat.isCharacterDevice() && !stat.isBlockDevice()) return [];
  const { rdev } = stat;
  return [
    {
      path,
      type: stat.isBlockDevice() ? 'b' : 'c',
      // makedev(3): twelve bits of major, twenty of minor.
      major: (rdev >> 8) & 0xfff,
      minor: (rdev & 0xff) | ((rdev >> 12) & 0xfff00),
      fileMode: stat.mode & 0o777,
      uid: stat.uid,
      gid: stat.gid,
    },
  ];
}

function statOf(path: string) {
  try {
    return statSync(path);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') throw new GantryError('not-found', `device ${path} does not exist on this host`, { cause: error });
    throw error;
  }
}

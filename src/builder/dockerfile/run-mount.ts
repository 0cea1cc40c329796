import { splitOnce } from './flags.ts';

export type MountType = 'bind' | 'cache' | 'tmpfs' | 'secret' | 'ssh';
export type CacheSharing = 'shared' | 'private' | 'locked';

/** A `RUN --mount=…` (Dockerfile reference, "RUN --mount"). */
export interface RunMount {
  type: MountType;
  from?: string;
  source?: string;
  target?: string;
  id?: string;
  isReadOnly: boolean;
  isRequired: boolean;
  sharing?: CacheSharing;
  sizeBytes?: number;
  mode?: number;
  uid?: number;
  gid?: number;
  /** The variable a secret is given in; empty for the default, which is the id. */
  env?: string;
}

const flags = new Set(['readonly', 'ro', 'readwrite', 'rw', 'required']);
const types: readonly MountType[] = ['bind', 'cache', 'tmpfs', 'secret', 'ssh'];
const sharings: readonly CacheSharing[] = ['shared', 'private', 'locked'];

type Fail = (message: string) => never;

/**
 * Reads comma-separated `key=value` fields. Without `expand` only the shape and `from` are checked, because the other values may have variables.
 * `fail` reports a message at the mount's place.
 */
export function parseRunMount(text: string, expand: ((value: string) => string) | undefined, fail: Fail): RunMount {
  const mount: RunMount = { type: 'bind', isReadOnly: false, isRequired: false };
  let isReadOnlySet = false;
  for (const field of splitCsv(text, fail)) {
    const [rawKey, rawValue] = splitOnce(field, '=');
    const key = rawKey.trim().toLowerCase();
    if (rawValue === undefined && !flags.has(key)) fail(`${JSON.stringify(field)} is not key=value`);
    if (!(key in setters)) fail(`unknown mount option ${JSON.stringify(key)}; known are ${Object.keys(setters).join(', ')}`);
    if (key === 'from' && /\$./.test(rawValue ?? '')) fail('variables are not expanded in from; name the image with a FROM … AS stage');
    if (expand === undefined) {
      if (key === 'from' && rawValue !== undefined) mount.from = rawValue;
      continue;
    }
    setters[key]?.(mount, rawValue === undefined ? 'true' : expand(rawValue), fail);
    isReadOnlySet ||= key !== 'required' && flags.has(key);
  }
  if (!isReadOnlySet) mount.isReadOnly = mount.type !== 'cache' && mount.type !== 'tmpfs';
  if (expand !== undefined) check(mount, fail);
  return mount;
}

const setters: Readonly<Record<string, (mount: RunMount, value: string, fail: Fail) => void>> = {
  type: (mount, value, fail) => {
    mount.type = types.find((type) => type === value.toLowerCase()) ?? fail(`unknown mount type ${JSON.stringify(value)}; known are ${types.join(', ')}`);
  },
  from: (mount, value) => void (mount.from = value),
  source: (mount, value) => void (mount.source = value),
  src: (mount, value) => void (mount.source = value),
  target: (mount, value) => void (mount.target = value),
  dst: (mount, value) => void (mount.target = value),
  destination: (mount, value) => void (mount.target = value),
  id: (mount, value) => void (mount.id = value),
  env: (mount, value) => void (mount.env = value),
  readonly: (mount, value, fail) => void (mount.isReadOnly = toBoolean(value, fail)),
  ro: (mount, value, fail) => void (mount.isReadOnly = toBoolean(value, fail)),
  readwrite: (mount, value, fail) => void (mount.isReadOnly = !toBoolean(value, fail)),
  rw: (mount, value, fail) => void (mount.isReadOnly = !toBoolean(value, fail)),
  required: (mount, value, fail) => void (mount.isRequired = toBoolean(value, fail)),
  sharing: (mount, value, fail) => {
    mount.sharing = sharings.find((sharing) => sharing === value.toLowerCase()) ?? fail(`sharing is ${sharings.join(', ')}, not ${JSON.stringify(value)}`);
  },
  size: (mount, value, fail) => void (mount.sizeBytes = toBytes(value, fail)),
  mode: (mount, value, fail) => void (mount.mode = toNumber(value, 8, fail)),
  uid: (mount, value, fail) => void (mount.uid = toNumber(value, 10, fail)),
  gid: (mount, value, fail) => void (mount.gid = toNumber(value, 10, fail)),
};

function check(mount: RunMount, fail: Fail): void {
  const { type } = mount;
  const hasFileInfo = mount.mode !== undefined || mount.uid !== undefined || mount.gid !== undefined;
  if (hasFileInfo && (type === 'bind' || type === 'tmpfs')) fail(`mode, uid and gid are not for ${type} mounts`);
  if (mount.sharing !== undefined && type !== 'cache') fail(`sharing is not for ${type} mounts`);
  if (mount.sizeBytes !== undefined && type !== 'tmpfs') fail(`size is not for ${type} mounts`);
  if (mount.isRequired && type !== 'secret' && type !== 'ssh') fail(`required is not for ${type} mounts`);
  if (mount.env !== undefined && type !== 'secret') fail(`env is not for ${type} mounts`);
  if (mount.from !== undefined && type !== 'bind' && type !== 'cache') fail(`from is not for ${type} mounts`);
  if (type === 'secret' && mount.id === undefined && mount.source === undefined && mount.target === undefined) fail('a secret mount needs an id or a target');
  if (type === 'secret' && mount.id !== undefined && mount.source !== undefined) fail('a secret mount has an id or a source, not both');
}

function toBoolean(value: string, fail: Fail): boolean {
  if (/^(?:1|t|true)$/i.test(value)) return true;
  if (/^(?:0|f|false)$/i.test(value)) return false;
  return fail(`${JSON.stringify(value)} is neither true nor false`);
}

function toNumber(value: string, radix: 8 | 10, fail: Fail): number {
  const isNumber = radix === 8 ? /^[0-7]{1,6}$/.test(value) : /^\d{1,10}$/.test(value);
  return isNumber ? Number.parseInt(value, radix) : fail(`${JSON.stringify(value)} is no ${radix === 8 ? 'octal ' : ''}number`);
}

const units: Readonly<Record<string, number>> = { '': 1, b: 1, k: 1 << 10, m: 1 << 20, g: 1 << 30, t: 2 ** 40 };

function toBytes(value: string, fail: Fail): number {
  const match = /^(\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?$/i.exec(value);
  if (match === null) return fail(`${JSON.stringify(value)} is no size such as 64m`);
  return Math.floor(Number(match[1]) * (units[(match[2] ?? '').toLowerCase()] ?? 1));
}

/** One record of RFC 4180: a field in double quotes may hold commas, and doubled quotes stand for one. */
function splitCsv(text: string, fail: Fail): string[] {
  const fields: string[] = [];
  const pattern = /(?:"((?:[^"]|"")*)"|([^",]*))(,|$)/y;
  while (pattern.lastIndex <= text.length) {
    const match = pattern.exec(text);
    if (match === null) return fail(`malformed mount ${JSON.stringify(text)}: a quoted field has no end`);
    fields.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '');
    if (match[3] === '') break;
  }
  return fields;
}

import { GantryError } from '../../kernel/mod.ts';

/** What a volume of the local driver with options is: another folder of the host. */
export interface BoundVolume { readonly device: string; readonly isReadOnly: boolean }

/**
 * Reads the options `type`, `device` and `o` of the local driver, which are those of mount(8). A bind of a host folder is honoured;
 * everything else would keep a mount on the host of which nobody says when it ends, so it is `unsupported`. Undefined: no options.
 */
export function parseLocalOptions(options: Readonly<Record<string, string>>): BoundVolume | undefined {
  const names = Object.keys(options);
  if (names.length === 0) return undefined;
  const unknown = names.find((name) => !['type', 'device', 'o'].includes(name));
  if (unknown !== undefined) throw new GantryError('invalid', `invalid option: ${JSON.stringify(unknown)}`);
  const { type = '', device = '', o = '' } = options;
  const words = o.split(',').filter((word) => word !== '');
  const isBind = words.includes('bind') || words.includes('rbind') || type === 'bind';
  if (!isBind) throw new GantryError('unsupported', `volumes of type ${JSON.stringify(type)} are not supported: use a bind (type=none,o=bind,device=/path), a tmpfs mount of the container, or mount it on the host and bind that`);
  if (!['', 'none', 'bind'].includes(type)) throw new GantryError('invalid', `a bind has the type "none", not ${JSON.stringify(type)}`);
  if (!device.startsWith('/')) throw new GantryError('invalid', 'missing device in volume options: the absolute path of a folder of the host');
  const unsupported = words.find((word) => !['bind', 'rbind', 'rw', 'ro'].includes(word));
  if (unsupported !== undefined) throw new GantryError('unsupported', `the volume option o=${unsupported} is not supported`);
  return { device, isReadOnly: words.includes('ro') };
}

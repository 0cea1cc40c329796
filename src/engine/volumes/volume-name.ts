import { GantryError } from '../../kernel/mod.ts';

/** `invalid` unless it is a name for a volume. */
export function checkVolumeName(name: string): void {
  if (name.length === 1) throw new GantryError('invalid', `create ${name}: volume name is too short, names should be at least two alphanumeric characters`);
  if (/^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,254}$/.test(name)) return;
  throw new GantryError('invalid', `create ${name}: ${JSON.stringify(name)} includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`);
}

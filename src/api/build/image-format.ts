import { GantryError } from '../../kernel/mod.ts';
import type { ImageFormat } from '../oci/types.ts';

/** The fields of `--output` (and of `outputs` in workflows) that say how layers are stored, by buildx's names. */
export const imageFormatFields = ['compression', 'compression-level', 'force-compression', 'oci-mediatypes'] as const;

const maxLevels = { gzip: 9, zstd: 22, uncompressed: 0 } as const;

/** The format that the fields ask for; undefined when none is given. `invalid` and `unsupported` name the field. `where` begins the message. */
export function parseImageFormat(fields: Readonly<Record<string, string | undefined>>, where: string): ImageFormat | undefined {
  if (imageFormatFields.every((name) => fields[name] === undefined)) return undefined;
  const compression = compressionOf(fields['compression'] ?? 'gzip', where);
  const isOci = flagOf(fields, 'oci-mediatypes', true, where);
  if (compression === 'zstd' && !isOci) throw new GantryError('invalid', `${where}: zstd has no type among Docker's media types: leave out oci-mediatypes=false`);
  const level = fields['compression-level'];
  if (level !== undefined && !(/^\d{1,2}$/.test(level) && Number(level) <= maxLevels[compression])) throw new GantryError('invalid', `${where}: compression-level of ${compression} is between 0 and ${maxLevels[compression]}, not ${JSON.stringify(level)}`);
  return { compression, ...(level === undefined ? {} : { level: Number(level) }), isForced: flagOf(fields, 'force-compression', false, where), mediaTypes: isOci ? 'oci' : 'docker' };
}

function compressionOf(text: string, where: string): ImageFormat['compression'] {
  if (text === 'gzip' || text === 'zstd' || text === 'uncompressed') return text;
  throw new GantryError('unsupported', `${where}: compression=${text} is not supported; known are gzip, zstd and uncompressed`);
}

function flagOf(fields: Readonly<Record<string, string | undefined>>, name: string, fallback: boolean, where: string): boolean {
  const text = fields[name] ?? String(fallback);
  if (text !== 'true' && text !== 'false') throw new GantryError('invalid', `${where}: ${name} is true or false, not ${JSON.stringify(text)}`);
  return text === 'true';
}

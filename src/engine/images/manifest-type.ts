import { mediaTypes } from '../../api/mod.ts';
import { GantryError } from '../../kernel/mod.ts';

const generic = ['', 'application/json', 'application/octet-stream', 'text/plain', 'binary/octet-stream'];

/**
 * The media type of a manifest: what the registry said, or what the document says where the registry is silent.
 * Schema 1 (signed or not), which has no configuration and no digests of plain layers, is `unsupported`.
 */
export function manifestType({ mediaType, bytes }: { mediaType: string; bytes: Uint8Array }, what: string): string {
  const isGeneric = generic.includes(mediaType);
  if (!isGeneric && !mediaType.startsWith('application/vnd.docker.distribution.manifest.v1')) return mediaType;
  const document = isGeneric ? documentOf(bytes) : { schemaVersion: 1 };
  if (document.schemaVersion === 1) {
    throw new GantryError('unsupported', `${what} is an image in Docker's manifest schema 1, which no longer is supported: push it again with a current client`);
  }
  if (typeof document.mediaType === 'string') return document.mediaType;
  return 'manifests' in document ? mediaTypes.ociIndex : mediaTypes.ociManifest;
}

function documentOf(bytes: Uint8Array): { schemaVersion?: unknown; mediaType?: unknown } {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    // Whoever parses it in full says what is wrong.
    return {};
  }
}

import { type Descriptor, type Digest, type ImageFormat, type ImageManifest, mediaTypes } from '../../api/mod.ts';

/** What pushes make of layers of which nobody asked for anything else. */
export const defaultFormat: ImageFormat = { compression: 'gzip', isForced: false, mediaTypes: 'oci' };

const ociTypes = { gzip: mediaTypes.ociLayerGzip, zstd: mediaTypes.ociLayerZstd, uncompressed: mediaTypes.ociLayer } as const;
const dockerTypes = { gzip: mediaTypes.dockerLayerGzip, zstd: mediaTypes.dockerLayerZstd, uncompressed: mediaTypes.dockerLayer } as const;

/** OCI's type of a layer of that compression. */
export function layerTypeOf(compression: ImageFormat['compression']): string {
  return ociTypes[compression];
}

/** How the layer type says that a layer is compressed; undefined for types that are none of a layer. */
export function compressionOf(mediaType: string): ImageFormat['compression'] | undefined {
  return (['gzip', 'zstd', 'uncompressed'] as const).find((name) => ociTypes[name] === mediaType || dockerTypes[name] === mediaType);
}

/** A manifest over blobs, in the asked family of types. Its bytes depend only on the values. */
export function formatImageManifest(config: { digest: Digest; size: number }, layers: readonly Descriptor[], family: ImageFormat['mediaTypes']): { manifest: ImageManifest; mediaType: string; bytes: Buffer } {
  const types = family === 'oci' ? ociTypes : dockerTypes;
  const mediaType = family === 'oci' ? mediaTypes.ociManifest : mediaTypes.dockerManifest;
  const manifest: ImageManifest = {
    schemaVersion: 2,
    mediaType,
    config: { mediaType: family === 'oci' ? mediaTypes.ociConfig : mediaTypes.dockerConfig, digest: config.digest, size: config.size },
    layers: layers.map((layer) => ({ mediaType: types[compressionOf(layer.mediaType) ?? 'gzip'], digest: layer.digest, size: layer.size })),
  };
  return { manifest, mediaType, bytes: Buffer.from(JSON.stringify(manifest)) };
}

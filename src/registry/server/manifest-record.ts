import type { Descriptor, ParsedManifest } from '../../api/mod.ts';
import type { ManifestRecord } from './repositories.ts';

/** What is kept of a manifest beside its bytes. */
export function describe(parsed: ParsedManifest, mediaType: string, sizeBytes: number): ManifestRecord {
  const document = parsed.kind === 'manifest' ? parsed.manifest : parsed.index;
  // Without one the artifact type is the configuration's media type (image-spec, "Guidelines for Artifact Usage").
  const artifactType = document.artifactType ?? (parsed.kind === 'manifest' ? parsed.manifest.config.mediaType : undefined);
  return {
    mediaType,
    sizeBytes,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(document.subject === undefined ? {} : { subject: document.subject.digest }),
    ...(document.annotations === undefined ? {} : { annotations: document.annotations }),
    references: named(parsed).map(({ digest }) => digest),
  };
}

/** The blobs of an image or artifact, the manifests of an index. */
export function named(parsed: ParsedManifest): Descriptor[] {
  return parsed.kind === 'index' ? parsed.index.manifests : [parsed.manifest.config, ...parsed.manifest.layers];
}

import { type Digest, familiarImageReference, type HistoryEntry, type ImageConfig, parseImageReference } from '../../../api/mod.ts';
import type { Image, ImageStore } from '../../images/types.ts';
import type { ApiVersion } from '../api-version.ts';
import { noTime } from './container-status.ts';
import { forVersion, imageFields, imageSummaryFields } from './version-fields.ts';

/** Names with tags and with digests, as people write them. */
function namesOf(image: Image): { RepoTags: string[]; RepoDigests: string[] } {
  const familiar = (name: string): string => familiarImageReference(parseImageReference(name));
  return { RepoTags: image.references.map(familiar), RepoDigests: image.digests.map(familiar) };
}

/** Bytes of the layers that an image has together with others, by image id. */
export function sharedSizes(images: ImageStore): Map<string, number> {
  const all = images.list();
  const uses = new Map<Digest, number>();
  for (const layer of all.flatMap(({ layers }) => [...new Set(layers)])) uses.set(layer, (uses.get(layer) ?? 0) + 1);
  return new Map(all.map(({ id, layers }) => [id, layers.filter((layer) => (uses.get(layer) ?? 0) > 1).reduce((sum, layer) => sum + images.layerBytes(layer), 0)]));
}

/** One entry of `GET /images/json`. -1: not counted. */
export function imageSummaryView(image: Image, apiVersion: ApiVersion, { containers, sharedBytes }: { containers: number; sharedBytes: number }): Record<string, unknown> {
  const { RepoTags, RepoDigests } = namesOf(image);
  const isOld = apiVersion < 1043;
  const view = {
    Id: image.id, ParentId: '', RepoTags: isOld && RepoTags.length === 0 ? ['<none>:<none>'] : RepoTags, RepoDigests: isOld && RepoDigests.length === 0 ? (RepoTags.length === 0 ? ['<none>@<none>'] : null) : RepoDigests,
    Created: createdSeconds(image.config), Size: image.sizeBytes, SharedSize: sharedBytes, VirtualSize: image.sizeBytes, Containers: containers, Labels: image.config.config?.Labels ?? null,
  };
  return forVersion(view, imageSummaryFields, apiVersion);
}

/** `GET /images/{name}/json`. */
export function imageInspectView(image: Image, apiVersion: ApiVersion): Record<string, unknown> {
  const { config } = image;
  const inner = config.config ?? {};
  const view = {
    Id: image.id, ...namesOf(image), Parent: '', Comment: config.history?.at(-1)?.comment ?? '', ...(config.created === undefined && apiVersion >= 1044 ? {} : { Created: config.created ?? noTime }), DockerVersion: '', Author: config.author ?? '',
    Config: {
      User: inner.User ?? '', ExposedPorts: inner.ExposedPorts, Env: inner.Env ?? null, Cmd: inner.Cmd ?? null, Healthcheck: inner.Healthcheck, ArgsEscaped: inner.ArgsEscaped, Volumes: inner.Volumes ?? null,
      WorkingDir: inner.WorkingDir ?? '', Entrypoint: inner.Entrypoint ?? null, OnBuild: inner.OnBuild ?? null, Labels: inner.Labels ?? null, StopSignal: inner.StopSignal, Shell: inner.Shell,
    },
    Architecture: config.architecture, ...(config.variant === undefined ? {} : { Variant: config.variant }), Os: config.os, Size: image.sizeBytes, VirtualSize: image.sizeBytes,
    GraphDriver: { Name: 'overlay2', Data: null },
    RootFS: { Type: 'layers', Layers: image.layers },
    Metadata: { LastTagTime: image.lastTaggedAt ?? noTime },
  };
  return forVersion(view, imageFields, apiVersion);
}

/** `GET /images/{name}/history`, newest first. Sizes are those of the layers in order. */
export function historyView(image: Image, layerBytes: (at: number) => number): Record<string, unknown>[] {
  const history: readonly HistoryEntry[] = image.config.history ?? image.layers.map(() => ({}));
  let layer = 0;
  const entries = history.map((entry, at) => {
    const isLast = at === history.length - 1;
    const size = entry.empty_layer === true ? 0 : layerBytes(layer);
    layer += entry.empty_layer === true ? 0 : 1;
    return {
      Id: isLast ? image.id : '<missing>', Created: Math.floor(Date.parse(entry.created ?? noTime) / 1000), CreatedBy: entry.created_by ?? '', Tags: isLast ? namesOf(image).RepoTags : null,
      Size: size, Comment: entry.comment ?? '',
    };
  });
  return entries.toReversed();
}

/** Seconds since the epoch; what bootstrapped images leave out is 0. */
export function createdSeconds(config: ImageConfig): number {
  const time = Date.parse(config.created ?? '');
  return Number.isNaN(time) ? 0 : Math.floor(time / 1000);
}

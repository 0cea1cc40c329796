import { familiarImageReference, type HistoryEntry, type ImageConfig, parseImageReference } from '../../../api/mod.ts';
import type { Image } from '../../images/types.ts';
import { noTime } from './container-status.ts';

/** Names with tags and with digests, as people write them. */
function namesOf(image: Image): { RepoTags: string[]; RepoDigests: string[] } {
  const familiar = (name: string): string => familiarImageReference(parseImageReference(name));
  return { RepoTags: image.references.map(familiar), RepoDigests: image.digests.map(familiar) };
}

/** One entry of `GET /images/json`. */
export function imageSummaryView(image: Image, containers: number): Record<string, unknown> {
  return {
    Id: image.id, ParentId: '', ...namesOf(image), Created: createdSeconds(image.config), Size: image.sizeBytes, SharedSize: -1, VirtualSize: image.sizeBytes, Containers: containers,
    Labels: image.config.config?.Labels ?? null,
  };
}

/** `GET /images/{name}/json`. */
export function imageInspectView(image: Image): Record<string, unknown> {
  const { config } = image;
  const inner = config.config ?? {};
  return {
    Id: image.id, ...namesOf(image), Parent: '', Comment: config.history?.at(-1)?.comment ?? '', Created: config.created ?? noTime, DockerVersion: '', Author: config.author ?? '',
    Config: {
      Hostname: '', Domainname: '', User: inner.User ?? '', AttachStdin: false, AttachStdout: false, AttachStderr: false, ExposedPorts: inner.ExposedPorts, Tty: false, OpenStdin: false, StdinOnce: false, Env: inner.Env ?? null,
      Cmd: inner.Cmd ?? null, Healthcheck: inner.Healthcheck, ArgsEscaped: inner.ArgsEscaped, Image: '', Volumes: inner.Volumes ?? null, WorkingDir: inner.WorkingDir ?? '', Entrypoint: inner.Entrypoint ?? null,
      OnBuild: inner.OnBuild ?? null, Labels: inner.Labels ?? null, StopSignal: inner.StopSignal, Shell: inner.Shell,
    },
    Architecture: config.architecture, ...(config.variant === undefined ? {} : { Variant: config.variant }), Os: config.os, Size: image.sizeBytes, VirtualSize: image.sizeBytes,
    GraphDriver: { Name: 'overlay2', Data: null },
    RootFS: { Type: 'layers', Layers: image.layers },
    Metadata: { LastTagTime: image.lastTaggedAt ?? noTime },
  };
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
      Id: isLast ? image.id : '<missing>', Created: entry.created === undefined ? 0 : Math.floor(Date.parse(entry.created) / 1000), CreatedBy: entry.created_by ?? '', Tags: isLast ? namesOf(image).RepoTags : null,
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

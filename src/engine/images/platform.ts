import { arch } from 'node:os';
import { z } from 'zod';
import { type Descriptor, type ImageIndex, mediaTypes, type Platform } from '../../api/mod.ts';
import { GantryError, parseWith } from '../../kernel/mod.ts';

/** The machine's platform in the names of Go that images use. */
export function hostPlatform(): Platform {
  const architectures: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386', arm64: 'arm64', arm: 'arm', riscv64: 'riscv64', s390x: 's390x', ppc64: 'ppc64le' };
  return { os: 'linux', architecture: architectures[arch()] ?? arch() };
}

/** Parses `os[/architecture[/variant]]` as `--platform` has it; what is left out is the machine's. */
export function parsePlatform(text: string): Platform {
  const [os = '', architecture = '', variant, ...rest] = text.toLowerCase().split('/');
  if (os === '' || rest.length > 0 || !/^[a-z0-9_./-]+$/.test(text.toLowerCase())) throw new GantryError('invalid', `invalid platform ${JSON.stringify(text)}: expected os/architecture[/variant]`);
  const aliases: Readonly<Record<string, string>> = { x86_64: 'amd64', 'x86-64': 'amd64', aarch64: 'arm64', i386: '386' };
  const host = hostPlatform();
  return { os, architecture: aliases[architecture] ?? (architecture === '' ? host.architecture : architecture), ...(variant === undefined ? {} : { variant }) };
}

/** Parses a platform in JSON, as the Docker Engine API has it since 1.48; `undefined` stays. */
export function parsePlatformJson(text: string | undefined): Platform | undefined {
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new GantryError('invalid', 'platform: not JSON', { cause: error });
  }
  return parseWith(platformSchema, value, 'platform');
}

const platformSchema = z.strictObject({ os: z.string().min(1), architecture: z.string().min(1), variant: z.string().optional() }).transform(({ os, architecture, variant }): Platform => ({ os, architecture, ...(variant === undefined || variant === '' ? {} : { variant }) }));

/** `linux/arm/v7`. */
export function formatPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, variant].filter((part) => part !== undefined && part !== '').join('/');
}

/** The manifest of the index for the platform (OCI image-index.md): of its variant, or the newest older variant. `not-found` lists what there is. */
export function selectManifest(index: ImageIndex, platform: Platform, what: string): Descriptor {
  const images = index.manifests.filter(({ mediaType }) => mediaType === mediaTypes.ociManifest || mediaType === mediaTypes.dockerManifest);
  const ranked = images.flatMap((descriptor) => {
    const rank = descriptor.platform === undefined ? undefined : variantRank(platform, descriptor.platform);
    return rank === undefined ? [] : [{ descriptor, rank }];
  });
  const best = ranked.toSorted((a, b) => a.rank - b.rank)[0];
  if (best !== undefined) return best.descriptor;
  const [only] = images;
  if (images.length === 1 && only !== undefined && only.platform === undefined) return only;
  const known = images.flatMap((descriptor) => (descriptor.platform === undefined || descriptor.platform.os === 'unknown' ? [] : [formatPlatform(descriptor.platform)]));
  throw new GantryError('not-found', `no matching manifest for ${formatPlatform(platform)} in ${what}; it has ${known.join(', ') || 'none with a platform'}`);
}

/** Throws `not-found` when an image of one platform is not for the one that was asked. */
export function checkPlatform(image: Platform, asked: Platform, what: string): void {
  if (variantRank(asked, image) !== undefined) return;
  throw new GantryError('not-found', `image with reference ${what} was found but its platform (${formatPlatform(image)}) does not match the specified platform (${formatPlatform(asked)})`);
}

/** 0 for an exact fit, more for older variants that the platform also runs; undefined when it does not run it. */
function variantRank(asked: Platform, offered: Platform): number | undefined {
  if (asked.os !== offered.os || asked.architecture !== offered.architecture) return undefined;
  const [wanted, has] = [variantLevel(asked), variantLevel(offered)];
  if (wanted === undefined || has === undefined) return wanted === has && asked.variant === offered.variant ? 0 : undefined;
  return has > wanted ? undefined : wanted - has;
}

/** The number of a variant such as `v7`. arm64 is v8, arm v7 and amd64 v1 where nothing is said. */
function variantLevel({ architecture, variant }: Platform): number | undefined {
  const defaults: Readonly<Record<string, number>> = { arm64: 8, arm: 7, amd64: 1 };
  if (variant === undefined || variant === '') return defaults[architecture];
  const [, level] = /^v?(\d+)(?:\.\d+)?$/.exec(variant) ?? [];
  return level === undefined ? undefined : Number(level);
}

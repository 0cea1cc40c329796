import { arch } from 'node:os';
import { type Descriptor, type ImageIndex, mediaTypes, type Platform } from '../../api/mod.ts';
import { GantryError } from '../../kernel/mod.ts';

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

/** `linux/arm/v7`. */
export function formatPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, variant].filter((part) => part !== undefined && part !== '').join('/');
}

/** The manifest of the index for the platform (OCI image-index.md). `not-found` lists what there is. */
export function selectManifest(index: ImageIndex, platform: Platform, what: string): Descriptor {
  const images = index.manifests.filter(({ mediaType }) => mediaType === mediaTypes.ociManifest || mediaType === mediaTypes.dockerManifest);
  const fitting = images.filter((descriptor) => descriptor.platform?.os === platform.os && descriptor.platform.architecture === platform.architecture);
  const exact = fitting.find((descriptor) => normalVariant(descriptor.platform) === normalVariant(platform));
  const chosen = exact ?? (platform.variant === undefined ? fitting[0] : undefined);
  if (chosen !== undefined) return chosen;
  const [only] = images;
  if (images.length === 1 && only !== undefined && only.platform === undefined) return only;
  const known = images.flatMap((descriptor) => (descriptor.platform === undefined || descriptor.platform.os === 'unknown' ? [] : [formatPlatform(descriptor.platform)]));
  throw new GantryError('not-found', `${what} has no image for ${formatPlatform(platform)}; it has ${known.join(', ') || 'none with a platform'}`);
}

/** arm64 is v8 and arm is v7 where nothing is said. */
function normalVariant(platform: Platform | undefined): string {
  if (platform?.variant !== undefined && platform.variant !== '') return platform.variant;
  return ({ arm64: 'v8', arm: 'v7' } as Record<string, string>)[platform?.architecture ?? ''] ?? '';
}

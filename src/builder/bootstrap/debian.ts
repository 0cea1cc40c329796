import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GantryError, runCommand } from '../../kernel/mod.ts';
import { defaultPath } from '../plan/stage-state.ts';
import { formatSources, machineSourceFiles, releaseSources } from './apt-sources.ts';
import { bootstrapEpoch, debianArchitecture, type ImageRecipe, type LayerRecipe } from './recipe.ts';

const release = 'bookworm';

/** What slim images leave out: documentation and translations, but not the licences. */
const slimOptions: readonly string[] = [
  ...['/usr/share/doc/*', '/usr/share/info/*', '/usr/share/linda/*', '/usr/share/lintian/*', '/usr/share/locale/*', '/usr/share/man/*', '/usr/share/groff/*'].map((path) => `path-exclude=${path}`),
  'path-include=/usr/share/doc/*/copyright',
];

/** Containers keep no package files and need no durable writes while packages are installed. */
const containerSettings: readonly (readonly [path: string, content: string, mode: string])[] = [
  [
    '/etc/apt/apt.conf.d/80container',
    'Acquire::Languages "none";\nAcquire::GzipIndexes "true";\nAPT::Keep-Downloaded-Packages "false";\nBinary::apt::APT::Keep-Downloaded-Packages "false";\nDPkg::Options:: "--force-unsafe-io";\n',
    '0644',
  ],
  ['/etc/hostname', 'localhost\n', '0644'],
  ['/etc/hosts', '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n', '0644'],
  ['/etc/resolv.conf', '', '0644'],
];

/** Debian's minimal system by mmdebstrap, from the machine's own apt sources when they have the release. */
function debianLayer(name: string, isSlim: boolean): LayerRecipe {
  return {
    createdBy: `mmdebstrap --variant=minbase ${release} # ${name}`,
    key: async () => `${name}-${debianArchitecture()}-2`,
    make: async (tarPath, { options, workFolder, environment, progress }, signal) => {
      const sources = await releaseSources(options.aptSourceFiles ?? (await machineSourceFiles()), release);
      if (sources.length === 0) throw new GantryError('unavailable', `the machine's apt sources have no main component of ${release}; list one in /etc/apt/sources.list`);
      const sourceFile = join(workFolder, 'debian.sources');
      await writeFile(sourceFile, formatSources(sources));
      const customize = await Promise.all(
        containerSettings.map(async ([path, content, mode], index) => {
          const file = join(workFolder, `setting-${index}`);
          await writeFile(file, content);
          return `--customize-hook=install -m ${mode} '${file}' "$1${path}"`;
        }),
      );
      progress(`installing Debian ${release} from ${[...new Set(sources.flatMap(({ uris }) => uris))].join(', ')}`);
      const args = [
        '--mode=root',
        '--variant=minbase',
        '--format=tar',
        `--architectures=${debianArchitecture()}`,
        '--skip=output/dev',
        // Without it apt takes usrmerge, which brings all of Perl with it.
        '--include=usr-is-merged',
        '--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr',
        ...(isSlim ? slimOptions.map((option) => `--dpkgopt=${option}`) : []),
        ...proxyOptions(environment),
        ...customize,
        release,
        tarPath,
        sourceFile,
      ];
      await runCommand('mmdebstrap', args, { cwd: workFolder, env: { ...environment, TMPDIR: workFolder, SOURCE_DATE_EPOCH: String(bootstrapEpoch), LC_ALL: 'C.UTF-8' } }, signal);
    },
  };
}

/** For apt while it fetches only: the options do not stay in the image. */
function proxyOptions(environment: Readonly<Record<string, string>>): string[] {
  const proxy = environment['http_proxy'] ?? environment['HTTP_PROXY'];
  return proxy === undefined ? [] : [`--aptopt=Acquire::http::Proxy "${proxy}"`, '--customize-hook=rm -f "$1/etc/apt/apt.conf.d/99mmdebstrap"'];
}

export const debianSlimLayer = debianLayer('debian-bookworm-slim', true);

const config = async (): Promise<{ Env: string[]; Cmd: string[] }> => ({ Env: [`PATH=${defaultPath}`], Cmd: ['bash'] });

export const debianSlim: ImageRecipe = { layers: [debianSlimLayer], config };
export const debian: ImageRecipe = { layers: [debianLayer('debian-bookworm', false)], config };

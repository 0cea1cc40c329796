import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { baseEnv, runCommand } from '../src/kernel/mod.ts';
import type { Instance } from '../test/story/instance.ts';
import { Buildah } from './peers/buildah.ts';
import { Dockerd } from './peers/dockerd.ts';
import { interleave, report } from './report.ts';

type Build = (folder: string, tag: string) => Promise<unknown>;

const base = 'debian:bookworm-slim';
/** The client of Debian's dockerd, which speaks BuildKit without a plug-in. */
const debianDocker = '/usr/bin/docker';

/** Builds of the kinds that people wait for, by every builder in turn: ours by `gantry build` and by the docker client, dockerd's two, buildah. */
export async function benchImages(instance: Instance, signal: AbortSignal): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-bench-images-'));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const archive = join(folder, 'base.tar');
  await instance.gantry(['image', 'bootstrap', '-q', base], signal);
  await instance.docker(['save', '-o', archive, base], signal);
  const builders: Record<string, Build> = {
    'gantry build': (context, tag) => instance.gantry(['build', '-q', '-t', tag, context], signal),
    'gantry, docker client': (context, tag) => instance.docker(['build', '-q', '-t', tag, context], signal),
    ...(await dockerdBuilders(archive, stack, signal)),
    ...(await buildahBuilder(archive, stack, signal)),
  };
  const contexts = new Contexts(folder);
  await measure('cold, ten steps with a package', builders, 3, (build, who, index) => contexts.tenSteps(who, `cold ${slug(who)} ${index}`).then((context) => build(context, `bench/ten:${slug(who)}`)));
  await measure('no change', builders, 7, (build, who) => build(contexts.folderOf(who, 'ten'), `bench/ten:${slug(who)}`));
  await measure('one source file changed', builders, 3, async (build, who, index) => {
    await writeFile(join(contexts.folderOf(who, 'ten'), 'src/file-7.txt'), `changed ${who} ${index}\n`);
    await build(contexts.folderOf(who, 'ten'), `bench/ten:${slug(who)}`);
  });
  await measure('three stages of one second each', builders, 2, (build, who, index) => contexts.threeStages(who, index).then((context) => build(context, `bench/three:${slug(who)}`)));
  await contexts.manyFiles();
  await measure('20,000 files, first time and each time one is new', builders, 2, async (build, who, index) => {
    await writeFile(join(contexts.folderOf('all', 'many'), 'new.txt'), `${who} ${index}\n`);
    await build(contexts.folderOf('all', 'many'), `bench/many:${slug(who)}`);
  });
  await measure('20,000 files, no change', builders, 3, (build, who) => build(contexts.folderOf('all', 'many'), `bench/many:${slug(who)}`));
  await measure('a layer of 1 GB', builders, 1, (build, who, index) => contexts.gigabyte(who, index).then((context) => build(context, `bench/big:${slug(who)}`)));
}

async function measure(what: string, builders: Record<string, Build>, times: number, once: (build: Build, who: string, index: number) => Promise<unknown>): Promise<void> {
  const peers = Object.fromEntries(Object.entries(builders).map(([who, build]) => [who, (index: number) => once(build, who, index)]));
  report(`image build: ${what}`, await interleave({ times, budgetMs: 240_000 }, peers));
}

async function dockerdBuilders(archive: string, stack: AsyncDisposableStack, signal: AbortSignal): Promise<Record<string, Build>> {
  const dockerd = await Dockerd.open(signal);
  if (dockerd === undefined) return {};
  stack.use(dockerd);
  await dockerd.docker(['load', '-i', archive], signal);
  const classic: Build = (context, tag) => dockerd.docker(['build', '-q', '-t', tag, context], signal);
  if (!existsSync(debianDocker)) return { 'dockerd classic': classic };
  const env = { ...baseEnv(), DOCKER_HOST: `unix://${dockerd.socketPath}`, DOCKER_BUILDKIT: '1' };
  const buildkit: Build = (context, tag) => runCommand(debianDocker, ['build', '-q', '-t', tag, context], { env }, signal);
  return { 'dockerd classic': classic, 'dockerd BuildKit': buildkit };
}

async function buildahBuilder(archive: string, stack: AsyncDisposableStack, signal: AbortSignal): Promise<Record<string, Build>> {
  const buildah = await Buildah.open(signal);
  if (buildah === undefined) return {};
  stack.use(buildah);
  await buildah.buildah(['pull', '-q', `docker-archive:${archive}`], signal);
  return { buildah: (context, tag) => buildah.build(context, tag, signal) };
}

function slug(who: string): string {
  return who.replace(/[^a-z]+/gi, '-').toLowerCase();
}

/** Contexts of the benchmark, one for each builder, so that none finds another's traces. */
class Contexts {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  folderOf(who: string, what: string): string {
    return join(this.#folder, `${slug(who)}-${what}`);
  }

  /** Ten steps: a package is installed, sources are copied and worked on, configuration. */
  async tenSteps(who: string, salt: string): Promise<string> {
    const folder = await this.#make(who, 'ten');
    await mkdir(join(folder, 'src'), { recursive: true });
    for (let index = 0; index < 200; index += 1) await writeFile(join(folder, `src/file-${index}.txt`), `${index}\n`.repeat(200));
    await writeFile(join(folder, 'package.deb'), await debianPackage(this.#folder));
    await writeFile(
      join(folder, 'Dockerfile'),
      `FROM ${base}
ENV SALT="${salt}"
RUN echo "$SALT" > /salt
WORKDIR /app
COPY package.deb /tmp/
RUN dpkg -i /tmp/package.deb && rm /tmp/package.deb
COPY src/ src/
RUN cat src/*.txt | sha256sum > sums
RUN mkdir out && cp -r src out/ && find out -type f | wc -l > count
USER nobody
CMD ["cat", "/app/count"]
`,
    );
    return folder;
  }

  async threeStages(who: string, index: number): Promise<string> {
    const folder = await this.#make(who, 'three');
    const stage = (name: string): string => `FROM ${base} AS ${name}\nRUN echo ${slug(who)} ${index} > /${name} && sleep 1\n`;
    await writeFile(join(folder, 'Dockerfile'), `${['a', 'b', 'c'].map(stage).join('')}FROM ${base}\nCOPY --from=a /a /\nCOPY --from=b /b /\nCOPY --from=c /c /\n`);
    return folder;
  }

  async manyFiles(): Promise<void> {
    const folder = await this.#make('all', 'many');
    for (let index = 0; index < 20_000; index += 1) {
      const place = join(folder, `files/${index % 200}`);
      if (index < 200) await mkdir(place, { recursive: true });
      await writeFile(join(place, `${index}.txt`), `${index}\n`.repeat(20));
    }
    await writeFile(join(folder, 'Dockerfile'), `FROM ${base}\nCOPY . /app/\nCMD ["ls", "/app"]\n`);
  }

  async gigabyte(who: string, index: number): Promise<string> {
    const folder = await this.#make(who, 'big');
    await writeFile(join(folder, 'Dockerfile'), `FROM ${base}\nRUN echo ${slug(who)} ${index} > /salt && head -c 1000000000 /dev/zero > /big\n`);
    return folder;
  }

  async #make(who: string, what: string): Promise<string> {
    const folder = this.folderOf(who, what);
    await mkdir(folder, { recursive: true });
    return folder;
  }
}

/** A package of 500 files, made here: nothing is fetched while times are taken. */
async function debianPackage(folder: string): Promise<Buffer> {
  const root = join(folder, 'package');
  const archive = join(folder, 'package.deb');
  if (!existsSync(archive)) {
    await mkdir(join(root, 'DEBIAN'), { recursive: true });
    await mkdir(join(root, 'usr/share/bench'), { recursive: true });
    await writeFile(join(root, 'DEBIAN/control'), 'Package: gantry-bench\nVersion: 1\nArchitecture: all\nMaintainer: none <none@example.test>\nDescription: files\n');
    for (let index = 0; index < 500; index += 1) await writeFile(join(root, `usr/share/bench/${index}`), `${index}\n`.repeat(500));
    await runCommand('dpkg-deb', ['--build', '--root-owner-group', root, archive], {}, AbortSignal.timeout(60_000));
  }
  return readFile(archive);
}

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import type Dockerode from 'dockerode';
import type { Bench, Case, CliAnswer } from './case.ts';
import { answerOf } from './case.ts';

/** Two stages, of which the second can be built too, and a file that `.dockerignore` keeps out. */
const files: Readonly<Record<string, string>> = {
  Dockerfile: `FROM busybox AS first
ARG WORD=none
ENV KEPT=\${WORD}
WORKDIR /built
COPY . .
RUN echo "$WORD" > word && ls -A > names && ls /sys/class/net > links
FROM first AS second
RUN echo second > word
EXPOSE 80
CMD ["cat", "word"]
`,
  Failing: 'FROM busybox\nRUN echo err >&2; exit 7\nRUN echo never\n',
  Bad: 'FROM busybox\nNOSUCH x\n',
  Waiting: 'FROM busybox\nARG GATE\nRUN echo begun; wget -qO- $GATE; echo gone on\n',
  '.dockerignore': '# a comment\n*.log\n!kept.log\nfolder/inner\nWaiting\nBad\nFailing\n',
  'kept.log': 'kept', 'dropped.log': 'dropped', 'folder/inner/file': 'inner', 'folder/outer': 'outer',
};

/** Where the files of a case are; always the same for one daemon. */
function writeContext({ daemon }: Bench): string {
  const folder = join(daemon.folder, 'copied/context');
  rmSync(folder, { recursive: true, force: true });
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  return folder;
}

interface Line { stream?: string; aux?: { ID?: string }; error?: string; errorDetail?: { code?: number; message?: string } }

/** `POST /build` of the whole folder (what is to be ignored is the daemon's business then), line by line as they arrive. */
async function build(bench: Bench, options: Dockerode.ImageBuildOptions, onLine: (line: Line) => void = () => undefined): Promise<Line[]> {
  const folder = writeContext(bench);
  const archive = execFileSync('tar', ['-C', folder, '-c', '.']);
  const stream = await bench.docker.buildImage(Readable.from([archive]), options);
  return new Promise((resolve, reject) => bench.docker.modem.followProgress(stream, (error, lines: Line[]) => (error === null || lines.length > 0 ? resolve(lines) : reject(error)), onLine));
}

/** Of the containers that dockerd's classic builder makes for every step. */
const ofContainers = /^( ---> Running in|Removing intermediate container) /;

/** What was told. Where pieces of text are cut, and after which of them the id comes, is nobody's business. */
function told(all: readonly Line[]): unknown {
  const lines = all.map(({ stream = '' }) => stream).join('').split('\n').filter((line) => line !== '');
  const failed = all.find(({ error }) => error !== undefined);
  return {
    lines: lines.filter((line) => !ofContainers.test(line)), hasContainers: lines.some((line) => ofContainers.test(line)), hasId: all.some(({ aux }) => aux?.ID?.startsWith('sha256:')),
    ...(failed === undefined ? {} : { error: failed.error, errorDetail: failed.errorDetail, isLast: all.at(-1) === failed }),
  };
}

export const buildCases: readonly Case[] = [
  {
    name: 'cli/build',
    run: async (bench) => {
      const folder = writeContext(bench);
      const { cli, docker } = bench;
      const steps: Record<string, CliAnswer> = {};
      const step = async (name: string, ...args: string[]): Promise<void> => {
        const { code, stdout, stderr } = await cli(args);
        steps[name] = { code, stdout: stdout.split('\n').filter((line) => !ofContainers.test(line)).join('\n'), stderr };
      };
      await step('target', 'build', '-t', 'built:1', '-t', 'built:2', '--target', 'first', '--build-arg', 'WORD=given', '--label', 'own=x', '--network', 'none', '--cache-from', 'busybox', folder);
      await step('files', 'run', '--rm', 'built:1', 'sh', '-c', 'cat word names links; ls folder; cat kept.log');
      await step('again', 'build', '-q', '-t', 'built:3', '--target', 'first', '--build-arg', 'WORD=given', '--label', 'own=x', '--network', 'none', folder);
      const ids = await Promise.all(['built:1', 'built:2', 'built:3'].map(async (name) => (await docker.getImage(name).inspect()).Id));
      await step('whole', 'build', '-q', '-t', 'built:whole', folder);
      await step('run', 'run', '--rm', 'built:whole');
      await step('failing RUN', 'build', '-f', join(folder, 'Failing'), folder);
      await step('bad Dockerfile', 'build', '-f', join(folder, 'Bad'), folder);
      await step('no Dockerfile', 'build', '-f', join(folder, 'none'), folder);
      await step('no such stage', 'build', '--target', 'nosuch', folder);
      await step('unused argument', 'build', '-q', '--build-arg', 'NOSUCH=1', '--target', 'first', folder);
      return { steps, same: new Set(ids).size };
    },
  },
  {
    name: 'builds/answer, config, history',
    run: async (bench) => {
      const { docker } = bench;
      const lines = await build(bench, { t: 'built:1', target: 'first', buildargs: { WORD: 'given' }, networkmode: 'none', nocache: true });
      const whole = await build(bench, { t: 'built:2', labels: { own: 'x' }, target: 'second', nocache: true });
      const inspect = async (name: string): Promise<unknown> => {
        const { Config, RepoTags, Os, Author, RootFS, Comment } = await docker.getImage(name).inspect();
        return { Config, RepoTags, Os, Author, Comment, layers: RootFS.Layers?.length };
      };
      const history = async (name: string): Promise<unknown> => ((await docker.getImage(name).history()) as { CreatedBy: string; Tags: string[] | null; Size: number; Comment: string }[]).map(({ CreatedBy, Tags, Size, Comment }) => ({ CreatedBy, Tags, isEmpty: Size === 0, Comment }));
      return { lines: told(lines), whole: told(whole), first: await inspect('built:1'), second: await inspect('built:2'), firstHistory: await history('built:1'), secondHistory: await history('built:2') };
    },
  },
  {
    name: 'builds/what fails',
    run: async (bench) => ({
      run: told(await build(bench, { t: 'failed:1', dockerfile: 'Failing' })), left: await answerOf(() => bench.docker.getImage('failed:1').inspect()),
      bad: await answerOf(async () => told(await build(bench, { dockerfile: 'Bad' }))), none: await answerOf(async () => told(await build(bench, { dockerfile: 'none' }))),
      stage: await answerOf(async () => told(await build(bench, { target: 'nosuch' }))), tag: await answerOf(async () => told(await build(bench, { t: 'UPPER' }))),
    }),
  },
  {
    // The step goes on only when its client has read what it wrote: lines that came at the end of the build would come never.
    name: 'builds/lines arrive while the build runs',
    run: async (bench) => {
      const seen = Promise.withResolvers<undefined>();
      const gate = createServer((_request, response) => void seen.promise.then(() => response.end('opened\n')));
      await once(gate.listen(0, '127.0.0.1'), 'listening');
      try {
        const GATE = `http://127.0.0.1:${(gate.address() as AddressInfo).port}/`;
        const lines = await build(bench, { t: 'waited:1', dockerfile: 'Waiting', networkmode: 'host', buildargs: { GATE } }, ({ stream }) => void (stream?.startsWith('begun') === true && seen.resolve(undefined)));
        return told(lines);
      } finally {
        gate.close();
        gate.closeAllConnections();
      }
    },
  },
];

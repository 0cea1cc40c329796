import { chmodSync, copyFileSync, existsSync, linkSync, mkdirSync, symlinkSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { writeFiles } from '../../../src/builder/testing/temporary-build.ts';
import { runCommand } from '../../../src/kernel/mod.ts';

/** Begins with the same programs everywhere, without a base image. */
const base = `FROM scratch AS base
COPY busybox /bin/sh
ENV PATH=/bin
RUN for name in mkdir rm rmdir ln chmod chown mv mkfifo true echo cat; do ln -s sh /bin/$name; done && mkdir -p /etc /tmp && echo 'root:x:0:0::/:/bin/sh' > /etc/passwd && echo 'app:x:500:501::/:/bin/sh' >> /etc/passwd && echo 'staff:x:50:' > /etc/group
`;

/** A context that several builders build. */
export interface Vector {
  readonly name: string;
  readonly dockerfile: string;
  readonly files: Record<string, string>;
  readonly prepare?: (context: string) => void;
  readonly buildArgs?: Record<string, string>;
  /** Paths that buildah makes otherwise than BuildKit. */
  readonly otherInBuildah?: readonly string[];
  /** Dockerd's classic builder refuses it, or makes of it what BuildKit does not. */
  readonly needsBuildkit?: boolean;
}

/** What is compared between builders. */
export const vectors: readonly Vector[] = [
  {
    name: 'COPY: folders, wildcards, owners, modes, links, stages',
    needsBuildkit: true,
    dockerfile: `${base}FROM base AS made
RUN mkdir -p /out/deep && echo made > /out/deep/file && ln -s deep/file /out/link && chmod 4711 /out/deep/file
FROM base
WORKDIR /work
COPY src here/
COPY src/*.txt /texts/
COPY src/one.txt /renamed.txt
COPY --chown=app:staff src/one.txt /owned/
COPY --chown=7 --chmod=640 src/two.txt /numbered
COPY --from=made /out /from/
COPY empty /empty
COPY .hidden ./
`,
    files: { 'src/one.txt': '1', 'src/two.txt': '22', 'src/sub/three': '333', 'empty/': '', '.hidden': 'h', 'src/run.sh': '#!/bin/sh\n' },
    prepare: (context) => {
      chmodSync(join(context, 'src/run.sh'), 0o755);
      symlinkSync('one.txt', join(context, 'src/link'));
      symlinkSync('/nowhere', join(context, 'src/dangling'));
      linkSync(join(context, 'src/one.txt'), join(context, 'src/hard'));
      utimesSync(join(context, 'src/two.txt'), 1_000_000_000, 1_000_000_000);
    },
  },
  {
    name: 'RUN: deletions, replacements, modes, hard links',
    dockerfile: `${base}RUN mkdir -p /d/keep /d/gone /d/opaque && echo 1 > /d/keep/a && echo 2 > /d/gone/b && echo 3 > /d/opaque/c && ln /d/keep/a /d/keep/hard
RUN rm -r /d/gone && rm -r /d/opaque && mkdir /d/opaque && echo 4 > /d/opaque/new && chmod 2750 /d/keep && chown 5:6 /d/keep/a
RUN mv /d/keep /d/moved && ln -s moved /d/keep && mkfifo /d/pipe
`,
    files: {},
  },
  {
    name: 'ADD unpacks archives, COPY does not',
    // It takes the folder's owner from the archive.
    otherInBuildah: ['unpacked'],
    dockerfile: `${base}ADD archive.tar.gz /unpacked/
COPY archive.tar.gz /packed/
ADD plain.txt /
`,
    files: { 'plain.txt': 'p', 'in/a': 'a', 'in/b/c': 'c' },
    prepare: (context) => {
      mkdirSync(join(context, 'in/empty'));
    },
  },
  {
    name: 'configuration of every instruction',
    // Folders of WORKDIR belong to root there.
    needsBuildkit: true,
    dockerfile: `${base}ARG NAME=world UNSET
ENV A="hello $NAME" B=\${UNSET:-fallback} C=x\\ y
LABEL one=1 "two three"="four five"
LABEL six=\${NAME}
EXPOSE 8080 53/udp
VOLUME /data /more
USER app:staff
WORKDIR /first
WORKDIR second
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=5s --timeout=2s --retries=3 CMD ["true"]
ENTRYPOINT ["/bin/echo"]
CMD ["a", "b c"]
`,
    files: {},
    buildArgs: { NAME: 'gantry' },
  },
  {
    name: '.dockerignore with exceptions',
    dockerfile: `${base}COPY . /all/\n`,
    files: { '.dockerignore': '*.log\nnode_modules\n**/cache\n!keep.log\n.dockerignore\nDockerfile*\n', 'a.log': '', 'keep.log': 'k', 'sub/a.log': 'deep', 'node_modules/x': '', 'sub/node_modules/y': 'y', 'sub/cache/z': '', cache: '' },
  },
];

/** What only one of the builders leaves, and no Dockerfile asked for. */
export const ignored = /^(?:dev|proc|sys|run|etc\/(?:hosts|resolv\.conf|hostname|mtab))(?:\/|$)/;

/** Makes the vector's context in a new folder. */
export async function writeContext(vector: Vector, context: string, signal: AbortSignal): Promise<void> {
  writeFiles(context, { ...vector.files, Dockerfile: vector.dockerfile });
  copyFileSync('/bin/busybox', join(context, 'busybox'));
  vector.prepare?.(context);
  if (existsSync(join(context, 'in'))) await runCommand('tar', ['-czf', join(context, 'archive.tar.gz'), '--mtime=@1000000000', '--numeric-owner', '--owner=3', '--group=4', '-C', join(context, 'in'), '.'], {}, signal);
}

/** The fields of an image's configuration that all builders must agree on. What is empty and what is missing mean the same. */
export function comparable(config: object): Record<string, unknown> {
  const { Env, Cmd, Entrypoint, WorkingDir, User, Labels, ExposedPorts, Volumes, StopSignal, Healthcheck, Shell, OnBuild } = config as Record<string, unknown>;
  const labels = Object.fromEntries(Object.entries((Labels ?? {}) as Record<string, string>).filter(([name]) => !name.startsWith('io.buildah.')));
  const fields = { Env, Cmd, Entrypoint, WorkingDir: WorkingDir === '/' ? '' : WorkingDir, User, Labels: labels, ExposedPorts, Volumes, StopSignal, Healthcheck, Shell, OnBuild };
  // What is empty and what is missing mean the same.
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== null && value !== '' && !(typeof value === 'object' && Object.keys(value).length === 0)));
}

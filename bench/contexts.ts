import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Context extends AsyncDisposable { readonly folder: string }

async function contextOf(files: Record<string, string>): Promise<Context> {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-context-'));
  await cp('/bin/busybox', join(folder, 'busybox'));
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}

const busyboxBase = `FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "sh", "-c", "/bin/busybox --install -s /bin && /bin/busybox mkdir -p /tmp /etc"]
`;

/** An image that needs nothing from outside. */
export function busyboxContext(): Promise<Context> {
  return contextOf({ Dockerfile: `${busyboxBase}CMD ["/bin/sh"]\n` });
}

/** Five steps: copy, two that run, copy, configuration. `salt` makes the whole build miss every cache. */
export function fiveStepContext(salt: string): Promise<Context> {
  const files = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`file-${index}.txt`, `${salt} ${index}\n`.repeat(100)]));
  const dockerfile = `FROM bench/busybox
ENV SALT=${salt}
COPY . /src
RUN cat /src/file-*.txt | wc -c > /count
RUN mkdir -p /app && cp -r /src /app/
COPY Dockerfile /app/Dockerfile
CMD ["cat", "/count"]
`;
  return contextOf({ ...files, Dockerfile: dockerfile });
}

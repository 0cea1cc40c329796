import { type RegistryAuthorizer } from '../../../../src/registry/mod.ts';
import { openTestRegistry } from '../../../../src/registry/testing/test-registry.ts';
import { answerOf, type Bench, type Case } from './case.ts';

const authorizer = (scheme: 'basic' | 'token'): RegistryAuthorizer => ({
  scheme,
  authenticate: async ({ username, password }) => (username === 'somebody' && password === 'secret' ? username : undefined),
  isAllowed: async (user) => user !== undefined,
});

/** What a case sees of a registry that is its own, under a name instead of address and port. */
async function withRegistry(scheme: 'basic' | 'token', work: (host: string) => Promise<unknown>): Promise<unknown> {
  await using registry = await openTestRegistry({ authorizer: authorizer(scheme) });
  return JSON.parse(JSON.stringify(await work(registry.host)).replaceAll(registry.host, '<registry>')) as unknown;
}

function login(scheme: 'basic' | 'token'): Case {
  return {
    name: `registry/login to one that asks for a ${scheme === 'basic' ? 'password' : 'token'}`,
    run: ({ docker }) => withRegistry(scheme, async (host) => {
      const attempt = (password: string, serveraddress: string): Promise<unknown> => answerOf(async () => docker.checkAuth({ username: 'somebody', password, serveraddress }));
      return { right: await attempt('secret', host), withScheme: await attempt('secret', `http://${host}/v2/`), wrong: await attempt('other', host), nobody: await answerOf(async () => docker.checkAuth({ username: '', password: '', serveraddress: host })) };
    }),
  };
}

/** Statuses of a stream of progress, each once: layers come in any order. */
async function progressOf({ docker }: Bench, opening: Promise<unknown>): Promise<unknown> {
  const stream = (await opening) as NodeJS.ReadableStream;
  const lines = await new Promise<{ status?: string; error?: string }[]>((resolve, reject) => docker.modem.followProgress(stream, (error, output: { status?: string; error?: string }[]) => (error === null ? resolve(output) : reject(error))));
  const statuses = lines.map(({ status, error }) => status ?? error ?? 'other').filter((text) => !/^(Pushing|Downloading|Extracting)$/.test(text));
  return [...new Set(statuses)].map((text) => text.replace(/size: \d+/, 'size: <size>'));
}

export const registryCases: readonly Case[] = [
  login('basic'),
  login('token'),
  { name: 'registry/login to one that does not answer', run: ({ docker }) => answerOf(async () => docker.checkAuth({ username: 'somebody', password: 'secret', serveraddress: '127.0.0.1:1' })) },
  {
    name: 'registry/push, look up, pull',
    run: (bench) => withRegistry('token', async (host) => {
      const { docker } = bench;
      const authconfig = { username: 'somebody', password: 'secret', serveraddress: host };
      await docker.getImage('busybox').tag({ repo: `${host}/team/app`, tag: '1' });
      const image = docker.getImage(`${host}/team/app:1`);
      const push = async (auth: object): Promise<unknown> => progressOf(bench, image.push({ authconfig: auth } as object));
      const refused = await push({ ...authconfig, password: 'other' });
      const pushed = await push(authconfig);
      const again = await push(authconfig);
      const lookedUp = await answerOf(() => image.distribution({ authconfig } as never) as unknown as Promise<unknown>);
      const { RepoDigests } = await image.inspect();
      await image.remove();
      const pull = async (name: string, auth: object): Promise<unknown> => answerOf(async () => progressOf(bench, docker.pull(name, { authconfig: auth })));
      const pulled = await pull(`${host}/team/app:1`, authconfig);
      return {
        refused, pushed, again, lookedUp, RepoDigests, pulled, upToDate: await pull(`${host}/team/app:1`, authconfig), same: (await image.inspect()).Id === (await docker.getImage('busybox').inspect()).Id,
        noSuchTag: await pull(`${host}/team/app:none`, authconfig), wrong: await pull(`${host}/team/app:1`, { ...authconfig, password: 'other' }),
        lookUpNone: await answerOf(() => docker.getImage(`${host}/team/app:none`).distribution({ authconfig } as never) as unknown as Promise<unknown>), lookUpWrong: await answerOf(() => image.distribution({ authconfig: { ...authconfig, password: 'other' } } as never) as unknown as Promise<unknown>),
        pushNone: await answerOf(async () => progressOf(bench, docker.getImage(`${host}/team/other:1`).push({ authconfig } as object))),
      };
    }),
  },
  {
    name: 'cli/login, push, pull, logout',
    run: async ({ cli }) => withRegistry('token', async (host) => {
      const steps = [
        await cli(['login', '-u', 'somebody', '--password-stdin', host], 'other'), await cli(['login', '-u', 'somebody', '--password-stdin', host], 'secret'), await cli(['tag', 'busybox', `${host}/app:1`]),
        await cli(['push', '-q', `${host}/app:1`]), await cli(['rmi', `${host}/app:1`]), await cli(['pull', '-q', `${host}/app:1`]), await cli(['run', '--rm', `${host}/app:1`, 'echo', 'pulled']), await cli(['logout', host]), await cli(['pull', `${host}/app:1`]),
      ];
      return steps.map(({ code, stdout, stderr }) => ({ code, stdout, stderr: stderr.replace(/WARNING! Your (password|credentials)[\s\S]*?credential[-a-z/]*store\S*\n+/, '') }));
    }),
  },
];

import { subnetPrefix } from '../normalize.ts';
import { answerOf, type Bench, bytesOf, type Case, demultiplexed, eventually, textOf } from './case.ts';

const volumes: readonly Case[] = [
  {
    name: 'volumes/create, inspect, list, remove',
    run: async ({ docker }) => {
      const created = await docker.createVolume({ Name: 'one', Labels: { kind: 'a' } });
      const again = await docker.createVolume({ Name: 'one', Labels: { kind: 'b' } });
      await docker.createVolume({ Name: 'two' });
      const names = async (filters: Record<string, string[]>): Promise<unknown> => answerOf(async () => (await docker.listVolumes({ filters })).Volumes.map(({ Name }) => Name).toSorted());
      const filters: Record<string, string[]>[] = [{ name: ['on'] }, { label: ['kind'] }, { label: ['kind=a'] }, { label: ['kind=b'] }, { dangling: ['true'] }, { dangling: ['false'] }, { dangling: ['x'] }, { driver: ['local'] }, { nosuch: ['x'] }];
      return {
        created, again, inspected: await docker.getVolume('one').inspect(), filters: Object.fromEntries(await Promise.all(filters.map(async (filter) => [JSON.stringify(filter), await names(filter)]))),
        none: await answerOf(() => docker.getVolume('none').inspect()), removeNone: await answerOf(() => docker.getVolume('none').remove()), forceNone: await answerOf(() => docker.getVolume('none').remove({ force: true })),
        badName: await answerOf(() => docker.createVolume({ Name: '../x' })),
      };
    },
  },
  {
    name: 'volumes/in use, contents, prune',
    run: async ({ docker }) => {
      const container = await docker.createContainer({ Image: 'busybox', name: 'subject', Cmd: ['cat', '/data/seed', '/sub/seed'], HostConfig: { Binds: ['used:/data', 'used:/sub:ro'] } });
      await docker.createVolume({ Name: 'unused', Labels: { l: '1' } });
      await container.start();
      await container.wait();
      const output = plainText(await container.logs({ stdout: true, stderr: true }));
      const inUse = await answerOf(() => docker.getVolume('used').remove());
      const pruned = await docker.pruneVolumes({ filters: { label: ['l=1'] } });
      return { output, inUse, pruned, left: (await docker.listVolumes()).Volumes.map(({ Name }) => Name), bad: await answerOf(() => docker.pruneVolumes({ filters: { nosuch: ['1'] } })) };
    },
  },
  {
    name: 'volumes/a folder of the host',
    run: async ({ docker }) => {
      const created = await docker.createVolume({ Name: 'bound', DriverOpts: { type: 'none', o: 'bind', device: '/usr/share' } });
      return { created, inspected: await docker.getVolume('bound').inspect(), badOption: await answerOf(() => docker.createVolume({ Name: 'xy', DriverOpts: { nosuch: '1' } })) };
    },
  },
];

const networks: readonly Case[] = [
  {
    name: 'networks/create, inspect, list, remove',
    run: async ({ docker }) => {
      const network = await docker.createNetwork({ Name: 'back', Labels: { kind: 'a' }, Internal: true, IPAM: { Driver: 'default', Config: [{ Subnet: `${subnetPrefix}.3.0/24`, Gateway: `${subnetPrefix}.3.1`, IPRange: `${subnetPrefix}.3.128/25` }] } });
      const inspected = (await network.inspect()) as unknown;
      const names = async (filters: Record<string, string[]>): Promise<unknown> => answerOf(async () => (await docker.listNetworks({ filters })).map(({ Name }) => Name).toSorted());
      const filters: Record<string, string[]>[] = [{}, { name: ['ba'] }, { name: ['^back$'] }, { driver: ['bridge'] }, { type: ['custom'] }, { type: ['builtin'] }, { type: ['x'] }, { scope: ['local'] }, { scope: ['swarm'] }, { label: ['kind'] }, { label: ['kind=b'] }, { dangling: ['true'] }, { id: [network.id.slice(0, 8)] }, { nosuch: ['x'] }];
      return {
        inspected, filters: Object.fromEntries(await Promise.all(filters.map(async (filter) => [JSON.stringify(filter).replace(network.id.slice(0, 8), 'ID'), await names(filter)]))),
        builtIn: Object.fromEntries((await docker.listNetworks({ filters: { type: ['builtin'] } })).filter(({ Name }) => Name !== 'bridge').map(({ Name, ...rest }) => [Name, rest])),
        same: await answerOf(() => docker.createNetwork({ Name: 'back', CheckDuplicate: true })), overlap: (await answerOf(() => docker.createNetwork({ Name: 'other', IPAM: { Driver: 'default', Config: [{ Subnet: `${subnetPrefix}.3.0/25` }] } })) as { statusCode: number }).statusCode,
        noName: await answerOf(() => docker.createNetwork({ Name: '' })), none: await answerOf(() => docker.getNetwork('none-such').inspect()), removeBuiltIn: await answerOf(() => docker.getNetwork('bridge').remove()),
      };
    },
  },
  {
    name: 'networks/containers join and leave',
    run: async ({ docker }) => {
      const network = await docker.createNetwork({ Name: 'back', IPAM: { Driver: 'default', Config: [{ Subnet: `${subnetPrefix}.4.0/24` }] } });
      const container = await docker.createContainer({ Image: 'busybox', name: 'subject', Cmd: ['sleep', '1000'], HostConfig: { NetworkMode: 'back' }, NetworkingConfig: { EndpointsConfig: { back: { Aliases: ['db'], IPAMConfig: { IPv4Address: `${subnetPrefix}.4.9` } } } } });
      await container.start();
      const joined = (await container.inspect()).NetworkSettings;
      const members = ((await network.inspect()) as { Containers: Record<string, unknown> }).Containers;
      const inUse = await answerOf(() => network.remove());
      const other = await docker.createNetwork({ Name: 'front', IPAM: { Driver: 'default', Config: [{ Subnet: `${subnetPrefix}.5.0/24` }] } });
      await other.connect({ Container: 'subject', EndpointConfig: { Aliases: ['web'] } });
      const both = (await container.inspect()).NetworkSettings.Networks;
      const twice = await answerOf(() => other.connect({ Container: 'subject' }));
      await other.disconnect({ Container: 'subject' });
      const after = (await container.inspect()).NetworkSettings.Networks;
      const notThere = await answerOf(() => other.disconnect({ Container: 'subject' }));
      const noContainer = await answerOf(() => other.connect({ Container: 'nosuch' }));
      const toHost = await answerOf(() => docker.getNetwork('host').connect({ Container: 'subject' }));
      const pruned = await docker.pruneNetworks();
      return { joined, members, inUse, both, twice, after, notThere, noContainer, toHost, pruned };
    },
  },
  {
    name: 'networks/links on the default network',
    run: async ({ docker }) => {
      const server = await docker.createContainer({ Image: 'busybox', name: 'server', Cmd: ['sh', '-c', 'echo linked > /srv; exec httpd -f -p 80 -h /'], Env: ['SECRET=a=b', 'HOME=/x'], Hostname: 'own-host', ExposedPorts: { '80/tcp': {}, '81/tcp': {}, '82/tcp': {}, '53/udp': {} }, StopTimeout: 0 });
      const notRunning = await docker.createContainer({ Image: 'busybox', name: 'early', Cmd: ['true'], HostConfig: { Links: ['server'] } });
      const tooEarly = (await answerOf(() => notRunning.start())) as { message: string };
      await server.start();
      const client = await docker.createContainer({ Image: 'busybox', name: 'client', Cmd: ['sh', '-c', 'until wget -qO- http://db-1/srv; do sleep 0.1; done; env | grep ^DB_1_ | sort; grep db-1 /etc/hosts; exec sleep 1000'], HostConfig: { Links: ['server:db-1', 'server'] } });
      await client.start();
      const output = async (): Promise<string> => demultiplexed(await client.logs({ stdout: true, stderr: true })).stdout;
      await eventually(async () => (await output()).includes('own-host'));
      const inspected = await client.inspect();
      const exec = await client.exec({ Cmd: ['sh', '-c', 'echo $DB_1_NAME'], AttachStdout: true });
      const inExec = demultiplexed(await bytesOf(await exec.start({}))).stdout;
      // With another address than before, for somebody else has it now.
      await server.stop({ t: 0 });
      const taker = await docker.createContainer({ Image: 'busybox', name: 'taker', Cmd: ['sleep', '1000'] });
      await taker.start();
      await server.start();
      const address = (await server.inspect()).NetworkSettings.Networks['bridge']?.IPAddress ?? 'none';
      const hosts = await client.exec({ Cmd: ['grep', 'db-1', '/etc/hosts'], AttachStdout: true });
      const moved = demultiplexed(await bytesOf(await hosts.start({}))).stdout.includes(address);
      const names = (await docker.listContainers()).map(({ Names }) => Names.toSorted()).toSorted(([a = ''], [b = '']) => (a < b ? -1 : 1));
      const links = (inspected.HostConfig as { Links?: string[] }).Links?.toSorted();
      return {
        tooEarly, output: await output(), links, endpoint: inspected.NetworkSettings.Networks['bridge'], inExec, moved, names,
        none: await answerOf(() => docker.createContainer({ Image: 'busybox', HostConfig: { Links: ['nosuch:x'] } })), bad: await answerOf(() => docker.createContainer({ Image: 'busybox', HostConfig: { Links: ['a:b:c'] } })),
        host: await answerOf(() => docker.createContainer({ Image: 'busybox', HostConfig: { NetworkMode: 'host', Links: ['server'] } })),
      };
    },
  },
  {
    name: 'networks/links on a network of its own',
    run: async ({ docker }) => {
      await docker.createNetwork({ Name: 'back', IPAM: { Driver: 'default', Config: [{ Subnet: `${subnetPrefix}.7.0/24` }] } });
      const server = await docker.createContainer({ Image: 'busybox', name: 'server', Cmd: ['sleep', '1000'], HostConfig: { NetworkMode: 'back' }, NetworkingConfig: { EndpointsConfig: { back: { Aliases: ['cache'] } } } });
      await server.start();
      const script = 'for name in db store kv nothing; do ping -c 1 -W 5 $name > /dev/null 2>&1 && echo $name answers || echo $name does not; done; env | grep -c ^DB_';
      const client = await docker.createContainer({ Image: 'busybox', name: 'client', Cmd: ['sh', '-c', script], HostConfig: { NetworkMode: 'back', Links: ['server:db'] }, NetworkingConfig: { EndpointsConfig: { back: { Links: ['server:db', 'server:store', 'cache:kv', 'absent:nothing'] } } } });
      await client.start();
      await client.wait();
      const { HostConfig, NetworkSettings } = await client.inspect();
      return { output: plainText(await client.logs({ stdout: true, stderr: true })), links: (HostConfig as { Links?: unknown }).Links, endpoint: NetworkSettings.Networks['back'] };
    },
  },
  {
    name: 'networks/names resolve',
    run: async (bench) => {
      const { docker } = bench;
      await docker.createNetwork({ Name: 'back', IPAM: { Driver: 'default', Config: [{ Subnet: `${subnetPrefix}.6.0/24` }] } });
      const server = await docker.createContainer({ Image: 'busybox', name: 'server', Cmd: ['sleep', '1000'], HostConfig: { NetworkMode: 'back' }, NetworkingConfig: { EndpointsConfig: { back: { Aliases: ['db'] } } } });
      await server.start();
      const client = await docker.createContainer({ Image: 'busybox', name: 'client', Cmd: ['sh', '-c', 'for name in server db; do ping -c 1 -W 5 $name > /dev/null 2>&1 && echo $name answers || echo $name does not; done'], HostConfig: { NetworkMode: 'back' } });
      await client.start();
      await client.wait();
      return plainText(await client.logs({ stdout: true, stderr: true }));
    },
  },
];

const images: readonly Case[] = [
  { name: 'images/inspect', run: ({ docker }) => docker.getImage('busybox').inspect() },
  { name: 'images/history', run: ({ docker }) => docker.getImage('busybox').history() },
  {
    name: 'images/list, filters, tag, remove',
    run: async ({ docker }) => {
      const image = docker.getImage('busybox');
      await image.tag({ repo: 'example.org:5000/team/app', tag: 'v1' });
      await image.tag({ repo: 'busybox', tag: 'other' });
      const list = async (filters: Record<string, string[]>): Promise<unknown> => answerOf(async () => (await docker.listImages({ filters })).flatMap(({ RepoTags }) => RepoTags ?? []).toSorted());
      const filters: Record<string, string[]>[] = [{}, { reference: ['busybox'] }, { reference: ['busybox:other'] }, { reference: ['*/team/*'] }, { reference: ['example.org:5000/team/app:v*'] }, { reference: ['nosuch'] }, { dangling: ['true'] }, { dangling: ['false'] }, { label: ['nosuch'] }, { before: ['busybox'] }, { since: ['busybox'] }, { before: ['nosuch'] }, { nosuch: ['x'] }];
      const [whole] = await docker.listImages({ filters: { reference: ['busybox:other'] } });
      const filtered = Object.fromEntries(await Promise.all(filters.map(async (filter) => [JSON.stringify(filter), await list(filter)])));
      return {
        whole, filtered, badTag: await answerOf(() => image.tag({ repo: 'UPPER', tag: 'x' })), tagNone: await answerOf(() => docker.getImage('nosuch').tag({ repo: 'x' })),
        removed: await docker.getImage('busybox:other').remove(), removedByName: await docker.getImage('example.org:5000/team/app:v1').remove(), removeNone: await answerOf(() => docker.getImage('nosuch').remove()), inspectNone: await answerOf(() => docker.getImage('nosuch').inspect()), historyNone: await answerOf(() => docker.getImage('nosuch:1').history()),
      };
    },
  },
  {
    name: 'images/in use by a container',
    run: async ({ docker }) => {
      await docker.getImage('busybox').tag({ repo: 'second', tag: '1' });
      const container = await docker.createContainer({ Image: 'second:1', name: 'subject', Cmd: ['sleep', '1000'] });
      await container.start();
      const { Id } = await docker.getImage('second:1').inspect();
      return { byId: await answerOf(() => docker.getImage(Id).remove()), byName: await answerOf(() => docker.getImage('second:1').remove()), shown: (await docker.listContainers()).map(({ Image }) => Image.replace(Id, 'ID')) };
    },
  },
  {
    name: 'images/commit',
    run: async ({ docker }) => {
      const container = await docker.createContainer({ Image: 'busybox', name: 'subject', Cmd: ['sh', '-c', 'echo new > /new'], Env: ['A=1'], Labels: { own: 'x' }, ExposedPorts: { '80/tcp': {} } });
      await container.start();
      await container.wait();
      await container.commit({ repo: 'committed', tag: '1', comment: 'a note', author: 'somebody', changes: ['CMD ["cat","/new"]', 'ENV B=2', 'LABEL c=d', 'EXPOSE 81/udp', 'WORKDIR /data', 'USER 1000', 'VOLUME /v', 'ENTRYPOINT ["env"]', 'ONBUILD RUN true', 'HEALTHCHECK --interval=5s CMD true'] as unknown as string });
      const image = await docker.getImage('committed:1').inspect();
      await container.commit({ repo: 'committed', tag: '2', Cmd: ['cat', '/new'], Env: ['C=3'], WorkingDir: '/tmp' } as object);
      const configured = await docker.getImage('committed:2').inspect();
      const run = await docker.createContainer({ Image: 'committed:2', name: 'of-committed' });
      await run.start();
      await run.wait();
      return {
        image, configured: configured.Config, history: ((await docker.getImage('committed:1').history()) as object[]).slice(0, 1), output: plainText(await run.logs({ stdout: true })),
        badChange: await answerOf(() => container.commit({ repo: 'x', changes: ['RUN true'] as unknown as string })), none: await answerOf(() => docker.getContainer('nosuch').commit({ repo: 'x' })),
      };
    },
  },
  {
    name: 'images/import of a root file system',
    run: async (bench) => {
      const { docker } = bench;
      const container = await docker.createContainer({ Image: 'busybox', name: 'subject' });
      const archive = await container.export();
      const lines = await follow(bench, await importOf(docker, archive, { repo: 'imported', tag: 'x', fromSrc: '-', message: 'from a tar', changes: ['CMD ["true"]'] }));
      const image = await docker.getImage('imported:x').inspect();
      return { lines, image: { ...image, RootFS: image.RootFS?.Layers?.length }, history: await docker.getImage('imported:x').history() };
    },
  },
  {
    name: 'images/save and load',
    run: async (bench) => {
      const { docker } = bench;
      await docker.getImage('busybox').tag({ repo: 'saved', tag: '1' });
      const { Id } = await docker.getImage('saved:1').inspect();
      const archive = await bytesOf(await docker.getImage('saved:1').get());
      await docker.getImage('saved:1').remove();
      const lines = await follow(bench, await docker.loadImage(archive as never));
      return { lines, same: (await docker.getImage('saved:1').inspect()).Id === Id, none: await answerOf(async () => textOf(await docker.getImage('nosuch').get())) };
    },
  },
  {
    name: 'images/prune, search, pull of nothing',
    run: async ({ docker }) => {
      const container = await docker.createContainer({ Image: 'busybox', name: 'subject', Cmd: ['true'] });
      await container.commit({});
      const { ImagesDeleted } = await docker.pruneImages({ filters: { dangling: ['true'] } });
      const none = await docker.pruneImages();
      return { deleted: (ImagesDeleted ?? []).map((entry) => Object.keys(entry)).slice(0, 1), none, badFilter: await answerOf(() => docker.pruneImages({ filters: { nosuch: ['1'] } })), badName: await answerOf(() => docker.createImage({ fromImage: 'UPPER:x' })) };
    },
  },
];

const system: readonly Case[] = [
  { name: 'system/ping', run: async ({ docker }) => String(await docker.ping()) },
  { name: 'system/version', run: async ({ docker }) => shapeOf(await docker.version()) },
  { name: 'system/info', run: async ({ docker }) => shapeOf(await docker.info()) },
  {
    name: 'system/df',
    run: async ({ docker }) => {
      const container = await docker.createContainer({ Image: 'busybox', name: 'subject', Cmd: ['sh', '-c', 'head -c 100000 /dev/zero > /file; head -c 50000 /dev/zero > /v/file; exec sleep 1000'], HostConfig: { Binds: ['sized:/v'] } });
      await container.start();
      await eventually(async () => (await container.inspect({ size: true } as object) as unknown as { SizeRw?: number }).SizeRw === 100_000);
      const usage = (await docker.df()) as { Volumes: { Name: string; UsageData: { Size: number; RefCount: number } }[]; Containers: { SizeRw: number; Status: string }[]; Images: object[] };
      return { ...usage, Containers: usage.Containers.map(({ SizeRw, ...rest }) => ({ ...rest, Status: '', writable: SizeRw })), Volumes: usage.Volumes.map((volume) => ({ ...volume, usage: `${volume.UsageData.Size} ${volume.UsageData.RefCount}` })) };
    },
  },
  {
    name: 'system/events',
    run: async (bench) => {
      const { docker } = bench;
      // To the millisecond: what cases before did is none of it.
      const since = (Date.now() / 1000).toFixed(3) as unknown as number;
      const imageId = (await docker.getImage('busybox').inspect()).Id;
      const volume = await docker.createVolume({ Name: 'noted' });
      const network = await docker.createNetwork({ Name: 'noted' });
      const container = await docker.createContainer({ Image: 'busybox', name: 'subject', Cmd: ['sleep', '1000'], Labels: { l: '1' }, HostConfig: { Binds: ['noted:/v'], NetworkMode: 'noted' } });
      await container.start();
      const exec = await container.exec({ Cmd: ['true'], AttachStdout: true });
      await textOf(await exec.start({}));
      await container.pause();
      await container.unpause();
      await container.rename({ name: 'renamed' });
      await container.update({ CpuShares: 100 });
      await container.resize({ h: 10, w: 10 }).catch(() => undefined);
      await container.restart({ t: 0 });
      await container.kill({ signal: 'SIGHUP' });
      await container.stop({ t: 0 });
      await container.remove();
      await network.remove();
      await volume.remove();
      await docker.getImage('busybox').tag({ repo: 'noted', tag: '1' });
      await docker.getImage('noted:1').remove();
      const until = Math.floor(Date.now() / 1000) + 1;
      const read = async (filters: Record<string, string[]>): Promise<Record<string, never>[]> => {
        const text = await textOf(await docker.getEvents({ since, until, filters: filters as never }));
        return text.split('\n').filter((line) => line.trim() !== '').map((line) => JSON.parse(line) as Record<string, never>);
      };
      const ofContainer = await read({ container: [container.id] });
      const isOwn = ({ Actor: { ID, Attributes } }: { Actor: { ID: string; Attributes: { name?: string } } }): boolean => [ID, Attributes.name].some((name) => name === 'noted' || name === 'noted:1' || name === imageId);
      const others = (await read({ type: ['network', 'volume', 'image'] })).filter((event) => isOwn(event as never));
      const isCreation = ({ Type, Action }: Record<string, string>): boolean => Type === 'volume' && Action === 'create';
      return {
        container: ofContainer, others: others.filter((event) => !isCreation(event)), volumesCreated: others.filter(isCreation).length, byLabel: (await read({ label: ['l=1'], type: ['container'], event: ['start', 'die'] })).map(({ Action }) => Action), byImage: (await read({ image: ['busybox'], type: ['container'] })).length > 0,
        byName: (await read({ container: ['renamed'] })).map(({ Action }) => Action), bad: await answerOf(async () => textOf(await docker.getEvents({ since: 1, until: 2, filters: { nosuch: ['1'] } as never }))),
      };
    },
  },
  { name: 'system/auth', run: ({ docker }) => answerOf(async () => docker.checkAuth({ username: '', password: '', serveraddress: 'http://127.0.0.1:1/' }).then(() => 'accepted', () => 'refused')) },
  { name: 'system/swarm', run: async ({ docker }) => ({ inspect: await answerOf(() => docker.swarmInspect()), nodes: await answerOf(() => docker.listNodes()), services: await answerOf(() => docker.listServices()) }) },
];

/** The package's types know only its form with a callback. */
async function importOf(docker: Bench['docker'], archive: NodeJS.ReadableStream, options: object): Promise<NodeJS.ReadableStream> {
  const imported: unknown = await docker.importImage(archive, options);
  return imported as NodeJS.ReadableStream;
}

/** Output of a log without the heads of its frames. */
function plainText(log: Buffer): string {
  return log.toString('latin1').replace(/[^\n -~]/g, '');
}

/** Reads a stream of progress to its end. */
function follow({ docker }: Bench, stream: NodeJS.ReadableStream): Promise<unknown> {
  return new Promise((resolve, reject) => docker.modem.followProgress(stream, (error, output) => (error === null ? resolve(output) : reject(error))));
}

function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return 'list';
  if (typeof value !== 'object' || value === null) return value === null ? null : typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, shapeOf(entry)]));
}

export const objectCases: readonly Case[] = [...volumes, ...networks, ...images, ...system];

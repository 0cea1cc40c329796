/** Run as a program of its own: testcontainers reads its settings from the environment. Prints what it saw as JSON. */
import { GenericContainer, Network, Wait } from 'testcontainers';
import { pollUntil } from '../../../../src/kernel/mod.ts';

const seen: Record<string, unknown> = {};

const server = await new GenericContainer('busybox')
  .withCommand(['sh', '-c', 'echo ready; exec httpd -f -p 80 -h /srv'])
  .withCopyContentToContainer([{ content: 'copied in', target: '/srv/file' }])
  .withExposedPorts(80)
  .withEnvironment({ A: 'b' })
  .withLabels({ own: 'label' })
  .withTmpFs({ '/scratch': 'rw,size=1m' })
  .withWaitStrategy(Wait.forListeningPorts())
  .start();
const talker = await new GenericContainer('busybox').withCommand(['sh', '-c', 'echo ready; exec sleep 1000']).withWaitStrategy(Wait.forLogMessage('ready')).start();
await talker.stop();
seen['http'] = await read();
seen['exec'] = await server.exec(['sh', '-c', 'echo $A; grep -c /scratch /proc/mounts; exit 3']);
seen['labels'] = server.getLabels()['own'];
await server.restart({ timeout: 0 });
seen['after restart'] = await read();
const copy = await server.copyArchiveFromContainer('/srv/file');
let archived = '';
for await (const chunk of copy) archived += String(chunk);
seen['copied out'] = archived.includes('copied in');
await server.stop();

await using network = await new Network().start();
await using db = await new GenericContainer('busybox').withCommand(['httpd', '-f', '-p', '80', '-h', '/etc']).withNetwork(network).withNetworkAliases('db').start();
await using client = await new GenericContainer('busybox').withCommand(['sleep', '1000']).withNetwork(network).start();
seen['by alias'] = (await client.exec(['sh', '-c', 'until wget -qO- http://db/group; do sleep 0.1; done'])).output.includes('root:x:0:');
seen['state'] = db.getNetworkNames().length;

await using healthy = await new GenericContainer('busybox')
  .withCommand(['sleep', '1000'])
  .withHealthCheck({ test: ['CMD-SHELL', 'true'], interval: 100, timeout: 5000, retries: 3, startPeriod: 0 })
  .withWaitStrategy(Wait.forHealthCheck())
  .start();
seen['healthy'] = healthy.getName() !== '';

const failing = await new GenericContainer('busybox').withCommand(['sh', '-c', 'exit 4']).withWaitStrategy(Wait.forOneShotStartup()).withStartupTimeout(20_000).start().then(() => 'started', () => 'refused');
seen['one shot that fails'] = failing;
const missing = await new GenericContainer('nosuch.invalid/image:1').start().then(() => 'started', () => 'refused');
seen['missing image'] = missing;
const logs = await client.logs();
logs.destroy();

/** The port is open before the server in the container listens. */
function read(): Promise<unknown> {
  const address = `http://${server.getHost()}:${server.getMappedPort(80)}/file`;
  const once = async (): Promise<unknown> => {
    const answer = await fetch(address);
    return [answer.status, await answer.text()];
  };
  return pollUntil('the server', () => once().catch(() => undefined), { timeoutMs: 30_000, intervalMs: 100 }, AbortSignal.timeout(60_000));
}

console.log(JSON.stringify(seen));

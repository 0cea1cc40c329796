import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { type k8s, resources } from '../api/mod.ts';
import { type KubeClient, openKubeClient, readKubeconfig } from '../client/mod.ts';
import { baseEnv, isError, pollUntil, runCommand } from '../kernel/mod.ts';
import { locateInstance, roleHolder } from '../server/mod.ts';
import { doctorStatuses, exitCodes } from './exit-codes.ts';

const program = resolve(import.meta.dirname, '../../bin/gantry');
const needs = ['runc', 'conmon', 'nft', 'ip'];
const missing = needs.filter((name) => !['/usr/bin', '/usr/sbin', '/bin', '/sbin'].some((folder) => existsSync(join(folder, name))));
const skip = process.getuid?.() !== 0 ? 'needs root' : missing.length > 0 ? `needs ${missing.join(', ')}` : false;

interface Status { instanceId: string; processes: { name: string; pid: number }[]; nodes: { isReady: boolean }[]; endpoints: { api: string }; networks: { pods: string } }

/** A data folder driven by the command line. Disposing purges it. */
class Subject implements AsyncDisposable {
  readonly dataDir: string;
  readonly signal: AbortSignal;

  constructor(dataDir: string, signal: AbortSignal) {
    this.dataDir = dataDir;
    this.signal = signal;
  }

  static async create(signal: AbortSignal): Promise<Subject> {
    return new Subject(await mkdtemp(join(tmpdir(), 'gantry-up-')), signal);
  }

  run(args: readonly string[], okCodes: readonly number[] = [0]): Promise<{ code: number; stdout: string; stderr: string }> {
    return runCommand(program, [...args, '--data-dir', this.dataDir], { okCodes, env: baseEnv() }, this.signal);
  }

  async status(): Promise<Status> {
    return JSON.parse((await this.run(['status', '--json'])).stdout) as Status;
  }

  async pid(name: string): Promise<number> {
    return pollUntil(name, async () => (await this.status()).processes.find((process) => process.name === name)?.pid, { timeoutMs: 30_000 }, this.signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await runCommand(program, ['down', '--purge', '--data-dir', this.dataDir], { env: baseEnv() }, AbortSignal.timeout(60_000));
    await rm(this.dataDir, { recursive: true, force: true });
  }
}

/** Everything on the machine that carries the instance's id. */
async function tracesOf(id: string, dataDir: string, signal: AbortSignal): Promise<string[]> {
  const { stdout } = await runCommand('nft', ['list', 'tables'], {}, signal);
  const { stdout: groups } = await runCommand('find', ['/sys/fs/cgroup', '-name', `*${id}*`], { okCodes: [0, 1] }, signal);
  const processes = readdirSync('/proc').filter((name) => {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) return false;
    try {
      return readFileSync(`/proc/${name}/cmdline`, 'latin1').split('\0').some((argument) => argument.startsWith(`${dataDir}/`) || argument.includes(`gantry-${id}`));
    } catch {
      return false;
    }
  });
  return [
    ...stdout.split('\n').filter((line) => line.includes(id)),
    ...readdirSync('/sys/class/net').filter((name) => name.startsWith(`g${id.slice(0, 6)}`)),
    ...readFileSync('/proc/self/mountinfo', 'utf8').split('\n').filter((line) => line.includes(id) || line.includes(dataDir)),
    ...groups.split('\n').filter((line) => line !== ''),
    ...processes.map((pid) => `process ${pid}`),
    ...[dataDir, `/run/gantry-${id}`].filter((path) => existsSync(path)),
  ];
}

const pod: k8s.Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'idle', namespace: 'default' },
  spec: { containers: [{ name: 'idle', image: 'busybox', imagePullPolicy: 'IfNotPresent', command: ['sleep', '3600'] }], terminationGracePeriodSeconds: 0 },
};

/** `POST` to the Docker API of the instance, or `GET` without a body. Text. */
async function docker(instanceId: string, path: string, body?: object): Promise<string> {
  const sent = request({ socketPath: `/run/gantry-${instanceId}/docker.sock`, path: `/v1.47${path}`, method: body === undefined ? 'GET' : 'POST', headers: { 'content-type': 'application/json' } });
  sent.end(body === undefined ? undefined : JSON.stringify(body));
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  const said = await text(answer);
  assert.ok((answer.statusCode ?? 500) < 400, said);
  return said;
}

/**
 * A container of the Docker API and a pod, both with nothing asked for, find neither keys nor sockets of the instance and reach none of its ports.
 * Each says what it found; `nc` to a listener of its own is the control.
 */
async function checkIsolation({ dataDir, signal }: Subject, { instanceId }: Status, client: KubeClient): Promise<void> {
  const runDir = `/run/gantry-${instanceId}`;
  const record = JSON.parse(await readFile(join(dataDir, 'instance.json'), 'utf8')) as Record<'apiPort' | 'agentPort' | 'httpPort' | 'registryPort', number>;
  const secrets = [...['pki', 'token', 'kubeconfig', 'instance.json', 'store'].map((name) => join(dataDir, name)), ...['docker.sock', 'agent.sock', 'scopes'].map((name) => join(runDir, name))];
  for (const path of secrets) assert.ok(existsSync(path), path);
  assert.ok(readdirSync(join(dataDir, 'pki')).some((name) => name.endsWith('.key')));
  const roots = ['', '/proc/1/root', '/proc/self/cwd/../../../..'];
  const script = [
    // What a program complains of is no finding.
    'exec 2>/dev/null',
    ...secrets.flatMap((path) => roots.map((root) => `test -e ${root}${path} && echo "sees ${path}"`)),
    `find / \\( -path /proc -o -path /sys \\) -prune -o \\( -type s -o -name '*.key' -o -name kubeconfig \\) -print | sed 's/^/finds /'`,
    '(while :; do nc -l -p 4000 </dev/null; done >/dev/null &); until nc -w 2 127.0.0.1 4000 </dev/null >/dev/null; do sleep 0.1; done; echo control',
    `gateway=$(ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p'); test -n "$gateway" || echo "no gateway"`,
    ...[record.apiPort, record.agentPort, record.httpPort, record.registryPort].flatMap((port) => ['"$gateway"', '127.0.0.1'].map((host) => `(nc -w 2 ${host} ${port} </dev/null >/dev/null 2>&1 && echo "reaches ${port} at "${host}) & probes="$probes $!"`)),
    // By name: the listener of the control goes on as long as the container.
    'wait $probes; echo end',
  ].join('\n');
  const { Id: id } = JSON.parse(await docker(instanceId, '/containers/create', { Image: 'busybox', Cmd: ['sh', '-c', script], HostConfig: { LogConfig: { Type: 'json-file' } }, Tty: true })) as { Id: string };
  await docker(instanceId, `/containers/${id}/start`, {});
  await docker(instanceId, `/containers/${id}/wait`, {});
  assert.equal(await docker(instanceId, `/containers/${id}/logs?stdout=1&stderr=1`), 'control\r\nend\r\n');
  const name = 'curious';
  const container: k8s.Container = { name, image: 'busybox', imagePullPolicy: 'IfNotPresent', command: ['sh', '-c', `{\n${script}\n} > /dev/termination-log 2>&1`] };
  await client.create(resources.pods, { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'default' }, spec: { restartPolicy: 'Never', containers: [container] } }, signal);
  const found = await pollUntil('the curious pod to end', async () => (await client.get(resources.pods, { namespace: 'default', name }, signal)).status?.containerStatuses?.[0]?.state?.terminated, { timeoutMs: 60_000 }, signal);
  assert.equal(found.message, 'control\nend\n');
}

/** `gantry doctor` asks the running agent: it lists what is left on the machine, removes that alone when told to, and has nothing to say then. */
async function checkDoctor(subject: Subject, { instanceId }: Status): Promise<void> {
  const doctor = async (...args: string[]): Promise<[agent: string, string[]]> => {
    const { agent, findings } = JSON.parse((await subject.run(['doctor', '--json', ...args], [0, doctorStatuses.repaired, doctorStatuses.found])).stdout) as { agent: string; findings: { kind: string; isRepaired: boolean }[] };
    // What this machine lacks or is short of is not the test's to say.
    return [agent, findings.filter(({ kind }) => !['program', 'disk', 'kernel'].includes(kind)).map(({ kind, isRepaired }) => `${kind} ${isRepaired}`).toSorted()];
  };
  assert.deepEqual(await doctor(), ['running', []]);
  const bridge = `g${instanceId.slice(0, 6)}bx`;
  const folders = ['containers', 'images/snapshots'].map((name) => join(subject.dataDir, 'engine', name, 'f'.repeat(64)));
  await runCommand('ip', ['link', 'add', bridge, 'type', 'bridge'], {}, subject.signal);
  for (const folder of folders) await mkdir(folder, { recursive: true });
  const isThere = (): boolean[] => [`/sys/class/net/${bridge}`, ...folders].map((path) => existsSync(path));
  assert.deepEqual([await doctor(), isThere()], [['running', ['container-folder false', 'link false', 'snapshot false']], [true, true, true]]);
  assert.deepEqual([await doctor('--repair'), isThere()], [['running', ['container-folder true', 'link true', 'snapshot true']], [false, false, false]]);
  assert.deepEqual(await doctor(), ['running', []]);
}

test('gantry up runs two instances side by side; killed processes come back, containers go on, and a purge leaves nothing', { skip }, async () => {
  const signal = AbortSignal.timeout(240_000);
  await using first = await Subject.create(signal);
  await using second = await Subject.create(signal);
  await Promise.all([first.run(['up', '--detach']), second.run(['up', '--detach'])]);
  const [one, two] = [await first.status(), await second.status()];
  assert.notEqual(one.endpoints.api, two.endpoints.api);
  assert.notEqual(one.networks.pods, two.networks.pods);
  assert.deepEqual(one.processes.map(({ name }) => name), ['supervisor', 'server', 'agent']);

  await first.run(['image', 'bootstrap', 'busybox', '--quiet']);
  const { connection } = await readKubeconfig(join(first.dataDir, 'kubeconfig'));
  await using client = openKubeClient(connection);
  const containerId = (): Promise<string> =>
    pollUntil('the pod to run', async () => {
      try {
        const [container] = (await client.get(resources.pods, { namespace: 'default', name: 'idle' }, signal)).status?.containerStatuses ?? [];
        return container?.state?.running === undefined ? undefined : container.containerID;
      } catch (error) {
        if (isError(error, 'unavailable')) return undefined;
        throw error;
      }
    }, { timeoutMs: 30_000 }, signal);
  const scope = await first.run(['docker', 'scope', 'create', 'job', '--image', 'busybox*', '--memory', '512m', '--lifetime', '1h']);
  assert.equal(scope.stdout, `export DOCKER_HOST=unix:///run/gantry-${one.instanceId}/scopes/job.sock\n`);
  assert.match((await first.run(['docker', 'scope', 'create', 'job'], [exitCodes['already-exists']])).stderr, /already/);
  assert.match((await first.run(['docker', 'scope', 'create', 'other', '--cpus', 'x'], [exitCodes.invalid])).stderr, /cpus/);
  await client.create(resources.pods, pod, signal);
  const before = await containerId();
  await checkIsolation(first, one, client);
  await checkDoctor(first, one);

  for (const name of ['server', 'agent']) {
    const old = await first.pid(name);
    process.kill(old, 'SIGKILL');
    await pollUntil(`a new ${name}`, async () => ((await first.pid(name)) === old ? undefined : true), { timeoutMs: 30_000 }, signal);
  }
  // The children of a killed supervisor end by themselves, and the instance can be started again at once.
  const { instanceId } = await first.status();
  process.kill(await first.pid('supervisor'), 'SIGKILL');
  await first.run(['up', '--detach']);
  assert.equal((await first.status()).instanceId, instanceId);
  await pollUntil('the node to be ready', async () => ((await first.status()).nodes[0]?.isReady === true ? true : undefined), { timeoutMs: 30_000 }, signal);
  assert.equal(await containerId(), before);
  const scopes = JSON.parse((await first.run(['docker', 'scope', 'list', '--json'])).stdout) as { name: string; policy: { total: { memoryBytes: number } } }[];
  assert.deepEqual(scopes.map(({ name, policy }) => [name, policy.total.memoryBytes]), [['job', 512 * 2 ** 20]]);
  await first.run(['docker', 'scope', 'remove', 'job']);
  assert.equal((await first.run(['docker', 'scope', 'list', '--json'])).stdout.trim(), '[]');
  const refused = await first.run(['up', '--detach'], [exitCodes.conflict]);
  assert.match(refused.stderr, /supervisor is already running/);

  await first.run(['down']);
  assert.deepEqual((await first.status()).processes, []);
  assert.ok((await tracesOf(one.instanceId, first.dataDir, signal)).some((trace) => trace.startsWith('process')), 'the container did not go on');
  await first.run(['down', '--purge']);
  assert.deepEqual(await tracesOf(one.instanceId, first.dataDir, signal), []);
  assert.equal((await second.status()).nodes[0]?.isReady, true);
  await second.run(['down', '--purge']);
  assert.deepEqual(await tracesOf(two.instanceId, second.dataDir, signal), []);
});

test('gantry down --purge removes an instance whose processes were all killed', { skip }, async () => {
  const signal = AbortSignal.timeout(60_000);
  await using subject = await Subject.create(signal);
  await subject.run(['up', '--detach']);
  const { instanceId, processes } = await subject.status();
  for (const { pid } of processes) process.kill(pid, 'SIGKILL');
  await subject.run(['down', '--purge']);
  assert.deepEqual(await tracesOf(instanceId, subject.dataDir, signal), []);
});

test('gantry server serves an API without a node, with the tokens and repositories it is given', async () => {
  const signal = AbortSignal.timeout(60_000);
  const folder = await mkdtemp(join(tmpdir(), 'gantry-server-'));
  await using subject = new Subject(join(folder, 'data'), signal);
  await writeFile(join(folder, 'tokens.csv'), 'reader-token,reader,1\nadmin-token,boss,2,"system:masters"\n');
  await runCommand('git', ['init', '--quiet', '--bare', join(folder, 'git/shop.git')], {}, signal);
  const stop = new AbortController();
  const args = ['server', '--token-file', join(folder, 'tokens.csv'), '--git-root', join(folder, 'git'), '--service-cidr', '10.99.0.0/16', '--data-dir', subject.dataDir];
  const running = runCommand(program, args, {}, stop.signal).catch(() => undefined);
  const location = await locateInstance(subject.dataDir);
  try {
    const server = await pollUntil('the kubeconfig', () => readKubeconfig(join(subject.dataDir, 'kubeconfig')).then(({ connection }) => connection, () => undefined), { timeoutMs: 30_000 }, signal);
    await using client = openKubeClient({ server: server.server, ca: server.ca, token: 'admin-token' });
    const repositories = await pollUntil('the repository to be adopted', () => client.list(resources.repositories, {}, signal).then(({ items }) => (items.length > 0 ? items : undefined), () => undefined), { timeoutMs: 30_000 }, signal);
    assert.deepEqual(repositories.map(({ metadata }) => metadata.name), ['shop']);
    await using reader = openKubeClient({ server: server.server, ca: server.ca, token: 'reader-token' });
    await assert.rejects(reader.list(resources.secrets, {}, signal), { code: 'forbidden' });
    await using nobody = openKubeClient({ server: server.server, ca: server.ca, token: 'wrong' });
    await assert.rejects(nobody.list(resources.secrets, {}, signal), { code: 'unauthenticated' });
    assert.equal((await subject.status()).nodes.length, 0);
    const record = JSON.parse(await readFile(join(subject.dataDir, 'instance.json'), 'utf8')) as { serviceCidr: string };
    assert.equal(record.serviceCidr, '10.99.0.0/16');
    assert.equal((await roleHolder(location.paths.runDir, 'agent')), undefined);
  } finally {
    await subject.run(['down']);
    await running;
    stop.abort();
    await subject.run(['down', '--purge']);
    await rm(folder, { recursive: true, force: true });
  }
});

const mistakes: readonly { name: string; args: string[]; code: number; stderr: RegExp }[] = [
  { name: 'an unknown command', args: ['fly'], code: exitCodes.invalid, stderr: /unknown command 'fly'/ },
  { name: 'an unknown option', args: ['status', '--fly'], code: exitCodes.invalid, stderr: /unknown option '--fly'/ },
  { name: 'a wrong setting', args: ['up', '--api-port', 'x'], code: exitCodes.invalid, stderr: /^gantry: settings: apiPort/ },
  { name: 'a folder without an instance', args: ['status'], code: exitCodes['not-found'], stderr: /^gantry: there is no Gantry instance in / },
  { name: 'a missing configuration file', args: ['server', '--config', '/nonexistent.yaml'], code: exitCodes['not-found'], stderr: /^gantry: there is no configuration file \/nonexistent\.yaml/ },
];

for (const { name, args, code, stderr } of mistakes) {
  test(`gantry exits with ${code} for ${name}`, async () => {
    const signal = AbortSignal.timeout(30_000);
    const folder = await mkdtemp(join(tmpdir(), 'gantry-cli-'));
    await using subject = new Subject(join(folder, 'data'), signal);
    const result = await runCommand(program, [...args, ...(args[0] === 'fly' ? [] : ['--data-dir', subject.dataDir])], { okCodes: [code] }, signal);
    assert.match(result.stderr, stderr);
    await rm(folder, { recursive: true, force: true });
  });
}

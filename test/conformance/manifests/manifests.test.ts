import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import type { KubeObject } from '../../../src/api/mod.ts';
import { kubectlMissing } from '../../../src/cluster/apiserver/testing/kubectl.ts';
import { type CommandResult, pollUntil, runCommand } from '../../../src/kernel/mod.ts';
import { Instance } from '../../story/instance.ts';

const missing = ['runc', 'conmon', 'nft', 'ip', 'haproxy'].filter((name) => !['/usr/bin', '/usr/sbin', '/bin', '/sbin'].some((folder) => existsSync(join(folder, name))));
const skip = process.getuid?.() !== 0 ? 'needs root: real containers' : missing.length > 0 ? `needs ${missing.join(', ')}` : kubectlMissing();
const signal = AbortSignal.timeout(480_000);
const patience = { timeoutMs: 120_000, intervalMs: 200 };
const workloads = ['Deployment', 'StatefulSet', 'DaemonSet'];
let opened: Instance | undefined;

const instance = (): Instance => opened ?? assert.fail('no instance');

before(async () => {
  if (skip !== false) return;
  opened = await Instance.start([], signal);
  await opened.gantry(['image', 'bootstrap', 'busybox', '--quiet'], signal);
}, { timeout: 480_000 });
after(() => opened?.purge(AbortSignal.timeout(60_000)), { timeout: 70_000 });

interface Manifest {
  readonly name: string;
  /** Tutorials are applied by the client, charts by the server. */
  readonly apply: readonly string[];
  /** The documented warnings. */
  readonly warnings?: RegExp;
  /** What works for its users. */
  readonly check: (app: Application) => Promise<void>;
}

const serverSide = ['apply', '--server-side'];

const manifests: readonly Manifest[] = [
  {
    name: 'guestbook',
    apply: ['apply'],
    check: async (app) => {
      const port = (await app.get<{ spec: { ports: { nodePort: number }[] } }>('service', 'frontend')).spec.ports[0]?.nodePort ?? 0;
      assert.equal(await fetchText(`http://127.0.0.1:${port}/`), 'entry one\n');
    },
  },
  {
    name: 'blog',
    apply: ['apply'],
    check: async (app) => {
      const address = (await app.get<{ status: { loadBalancer: { ingress: { ip: string }[] } } }>('service', 'blog')).status.loadBalancer.ingress[0]?.ip ?? '';
      assert.equal(await fetchText(`http://${address}:8087/`), 'blog:correct horse\n');
      await app.kubectl('delete', 'pod', '-l', 'app=blog,tier=frontend', '--wait');
      await app.settled();
      assert.equal(await app.exec('deploy/blog', 'cat', '/var/www/html/index.html'), 'blog:correct horse\n');
    },
  },
  {
    name: 'controller-chart',
    apply: serverSide,
    warnings: /^(Warning: \S*automountServiceAccountToken: true is not supported by this cluster and has no effect\n)*$/,
    check: async (app) => {
      const address = await pollUntil('the address of the Ingress', async () => (await app.get<{ status?: { loadBalancer?: { ingress?: { ip: string }[] } } }>('ingress', 'edge-controller')).status?.loadBalancer?.ingress?.[0]?.ip, patience, signal);
      await pollUntil('the route', async () => ((await curl(`http://${address}/`, 'Host: edge.manifests.example')).startsWith(`${app.namespace}/edge-controller-`) ? true : undefined), patience, signal);
      assert.deepEqual((await app.get<{ status: { currentHealthy: number; disruptionsAllowed: number } }>('pdb', 'edge-controller')).status.disruptionsAllowed, 1);
      assert.equal(await app.exec('deploy/edge-controller', 'sh', '-c', 'cat /etc/edge/allow-snippet-annotations; stat -f -c %T /tmp; id -u; echo $GOMAXPROCS'), 'falsetmpfs\n101\n1\n');
      assert.equal((await app.kubectl('auth', 'can-i', 'list', 'ingresses.networking.k8s.io', '--all-namespaces', `--as=system:serviceaccount:${app.namespace}:edge-controller`)).stdout, 'yes\n');
    },
  },
  {
    name: 'database-chart',
    apply: serverSide,
    check: async (app) => {
      for (const index of [0, 1]) assert.equal(await app.exec('db-sql-0', 'wget', '-qO-', `http://db-sql-${index}.db-sql-hl:5432/member`), `member ${index}\n`);
      assert.equal(await app.exec('db-sql-1', 'sh', '-c', 'cat /data/password; echo; id -u; id -G; wget -qO- http://127.0.0.1:9187/metrics'), 'secret\n1001\n1001\nup 1\n');
    },
  },
  {
    name: 'node-agent-chart',
    apply: serverSide,
    check: async (app) => {
      const log = (await app.kubectl('logs', 'daemonset/agent')).stdout;
      assert.match(log, /^[\d.]+ [\d.]+ [\d.]+ .*\nlevel=info\nabc/);
      assert.match(log, /name="agent"/);
      await app.kubectl('wait', '--for=condition=complete', 'job/agent-migrate', '--timeout=120s');
      assert.equal((await app.kubectl('logs', '-l', 'job=agent-migrate', '-c', 'migrate')).stdout, 'from init\n'.repeat(3));
      await app.kubectl('create', 'job', '--from=cronjob/agent-backup', 'by-hand');
      await app.kubectl('wait', '--for=condition=complete', 'job/by-hand', '--timeout=120s');
      assert.equal((await app.kubectl('logs', 'job/by-hand')).stdout, 'state.tar\n');
      await app.kubectl('delete', 'job', 'by-hand', '--cascade=foreground', '--wait');
    },
  },
];

/** One manifest in a namespace of its own. */
class Application {
  readonly namespace: string;
  readonly file: string;

  constructor(name: string) {
    this.namespace = `manifests-${name}`;
    this.file = resolve(import.meta.dirname, `${name}.yaml`);
  }

  kubectl(...args: readonly string[]): Promise<CommandResult> {
    return instance().kubectl(['--namespace', this.namespace, ...args], signal);
  }

  async get<T>(...args: readonly string[]): Promise<T> {
    return JSON.parse((await this.kubectl('get', ...args, '-o', 'json')).stdout) as T;
  }

  async exec(target: string, ...command: readonly string[]): Promise<string> {
    return (await this.kubectl('exec', target, '--', ...command)).stdout;
  }

  async objects(): Promise<KubeObject[]> {
    return (await this.get<{ items: KubeObject[] }>('-f', this.file)).items;
  }

  /** All that roll out have. */
  async settled(): Promise<void> {
    for (const { kind, metadata } of await this.objects()) if (workloads.includes(kind ?? '')) await this.kubectl('rollout', 'status', `${kind ?? ''}/${metadata?.name ?? ''}`, '--timeout=120s');
  }

  /** What its owners have said, without what controllers add. */
  async intent(): Promise<unknown[]> {
    return (await this.objects()).map((object) => {
      const { managedFields, resourceVersion: _version, annotations: _annotations, ...metadata } = object.metadata as Record<string, unknown>;
      const ownersOf = Array.isArray(managedFields) ? managedFields.filter(({ subresource }: { subresource?: string }) => subresource === undefined) : [];
      return { ...object, status: undefined, metadata: { ...metadata, ownersOf } };
    });
  }
}

for (const { name, apply, warnings, check } of manifests) {
  test(`the manifest ${name} applies, converges, stays the same when applied again, and leaves nothing when deleted`, { skip, timeout: 470_000 }, async () => {
    const app = new Application(name);
    await app.kubectl('create', 'namespace', app.namespace);
    const first = await app.kubectl(...apply, '-f', app.file);
    assert.match(first.stderr, warnings ?? /^$/);
    await app.settled();
    await check(app);
    const intent = await app.intent();
    const again = await app.kubectl(...apply, '-f', app.file);
    // kubectl sends the whole of a Secret's stringData each time; the object stays what it was all the same.
    if (apply.length === 1) assert.deepEqual(again.stdout.split('\n').filter((line) => line !== '' && !line.endsWith(' unchanged') && !line.startsWith('secret/')), []);
    assert.deepEqual(await app.intent(), intent);
    assert.equal((await app.kubectl('diff', '-f', app.file)).stdout, '');
    assert.equal((await app.kubectl('diff', '--server-side', ...(apply.length === 1 ? ['--force-conflicts', '--field-manager=kubectl-client-side-apply'] : []), '-f', app.file)).stdout, '');
    await app.kubectl('delete', '-f', app.file, '--wait');
    const kinds = 'pods,replicasets,controllerrevisions,jobs,endpointslices,endpoints,services,configmaps,secrets,persistentvolumeclaims,roles,rolebindings';
    await pollUntil('what was made of it to go', async () => ((await app.kubectl('get', kinds, '-o', 'name')).stdout.replace('configmap/kube-root-ca.crt\n', '') === '' ? true : undefined), patience, signal);
    await app.kubectl('delete', 'namespace', app.namespace, '--wait');
  });
}

test('nothing is left of all manifests: no volume, no folder, no container', { skip, timeout: 200_000 }, async () => {
  const { stdout } = await instance().kubectl(['get', 'persistentvolumes,clusterroles,clusterrolebindings,priorityclasses', '-o', 'name'], signal);
  assert.deepEqual(stdout.split('\n').filter((line) => line.includes('manifests') || line.includes('persistentvolume')), []);
  const left = () => [join(instance().dataDir, 'volumes'), join(instance().dataDir, 'node')].flatMap((folder) => (existsSync(folder) ? readdirSync(folder).map((entry) => join(folder, entry)) : [])).filter((path) => /[0-9a-f]{8}-[0-9a-f]{4}/.test(path));
  await pollUntil('folders of pods and volumes to go', () => (left().length === 0 ? true : undefined), patience, signal);
  assert.equal((await instance().docker(['ps', '-aq'], signal).catch(() => ({ stdout: '' }))).stdout, '');
});

async function fetchText(url: string): Promise<string> {
  return (await fetch(url, { signal, headers: { connection: 'close' } })).text();
}

async function curl(url: string, header: string): Promise<string> {
  return (await runCommand('curl', ['-sS', '-m', '10', '-H', header, url], { okCodes: [0, 6, 7, 28, 52, 56] }, signal)).stdout;
}

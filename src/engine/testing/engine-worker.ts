/** A process that opens an engine and puts containers through random lives until it is killed. Its argument: the options as JSON. */
import { randomHex, silentLogger } from '../../kernel/mod.ts';
import type { Engine } from '../engine.ts';
import { openEngine } from '../open-engine.ts';
import { BusyboxImages } from './busybox-images.ts';
import { busyboxSpec } from './run-to-end.ts';

const signal = AbortSignal.timeout(60_000);
const options = JSON.parse(process.argv[2] ?? '{}') as Omit<Parameters<typeof openEngine>[0], 'images' | 'log'> & { imageFolder: string };
const engine = await openEngine({ ...options, images: new BusyboxImages(options.imageFolder), log: silentLogger() }, signal);
process.stdout.write('ready\n');
await Promise.all([live(engine), live(engine), live(engine), podLife(engine)]);

/** Any failure is ignored: the parent looks at what is left. */
async function live({ containers }: Engine): Promise<void> {
  while (!signal.aborted) {
    try {
      const { id } = await containers.create(busyboxSpec('sleep 0.0$((RANDOM % 9)); exit $((RANDOM % 3))', { restart: pick([{ name: 'no' }, { name: 'on-failure', maximumRetryCount: 2 }]), autoRemove: false, ports: pick([[], [{ protocol: 'tcp', containerPort: 80, hostIp: '', hostPort: 0 }]]) }), signal);
      await containers.start(id, signal);
      await pick([
        () => containers.stop(id, { timeoutSeconds: 0 }, signal),
        () => containers.wait(id, 'not-running', signal).then(() => undefined),
        () => containers.exec(id, { args: ['true'], env: [], workingDir: '', user: '', tty: false, stdin: false, isPrivileged: false }, signal).then((session) => session.exit).then(() => undefined),
        () => Promise.resolve(),
      ])();
      await pick([() => containers.remove(id, { force: true, removeVolumes: true }, signal), () => Promise.resolve()])();
    } catch {
      // A life that went wrong, for example an exec after the end.
    }
  }
}

async function podLife({ sandboxes, containers }: Engine): Promise<void> {
  while (!signal.aborted) {
    const podUid = randomHex(4);
    const sandbox = await sandboxes.create({ podUid, namespace: 'n', name: podUid, hostname: 'pod', labels: {}, hostNetwork: false, dns: { servers: [], searches: [], options: [] }, extraHosts: [], ports: [], sysctls: {}, cgroup: { workload: 'application' } }, signal);
    const spec = busyboxSpec('sleep 60', { owner: { kind: 'pod', sandboxId: sandbox.id, podUid, containerName: 'c', attempt: 0 }, network: { mode: 'sandbox' }, namespaces: { ...busyboxSpec('').namespaces, ipc: { mode: 'sandbox' }, uts: { mode: 'sandbox' } } });
    const { id } = await containers.create(spec, signal);
    await containers.start(id, signal);
    await pick([() => sandboxes.remove(sandbox.id, signal), () => Promise.resolve()])();
  }
}

function pick<T>(choices: readonly T[]): T {
  return choices[Math.floor(Math.random() * choices.length)] as T;
}

import { access, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { type EngineFinding, examineClosed, examineClosedStore } from '../engine/mod.ts';
import { errnoOf, GantryError } from '../kernel/mod.ts';
import { readInstance } from './instance.ts';
import type { InstanceLocation } from './location.ts';
import { RoleLock, roleHolder, roleFile, roles } from './lock.ts';

/**
 * Examines what an instance whose agent does not run has left on the machine; with `isRepaired` it is removed. The agent cannot start meanwhile.
 * `conflict` when it does run.
 */
export async function examineOffline(location: InstanceLocation, isRepaired: boolean, signal: AbortSignal): Promise<EngineFinding[]> {
  const { id, paths } = location;
  await using lock = await RoleLock.acquire(id, paths.runDir, 'agent', 0, signal);
  void lock;
  return [
    ...(await examineClosed({ instanceId: id, rootFolder: paths.engine, runFolder: join(paths.runDir, 'e') }, isRepaired, signal)),
    ...(await examineClosedStore(join(paths.engine, 'images'), isRepaired)),
  ];
}

/** Examines what processes of the instance leave beside containers: locks and sockets of dead ones, and ports that others have taken from it. */
export async function examineProcesses(location: InstanceLocation, isRepaired: boolean): Promise<EngineFinding[]> {
  if (process.getuid?.() !== 0) throw new GantryError('forbidden', 'the examination needs root');
  const { record } = await readInstance(location);
  const { paths } = location;
  const findings: EngineFinding[] = [];
  const live = new Set<string>();
  for (const role of roles) {
    if ((await roleHolder(paths.runDir, role)) !== undefined) live.add(role);
    else if (await isThere(roleFile(paths.runDir, role))) findings.push({ kind: 'lock', name: roleFile(paths.runDir, role), problem: `the ${role} that wrote it is gone`, isRepaired });
  }
  for (const socket of [paths.dockerSocket, paths.agentSocket]) {
    if (await isStaleSocket(socket)) findings.push({ kind: 'socket', name: socket, problem: 'nobody listens on it', isRepaired });
  }
  if (isRepaired) for (const { name } of findings) await rm(name, { force: true });
  const ports = { server: { apiPort: record.apiPort, httpPort: record.httpPort, registryPort: record.registryPort }, agent: { agentPort: record.agentPort } };
  for (const [role, ofRole] of Object.entries(ports)) {
    if (live.has(role)) continue;
    for (const [name, port] of Object.entries(ofRole)) {
      if (await isTaken(port)) findings.push({ kind: 'port', name: `127.0.0.1:${port}`, problem: `another program has the ${role}'s ${name}`, isRepaired: false });
    }
  }
  return findings;
}

async function isThere(file: string): Promise<boolean> {
  return access(file).then(() => true, () => false);
}

function isStaleSocket(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(false);
    });
    socket.once('error', (error) => {
      const code = errnoOf(error);
      if (code === 'ENOENT') resolve(false);
      else if (code === 'ECONNREFUSED') resolve(true);
      else reject(error);
    });
  });
}

function isTaken(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error) => (errnoOf(error) === 'EADDRINUSE' ? resolve(true) : reject(error)));
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => server.close(() => resolve(false)));
  });
}

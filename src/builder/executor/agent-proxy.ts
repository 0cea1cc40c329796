import { chmodSync, chownSync, mkdirSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { GantryError } from '../../kernel/mod.ts';

export interface AgentProxy extends AsyncDisposable {
  readonly path: string;
}

/**
 * A socket of its own for one RUN step, with the owner and mode the step asks for, whose connections go to an SSH agent. Disposing ends them all:
 * no process can hold the agent after its step.
 */
export async function openAgentProxy(agentPath: string, folder: string, name: string, owner: { uid: number; gid: number; mode: number }): Promise<AgentProxy> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, name);
  const open = new Set<Socket>();
  const server = createServer((client) => {
    const agent = connect(agentPath);
    for (const [socket, other] of [[client, agent], [agent, client]] as const) {
      open.add(socket);
      socket.once('error', () => other.destroy()).once('close', () => open.delete(socket));
      socket.pipe(other);
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new GantryError('internal', 'cannot listen for an SSH agent', { cause: error })));
    server.listen(path, resolve);
  });
  chownSync(path, owner.uid, owner.gid);
  chmodSync(path, owner.mode);
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of open) socket.destroy();
      await closed;
      rmSync(path, { force: true });
    },
  };
}

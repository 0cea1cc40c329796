import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { silentLogger } from '../kernel/mod.ts';
import { type AgentCommands, AgentSocket } from './agent-socket.ts';
import type { FurtherRoutes } from './further-routes.ts';

test('AgentSocket answers targets that are no path, and goes on', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-agent-'));
  const unused = (): never => assert.fail('no command was asked for');
  const commands: AgentCommands = { shutDown: unused, bootstrapImage: unused, examine: unused, scopes: { open: unused, close: unused, list: unused } };
  const further: FurtherRoutes = { handle: () => Promise.resolve(false) };
  const path = join(folder, 's');
  const socket = await AgentSocket.open(path, commands, further, silentLogger());
  try {
    const statusOf = async (target: string): Promise<string | undefined> => {
      const connection = connect(path);
      connection.setTimeout(30_000, () => connection.destroy());
      connection.write(`GET ${target} HTTP/1.1\r\nhost: agent\r\nconnection: close\r\n\r\n`);
      return /^HTTP\/1\.1 (\d+)/.exec(await text(connection))?.[1];
    };
    assert.deepEqual([await statusOf('///'), await statusOf('*'), await statusOf('/')], ['404', '400', '404']);
  } finally {
    await socket[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  }
});

import assert from 'node:assert/strict';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { isError } from '../kernel/mod.ts';
import { readKubeconfig, writeKubeconfig } from './kubeconfig.ts';

async function folderOf(context: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'kubeconfig-'));
  context.after(() => rm(folder, { recursive: true }));
  return folder;
}

test('readKubeconfig() reads what writeKubeconfig() wrote', async (context) => {
  const file = join(await folderOf(context), 'config');
  const kubeconfig = { namespace: 'shop', connection: { server: 'https://127.0.0.1:6443', ca: 'CA', clientCert: 'CERT', clientKey: 'KEY', token: 'T', isServerUnverified: undefined, tlsServerName: undefined } };
  await writeKubeconfig(file, 'gantry', kubeconfig);
  assert.deepEqual(await readKubeconfig(file), kubeconfig);
  assert.equal((await stat(file)).mode & 0o777, 0o600);
});

test('readKubeconfig() reads files beside it and another context', async (context) => {
  const folder = await folderOf(context);
  await writeFile(join(folder, 'ca.crt'), 'CA');
  await writeFile(join(folder, 'token'), 'T\n');
  const config = {
    'current-context': 'a',
    clusters: [{ name: 'c', cluster: { server: 'https://c:1', 'certificate-authority': 'ca.crt' } }],
    contexts: [{ name: 'b', context: { cluster: 'c', user: 'u' } }],
    users: [{ name: 'u', user: { tokenFile: 'token' } }],
  };
  await writeFile(join(folder, 'config'), JSON.stringify(config));
  const { connection, namespace } = await readKubeconfig(join(folder, 'config'), 'b');
  assert.deepEqual([connection.ca, connection.token, namespace], ['CA', 'T', 'default']);
  await assert.rejects(readKubeconfig(join(folder, 'config')), (error) => isError(error, 'invalid') && error.message.includes('"a"'));
});

test('readKubeconfig() refuses what it cannot use', async (context) => {
  const folder = await folderOf(context);
  const user = (fields: object): object => ({
    'current-context': 'x',
    clusters: [{ name: 'x', cluster: { server: 'https://c:1' } }],
    contexts: [{ name: 'x', context: { cluster: 'x', user: 'x' } }],
    users: [{ name: 'x', user: fields }],
  });
  const cases: [string, string][] = [
    [JSON.stringify(user({ exec: { command: 'aws' } })), 'users.0.user.exec'],
    [JSON.stringify(user({ username: 'u', password: 'p' })), 'users.0.user.username'],
    ['clusters: {', 'config'],
    ['a: 1', 'current-context'],
  ];
  for (const [content, part] of cases) {
    await writeFile(join(folder, 'config'), content);
    await assert.rejects(readKubeconfig(join(folder, 'config')), (error) => isError(error, 'invalid') && error.message.includes(part), content);
  }
  await assert.rejects(readKubeconfig(join(folder, 'none')), (error) => isError(error, 'not-found'));
});

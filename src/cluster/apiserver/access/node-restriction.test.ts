import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type k8s, resources } from '../../../api/mod.ts';
import { openKubeClient } from '../../../client/mod.ts';
import { formatError } from '../../../kernel/mod.ts';
import { openTestApiServer } from '../testing/test-api-server.ts';
import { parseTokenFile, TokenAuthenticator } from './authenticators.ts';

const signal = AbortSignal.timeout(120_000);
const mirror = { annotations: { 'kubernetes.io/config.mirror': 'abc' } };
const containers = [{ name: 'app', image: 'app:1' }];

test('a node creates mirrors of its own static pods and no other pod, and gets no token by one', async () => {
  await using server = await openTestApiServer({ authenticators: [new TokenAuthenticator(parseTokenFile('root,admin,1,"system:masters"\nnode,system:node:n1,2,"system:nodes"\n', 'tokens.csv'))] });
  await using node = openKubeClient({ ...server.connection, token: 'node' });
  const create = async (metadata: k8s.ObjectMeta, spec: Partial<k8s.PodSpec>): Promise<string> => {
    try {
      const made = await node.create<k8s.Pod>(resources.pods, { metadata: { namespace: 'default', name: 'p', ...metadata }, spec: { containers, ...spec } }, signal);
      return `created, account ${made.spec?.serviceAccountName ?? 'none'}`;
    } catch (error) {
      return formatError(error);
    }
  };
  assert.match(await create({}, { nodeName: 'n1' }), /can only create mirror pods/);
  assert.match(await create(mirror, { nodeName: 'n2' }), /only create pods with spec\.nodeName set to itself/);
  assert.match(await create(mirror, {}), /only create pods with spec\.nodeName set to itself/);
  assert.match(await create(mirror, { nodeName: 'n1', serviceAccountName: 'default' }), /may not reference service accounts/);
  assert.match(await create(mirror, { nodeName: 'n1', volumes: [{ name: 's', secret: { secretName: 's' } }] }), /may not reference secrets/);
  assert.match(await create(mirror, { nodeName: 'n1', containers: [{ ...containers[0], name: 'a', env: [{ name: 'E', valueFrom: { configMapKeyRef: { name: 'c', key: 'k' } } }] }] }), /may not reference configmaps/);
  assert.equal(await create(mirror, { nodeName: 'n1' }), 'created, account none');
  const token = node.create(resources.serviceAccounts, { metadata: { namespace: 'default', name: 'other' } }, signal);
  await assert.rejects(token, /may only change what is its own/);
});

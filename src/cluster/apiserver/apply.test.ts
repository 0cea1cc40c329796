import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, type ApiCaller, apiCaller, at, patchHeaders } from './testing/api-caller.ts';
import { Kubectl, kubectlMissing } from './testing/kubectl.ts';
import { openTestApiServer } from './testing/test-api-server.ts';

const deployments = '/apis/apps/v1/namespaces/default/deployments';

interface Spec { replicas?: number; image?: string; labels?: Record<string, string>; containers?: object[] }

const config = ({ replicas, image = 'one', labels, containers }: Spec): object => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'a', ...(labels === undefined ? {} : { labels }) },
  spec: { ...(replicas === undefined ? {} : { replicas }), selector: { matchLabels: { app: 'a' } }, template: { metadata: { labels: { app: 'a' } }, spec: { containers: containers ?? [{ name: 'c', image, ports: [{ containerPort: 80 }] }] } } },
});

function check(title: string, run: (apply: (manager: string, spec: Spec | object, query?: string) => Promise<Answer>, call: ApiCaller) => Promise<void>): void {
  test(`server-side apply ${title}`, async () => {
    await using server = await openTestApiServer();
    const call = apiCaller(server);
    const apply = (manager: string, spec: Spec | object, query = ''): Promise<Answer> =>
      call('PATCH', `${deployments}/a?fieldManager=${manager}${query}`, 'apiVersion' in spec ? spec : config(spec), patchHeaders.apply);
    await run(apply, call);
  });
}

const managers = ({ body }: Answer): unknown[] => ((at(body, 'metadata.managedFields') ?? []) as { manager: string; operation: string }[]).map(({ manager, operation }) => `${manager} ${operation}`);

check('creates, changes nothing when repeated, and takes away what is no longer applied', async (apply, call) => {
  const made = await apply('one', { replicas: 2, labels: { x: '1', y: '2' } });
  assert.deepEqual([made.code, managers(made)], [201, ['one Apply']]);
  const again = await apply('one', { replicas: 2, labels: { x: '1', y: '2' } });
  assert.deepEqual([again.code, at(again.body, 'metadata.resourceVersion')], [200, at(made.body, 'metadata.resourceVersion')]);
  const less = await apply('one', { labels: { x: '1' } });
  assert.deepEqual([at(less.body, 'metadata.labels'), at(less.body, 'spec.replicas')], [{ x: '1' }, 1], 'replicas falls back to its default');
  assert.deepEqual(at((await call('GET', `${deployments}/a`)).body, 'metadata.managedFields.0.fieldsV1.f:spec.f:selector'), {});
});

check('conflicts with other managers unless forced or agreed', async (apply) => {
  await apply('one', { replicas: 2 });
  const conflict = await apply('two', { replicas: 3, image: 'two' });
  assert.deepEqual([conflict.code, conflict.body['reason']], [409, 'Conflict']);
  assert.deepEqual((at(conflict.body, 'details.causes') as { field: string; reason: string }[]).map(({ field, reason }) => [field, reason]), [
    ['.spec.replicas', 'FieldManagerConflict'],
    ['.spec.template.spec.containers[name="c"].image', 'FieldManagerConflict'],
  ]);
  assert.match(String(conflict.body['message']), /^Apply failed with 2 conflicts: conflicts with "one" using apps\/v1:\n- \.spec\.replicas\n/);
  const agreed = await apply('two', { replicas: 2 });
  assert.deepEqual([agreed.code, managers(agreed)], [200, ['one Apply', 'two Apply']]);
  const forced = await apply('two', { replicas: 5 }, '&force=true');
  assert.deepEqual([forced.code, at(forced.body, 'spec.replicas')], [200, 5]);
  const left = await apply('one', {});
  assert.equal(at(left.body, 'spec.replicas'), 5, 'one lost the field and cannot take it away');
});

check('lets managers share lists by key', async (apply) => {
  await apply('one', { containers: [{ name: 'c', image: 'one' }] });
  const shared = await apply('mesh', { containers: [{ name: 'proxy', image: 'p' }] });
  assert.deepEqual((at(shared.body, 'spec.template.spec.containers') as { name: string }[]).map(({ name }) => name).toSorted(), ['c', 'proxy']);
  const renamed = await apply('one', { containers: [{ name: 'd', image: 'one' }] });
  assert.deepEqual((at(renamed.body, 'spec.template.spec.containers') as { name: string }[]).map(({ name }) => name).toSorted(), ['d', 'proxy']);
});

check('notes ordinary writes and yields to them', async (apply, call) => {
  await apply('one', { replicas: 2 });
  const edited = await call('PATCH', `${deployments}/a?fieldManager=editor`, { spec: { replicas: 7 } }, patchHeaders.merge);
  assert.deepEqual(managers(edited), ['one Apply', 'editor Update']);
  assert.match(String((await apply('one', { replicas: 2 })).body['message']), /conflict with "editor" using apps\/v1 at .*: \.spec\.replicas/);
  const without = await apply('one', {});
  assert.equal(at(without.body, 'spec.replicas'), 7);
  await call('PATCH', `${deployments}/a/status?fieldManager=controller`, { status: { replicas: 1 } }, patchHeaders.merge);
  const { body } = await call('GET', `${deployments}/a`);
  const status = (at(body, 'metadata.managedFields') as { manager: string; subresource?: string; fieldsV1: unknown }[]).find(({ manager }) => manager === 'controller');
  assert.deepEqual([status?.subresource, status?.fieldsV1], ['status', { 'f:status': { 'f:replicas': {} } }]);
});

check('takes over objects that nobody has applied before', async (apply, call) => {
  const { apiVersion: _, ...plain } = config({ replicas: 4 }) as { apiVersion: string };
  const made = await call('POST', deployments, plain);
  assert.deepEqual(managers(made), []);
  const conflict = await apply('one', { replicas: 2 });
  assert.match(String(conflict.body['message']), /conflict with "before-first-apply"/);
  assert.deepEqual([(await apply('one', { replicas: 4 })).code, (await apply('one', { replicas: 2 }, '&force=true')).code], [200, 200]);
});

check('is checked like any other write', async (apply, call) => {
  assert.match(String((await call('PATCH', `${deployments}/a`, config({}), patchHeaders.apply)).body['message']), /fieldManager: Required value: is required for apply patch/);
  assert.equal((await apply('one', { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'b' } })).code, 400);
  assert.equal((await apply('one', { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'a', managedFields: [] } })).code, 400);
  const invalid = await apply('one', { replicas: -1 });
  assert.deepEqual([invalid.code, invalid.body['reason']], [422, 'Invalid']);
  const strict = await apply('one', { ...config({}), colour: 'red' }, '&fieldValidation=Strict');
  assert.match(String(strict.body['message']), /unknown field "colour"/);
  await apply('one', { replicas: 2 });
  const stale = await apply('one', { ...config({}), metadata: { name: 'a', resourceVersion: '1' } });
  assert.equal(stale.code, 409);
  assert.equal((await apply('one', { replicas: 9 }, '&dryRun=All')).code, 200);
  assert.equal(at((await call('GET', `${deployments}/a`)).body, 'spec.replicas'), 2);
});

test('kubectl applies on the server side, also what it applied itself before', { skip: kubectlMissing() }, async () => {
  await using kubectl = await Kubectl.open();
  const manifest = (replicas: number): string => JSON.stringify(config({ replicas, labels: { app: 'a' } }));
  const run = async (args: string, input?: string): Promise<string> => {
    const { code, stdout, stderr } = await kubectl.run(args.split(' '), input);
    return `${code} ${stdout}${stderr}`;
  };
  assert.match(await run('apply --server-side -f -', manifest(1)), /^0 deployment\.apps\/a serverside-applied/);
  assert.match(await run('apply --server-side -f -', manifest(2)), /^0 deployment\.apps\/a serverside-applied/);
  assert.match(await run('scale deploy a --replicas=5'), /^0/);
  assert.match(await run('apply --server-side -f -', manifest(3)), /^1 .*Apply failed with 1 conflict: conflict with "kubectl"/);
  assert.match(await run('apply --server-side --force-conflicts -f -', manifest(3)), /^0/);
  assert.match(await run('get deploy a -o jsonpath={.spec.replicas}'), /^0 3$/);
  assert.match(await run('get deploy a --show-managed-fields -o jsonpath={.metadata.managedFields[*].manager}'), /^0 kubectl/);
  await run('delete deploy a');
  assert.match(await run('apply -f -', manifest(1)), /created/);
  assert.match(await run('apply --server-side -f -', manifest(4)), /^0 deployment\.apps\/a serverside-applied/);
  assert.match(await run('diff --server-side -f -', manifest(6)), /\+  replicas: 6/);
});

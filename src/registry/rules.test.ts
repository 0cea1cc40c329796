import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { mediaTypes } from '../api/mod.ts';
import { openLogger } from '../kernel/mod.ts';
import { globMatches } from './globs.ts';
import type { RepositoryRules } from './mod.ts';
import { DiskBudget } from './server/disk-budget.ts';
import { planCollection } from './server/plan-collection.ts';
import { type Answer, codeOf, digestOf, send } from './testing/requests.ts';
import { openTestRegistry, type TestRegistry } from './testing/test-registry.ts';

const emptyConfig = { mediaType: 'application/vnd.oci.empty.v1+json', digest: digestOf('{}'), size: 2 };

async function putTag(registry: TestRegistry, repository: string, tag: string, content: string): Promise<Answer> {
  await send(`${registry.url}/v2/${repository}/blobs/uploads/?digest=${emptyConfig.digest}`, 'POST', {}, '{}');
  const body = JSON.stringify({ schemaVersion: 2, config: emptyConfig, layers: [], annotations: { content } });
  return send(`${registry.url}/v2/${repository}/manifests/${tag}`, 'PUT', { 'content-type': mediaTypes.ociManifest }, body);
}

test('globMatches() knows parts and several parts', () => {
  const cases: [pattern: string, name: string, expected: boolean][] = [
    ['team/*', 'team/app', true], ['team/*', 'team/a/b', false], ['team/**', 'team/a/b', true], ['**', 'a/b', true], ['**/app', 'app', true], ['**/app', 'a/b/app', true], ['**/app', 'myapp', false],
    ['v*', 'v1.2', true], ['v*', 'dev', false], ['v?', 'v1', true], ['v?', 'v10', false], ['a.b', 'axb', false], ['[ab]', 'a', false], ['(x)', '(x)', true], ['', '', true], ['*', '', true],
  ];
  for (const [pattern, name, expected] of cases) assert.equal(globMatches(pattern, name), expected, `${pattern} ${name}`);
});

test('an immutable tag is set once, neither moves nor goes, and only where the rule holds', async () => {
  const rulesOf = (repository: string): RepositoryRules => ({ immutableTags: repository === 'app' ? ['v*'] : [], retention: [] });
  await using registry = await openTestRegistry({ rulesOf });
  const first = await putTag(registry, 'app', 'v1', 'one');
  assert.equal(first.status, 201);
  assert.equal((await putTag(registry, 'app', 'v1', 'one')).status, 201);
  assert.deepEqual(codeOf(await putTag(registry, 'app', 'v1', 'two')), [409, 'DENIED']);
  const digest = first.headers.get('docker-content-digest') ?? '';
  assert.equal((await send(`${registry.url}/v2/app/manifests/v1`)).headers.get('docker-content-digest'), digest);
  for (const reference of ['v1', digest]) assert.deepEqual(codeOf(await send(`${registry.url}/v2/app/manifests/${reference}`, 'DELETE')), [405, 'UNSUPPORTED'], reference);
  for (const [repository, tag] of [['app', 'latest'], ['other', 'v1']] as const) {
    for (const content of ['one', 'two']) assert.equal((await putTag(registry, repository, tag, content)).status, 201);
    assert.equal((await send(`${registry.url}/v2/${repository}/manifests/${tag}`, 'DELETE')).status, 202);
  }
});

test('of pushes that set an immutable tag at the same moment one wins and the others are told', async () => {
  await using registry = await openTestRegistry({ rulesOf: () => ({ immutableTags: ['*'], retention: [] }) });
  const answers = await Promise.all(Array.from({ length: 6 }, (_, index) => putTag(registry, 'app', 'v1', String(index))));
  const created = answers.filter(({ status }) => status === 201);
  assert.equal(created.length, 1);
  for (const answer of answers) if (answer.status !== 201) assert.deepEqual(codeOf(answer), [409, 'DENIED']);
  assert.equal((await send(`${registry.url}/v2/app/manifests/v1`)).headers.get('docker-content-digest'), created[0]?.headers.get('docker-content-digest'));
});

test('planCollection() lets tags go by number and age, but never those that are kept, immutable, running or fresh', () => {
  const dayMs = 86_400_000;
  const nowMs = 100 * dayMs;
  const tags = new Map([['v4', 1], ['v3', 2], ['v2', 30], ['v1', 40], ['release-1', 90], ['pinned', 95]].map(([tag, days]) => [String(tag), { digest: `d-${tag}`, setAtMs: nowMs - Number(days) * dayMs }]));
  const plan = (rules: Partial<RepositoryRules>, roots: string[] = [], graceMs = 1000): string[] =>
    planCollection({ tags, manifests: new Map(), blobs: new Map() }, { roots: new Set(roots), nowMs, graceMs, rules: { immutableTags: [], retention: [], ...rules } }).tags.map(({ tag }) => tag);
  const cases: [what: string, gone: string[], expected: string[]][] = [
    ['no rule', plan({}), []],
    ['number', plan({ retention: [{ keepTags: 3, keep: [] }] }), ['v1', 'release-1', 'pinned']],
    ['number without those kept', plan({ retention: [{ keepTags: 2, keep: ['release-*', 'pinned'] }] }), ['v2', 'v1']],
    ['age', plan({ retention: [{ maxTagAgeMs: 35 * dayMs, keep: [] }] }), ['v1', 'release-1', 'pinned']],
    ['either of two rules', plan({ retention: [{ maxTagAgeMs: 94 * dayMs, keep: [] }, { keepTags: 4, keep: [] }] }), ['release-1', 'pinned']],
    ['immutable', plan({ immutableTags: ['release-*'], retention: [{ keepTags: 1, keep: [] }] }), ['v3', 'v2', 'v1', 'pinned']],
    ['running', plan({ retention: [{ keepTags: 1, keep: [] }] }, ['d-v1', 'd-v2']), ['v3', 'release-1', 'pinned']],
    ['fresh', plan({ retention: [{ keepTags: 1, keep: [] }] }, [], 35 * dayMs), ['v1', 'release-1', 'pinned']],
  ];
  for (const [what, gone, expected] of cases) assert.deepEqual(gone, expected, what);
});

test('a disk budget warns before it is used up and then refuses uploads, not pulls', async () => {
  await using registry = await openTestRegistry({ budgetBytes: 1000 });
  const upload = (size: number): Promise<Answer> => {
    const content = randomBytes(size);
    return send(`${registry.url}/v2/app/blobs/uploads/?digest=${digestOf(content)}`, 'POST', {}, content);
  };
  const pushed = await upload(950);
  assert.equal(pushed.status, 201);
  assert.equal(pushed.headers.get('warning'), null);
  assert.deepEqual(registry.registry.usage(), { usedBytes: 950, budgetBytes: 1000, warning: 'the registry uses 95 % of its disk budget of 1000 bytes; when it is full, pushes are refused' });
  const warned = await upload(100);
  assert.deepEqual([warned.status, warned.headers.get('warning')], [201, '299 - "the registry uses 95 % of its disk budget of 1000 bytes; when it is full, pushes are refused"']);
  assert.deepEqual(codeOf(await upload(1)), [403, 'DENIED']);
  assert.deepEqual(codeOf(await send(`${registry.url}/v2/app/blobs/uploads/`, 'POST')), [403, 'DENIED']);
  assert.equal((await send(`${registry.url}${pushed.headers.get('location') ?? ''}`)).status, 200);
  const { keptBytes, budgetBytes } = await registry.registry.collector({ roots: async () => new Set(), graceMs: 0 }).collect({ isDryRun: false }, AbortSignal.timeout(30_000));
  assert.deepEqual([keptBytes, budgetBytes], [0, 1000]);
  assert.equal((await upload(1)).status, 201);
});

test('DiskBudget warns once for each measurement', () => {
  const warnings: object[] = [];
  const log = openLogger('silent', 'test');
  const budget = new DiskBudget(1000, { ...log, warn: (_message: string, values?: object) => void warnings.push(values ?? {}) });
  budget.measured(100);
  for (let round = 0; round < 3; round += 1) budget.added(400);
  assert.deepEqual(warnings, [{ usedBytes: 900, budgetBytes: 1000 }]);
  budget.measured(950);
  assert.equal(warnings.length, 2);
});

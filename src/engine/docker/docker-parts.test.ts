import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { isError } from '../../kernel/mod.ts';
import type { ContainerStatus } from '../types.ts';
import { splitVersion } from './api-version.ts';
import { DetachScanner, parseDetachKeys } from './detach-keys.ts';
import { exactTime, flagFilter, lacksLabels, matchesLabels, parseFilters, parseTime } from './filters.ts';
import { generateContainerName } from './names.ts';
import { parseRegistryAuth } from './registry-auth.ts';
import { isZero } from './requests/zero.ts';
import { Router } from './router.ts';
import { dockerRoutes } from './routes.ts';
import { statusText } from './views/container-status.ts';
import { humanDuration } from './views/duration.ts';
import { systemCpuNanoseconds } from './views/stats.ts';

const code = (...codes: string[]) => (error: unknown) => isError(error) && codes.includes(error.code);

test('splitVersion() takes the version off the path and refuses those outside', () => {
  assert.deepEqual(splitVersion('/v1.43/containers/json'), { version: 1043, path: '/containers/json' });
  assert.deepEqual(splitVersion('/_ping'), { version: 1050, path: '/_ping' });
  for (const path of ['/v1.40/info', '/v1.51/info', '/v2.0/info']) assert.throws(() => splitVersion(path), code('invalid'), path);
});

test('parseFilters() reads both forms and refuses unknown names', () => {
  assert.deepEqual([...parseFilters('{"a":["1","2"],"b":{"x":true,"y":false}}', ['a', 'b'])], [['a', ['1', '2']], ['b', ['x']]]);
  assert.deepEqual(parseFilters(undefined, []).size, 0);
  for (const text of ['{', '[]', '"a"', 'null', '{"c":["1"]}', '{"a":1}', '{"a":[1]}']) assert.throws(() => parseFilters(text, ['a', 'b']), code('invalid'), text);
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
    try {
      parseFilters(text, ['a']);
    } catch (error) {
      assert.ok(isError(error, 'invalid'), String(error));
    }
  }));
});

test('label and flag filters', () => {
  const filters = parseFilters('{"label":["a","b=1"],"label!":["c"],"dangling":["true"],"bad":["maybe"]}', ['label', 'label!', 'dangling', 'bad']);
  assert.deepEqual([matchesLabels(filters, { a: '', b: '1' }), matchesLabels(filters, { a: '', b: '2' }), matchesLabels(filters, { b: '1' })], [true, false, false]);
  assert.deepEqual([lacksLabels(filters, { a: '' }), lacksLabels(filters, { c: '' })], [true, false]);
  assert.deepEqual([flagFilter(filters, 'dangling'), flagFilter(filters, 'none')], [true, undefined]);
  assert.throws(() => flagFilter(filters, 'bad'), code('invalid'));
});

test('times of queries are Unix seconds, RFC 3339 or durations', () => {
  const now = Date.parse('2024-06-01T12:00:00Z');
  const cases: [text: string, time: string][] = [['1700000000', '2023-11-14T22:13:20.000Z'], ['1700000000.5', '2023-11-14T22:13:20.500Z'], ['2024-01-02T03:04:05Z', '2024-01-02T03:04:05.000Z'], ['1h30m', '2024-06-01T10:30:00.000Z'], ['500ms', '2024-06-01T11:59:59.500Z']];
  for (const [text, time] of cases) assert.equal(parseTime(text, now).toISOString(), time, text);
  assert.equal(exactTime('1700000000.123456789', now), '2023-11-14T22:13:20.123456789Z');
  for (const text of ['yesterday', '-1', '5x', '']) assert.throws(() => parseTime(text, now), code('invalid'), text);
});

test('DetachScanner finds the keys in any chunks and passes all else on', () => {
  const keys = parseDetachKeys('ctrl-p,ctrl-q');
  assert.deepEqual(keys, Buffer.from([0x10, 0x11]));
  assert.deepEqual(parseDetachKeys('a,ctrl-@,ctrl-\\'), Buffer.from([0x61, 0, 0x1c]));
  for (const text of ['', 'ctrl-', 'ctrl-pp', 'ab', 'ctrl-p,,']) assert.throws(() => parseDetachKeys(text), code('invalid'), text);
  fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 5 })), (chunks) => {
    const scanner = new DetachScanner(keys);
    const passed: number[] = [];
    let isDetached = false;
    for (const chunk of chunks) {
      const result = scanner.push(chunk);
      if (!isDetached) passed.push(...result.passed);
      isDetached ||= result.isDetached;
    }
    const all = chunks.flatMap((chunk) => [...chunk]);
    const at = all.findIndex((byte, index) => byte === 0x10 && all[index + 1] === 0x11);
    assert.equal(isDetached, at >= 0);
    const expected = at >= 0 ? all.slice(0, at) : all.at(-1) === 0x10 ? all.slice(0, -1) : all;
    assert.deepEqual(passed, expected);
  }));
});

test('DetachScanner begins again in the middle of a match', () => {
  const scanner = new DetachScanner(Buffer.from([0x10, 0x11]));
  assert.deepEqual(scanner.push(Buffer.from([0x10])), { passed: Buffer.alloc(0), isDetached: false });
  assert.deepEqual(scanner.push(Buffer.from([0x10, 0x11])), { passed: Buffer.from([0x10]), isDetached: true });
});

test('the router finds every route of the table, and names with slashes', () => {
  const router = new Router(dockerRoutes);
  for (const route of dockerRoutes) {
    const path = route.path.replace(/\{\w+\.\.\.\}/, 'host:5000/a/b').replace(/\{\w+\}/, 'x');
    const found = router.find(route.method, path);
    assert.ok('route' in found && found.route.summary === route.summary, `${route.method} ${path}`);
  }
  const found = router.find('GET', '/images/host:5000%2Fa/b@sha256:00/json');
  assert.deepEqual('params' in found && found.params, { name: 'host:5000/a/b@sha256:00' });
  assert.deepEqual(router.find('PUT', '/containers/x/json'), { allowed: ['GET'] });
  assert.deepEqual(router.find('GET', '/nothing'), { allowed: [] });
});

test('humanDuration() and statusText() speak as docker ps does', () => {
  const seconds: [number, string][] = [[0.5, 'Less than a second'], [1, '1 second'], [59, '59 seconds'], [60, 'About a minute'], [300, '5 minutes'], [3600, 'About an hour'], [7200, '2 hours'], [86_400 * 3, '3 days'], [86_400 * 20, '2 weeks'], [86_400 * 100, '3 months'], [86_400 * 800, '2 years']];
  for (const [duration, text] of seconds) assert.equal(humanDuration(duration * 1000), text);
  const now = Date.parse('2024-01-01T01:00:00Z');
  const base: ContainerStatus = { state: 'running', createdAt: '2024-01-01T00:00:00Z', startedAt: '2024-01-01T00:58:00Z', isOomKilled: false, restartCount: 0, isStopRequested: false, endpoints: [], ports: [], warnings: [] };
  const health = { state: 'starting', failingStreak: 0, log: [] } as const;
  const cases: [Partial<ContainerStatus>, string][] = [
    [{}, 'Up 2 minutes'], [{ health }, 'Up 2 minutes (health: starting)'], [{ health: { ...health, state: 'healthy' } }, 'Up 2 minutes (healthy)'], [{ state: 'paused' }, 'Up 2 minutes (Paused)'],
    [{ state: 'exited', exitCode: 3, finishedAt: '2024-01-01T00:59:50Z' }, 'Exited (3) 10 seconds ago'], [{ state: 'created' }, 'Created'],
  ];
  for (const [change, text] of cases) assert.equal(statusText({ ...base, ...change }, now), text);
});

test('parseRegistryAuth() reads what clients send and never shows it', () => {
  const header = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  assert.deepEqual(parseRegistryAuth(header({ username: 'u', password: 'p' })), { username: 'u', password: 'p' });
  assert.deepEqual(parseRegistryAuth(header({ auth: Buffer.from('u:p:q').toString('base64') })), { username: 'u', password: 'p:q' });
  for (const empty of [undefined, '', header({}), header({ username: '' })]) assert.equal(parseRegistryAuth(empty), undefined);
  assert.deepEqual(parseRegistryAuth(header({ username: 'u', identitytoken: 'refresh' })), { username: 'u', password: '', identityToken: 'refresh' });
  assert.deepEqual(parseRegistryAuth(header({ registrytoken: 'bearer' })), { username: '', password: '', registryToken: 'bearer' });
  assert.throws(() => parseRegistryAuth(Buffer.from('{"password":"hush').toString('base64url')), (error) => isError(error, 'invalid') && !error.message.includes('hush'));
});

test('isZero() tells what asks for nothing', () => {
  for (const value of [undefined, null, 0, '', false, [], {}, [0, ''], { a: { b: [] } }]) assert.equal(isZero(value), true, JSON.stringify(value));
  for (const value of [1, 'x', true, [1], { a: 1 }, -1]) assert.equal(isZero(value), false, JSON.stringify(value));
});

test('generateContainerName() gives names that are free and valid', () => {
  let tries = 0;
  const name = generateContainerName(() => (tries += 1) < 10);
  assert.match(name, /^[a-z]+_[a-z]+\d+$/);
});

test('systemCpuNanoseconds() adds up the first line of /proc/stat', () => {
  assert.equal(systemCpuNanoseconds('cpu  1 2 3 4 5 6 7 8 100 100\ncpu0 9'), 360_000_000n);
  assert.ok(systemCpuNanoseconds(readFileSync('/proc/stat', 'utf8')) > 0n);
});

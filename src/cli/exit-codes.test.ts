import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GantryError, errorCodes } from '../kernel/mod.ts';
import { exitCodeHelp, exitCodes } from './exit-codes.ts';
import { formatAge, formatFailure, formatTable } from './output.ts';
import { shellQuote } from './commands/env.ts';
import { buildProgram } from './program.ts';
import { settingsOf } from './settings.ts';

test('exitCodes gives every error code its own status, and none is 0', () => {
  const statuses = errorCodes.map((code) => exitCodes[code]);
  assert.equal(new Set(statuses).size, errorCodes.length);
  assert.ok(statuses.every((status) => status > 0 && status < 256));
});

test('gantry --help shows every exit code and every command with a description', () => {
  const program = buildProgram();
  let help = '';
  program.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
  assert.ok(help.includes(exitCodeHelp()));
  const visit = (command: typeof program): void => {
    for (const child of command.commands) {
      assert.ok(child.description().length > 8, child.name());
      visit(child);
    }
  };
  visit(program);
});

test('buildProgram() makes only the group of the command that is called, and all for what it does not know', () => {
  const names = (called?: string): string[] => buildProgram(called).commands.map((command) => command.name());
  for (const name of names()) assert.ok(names(name).includes(name), name);
  assert.deepEqual([names('build'), names('release')], [['build'], ['rollback', 'release']]);
  assert.deepEqual(names('nothing'), names());
});

test('formatFailure() prints the message and the places it does not have yet', () => {
  const places = [{ file: 'a.yaml', line: 3, message: 'unknown key' }, { file: 'a.yaml', line: 9, message: 'required' }];
  assert.equal(formatFailure(new GantryError('invalid', 'a.yaml:3: unknown key (and 1 more)', { places })), 'gantry: a.yaml:3: unknown key (and 1 more)\n  a.yaml:9: required');
  assert.equal(formatFailure(new GantryError('unavailable', 'cannot reach it', { cause: new Error('refused') })), 'gantry: cannot reach it: refused');
});

test('formatTable() aligns columns without trailing spaces', () => {
  assert.equal(formatTable(['A', 'LONG'], [['x', '1'], ['yyy', '']]), 'A     LONG\nx     1\nyyy');
});

test('formatAge() uses the largest sensible unit', () => {
  const now = Date.parse('2030-01-01T00:00:00Z');
  const before = (seconds: number): string => formatAge(new Date(now - seconds * 1000).toISOString(), now);
  assert.deepEqual([5, 119, 120, 7200, 172_800].map(before), ['5s', '119s', '2m', '2h', '2d']);
  assert.equal(formatAge(undefined), '-');
});

test('shellQuote() makes one word of any text', () => {
  assert.deepEqual(['/a/b-c.1', 'http://x:1/?', "it's", 'a b', ''].map(shellQuote), ['/a/b-c.1', `'http://x:1/?'`, `'it'\\''s'`, `'a b'`, `''`]);
});

test('settingsOf() turns flags into settings and names the flag that is wrong', async () => {
  assert.deepEqual(await settingsOf({ apiPort: '7443', registryMirror: ['docker.io=http://a', 'docker.io=http://b'], noProxyFor: '10.0.0.0/8' }), {
    apiPort: 7443,
    registryMirrors: { 'docker.io': ['http://a', 'http://b'] },
    noProxy: '10.0.0.0/8',
  });
  await assert.rejects(settingsOf({ apiPort: '12ab' }), { code: 'invalid', message: /apiPort/ });
  await assert.rejects(settingsOf({ registryMirror: ['docker.io'] }), { code: 'invalid', message: /HOST=URL/ });
  const tls = { dockerListen: ['tcp://0.0.0.0:2376'], dockerTlsCacert: 'ca', dockerTlsCert: 'c', dockerTlsKey: 'k' };
  assert.deepEqual(await settingsOf(tls), { dockerListen: ['tcp://0.0.0.0:2376'], dockerTls: { caCert: 'ca', cert: 'c', key: 'k' } });
  await assert.rejects(settingsOf({ dockerTlsCert: 'c' }), { code: 'invalid', message: /dockerTls/ });
  await assert.rejects(settingsOf({ dockerListen: ['tcp://0.0.0.0:2375'] }), { code: 'invalid', message: /127\.0\.0\.1/ });
});

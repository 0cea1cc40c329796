import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isError } from '../kernel/mod.ts';
import { parseConfig } from './config-file.ts';

test('parseConfig() reads what a user may set', () => {
  const text = 'apiPort: 7443\npodCidr: 10.7.0.0/16\nregistryMirrors:\n  docker.io: [http://mirror.local:5000]\ninsecureRegistries: [localhost:5001]\ndockerListen:\n  - tcp://127.0.0.1:2375\n';
  assert.deepEqual(parseConfig(text, 'config.yaml'), {
    apiPort: 7443,
    podCidr: '10.7.0.0/16',
    registryMirrors: { 'docker.io': ['http://mirror.local:5000'] },
    insecureRegistries: ['localhost:5001'],
    dockerListen: ['tcp://127.0.0.1:2375'],
  });
  const tls = { dockerListen: ['tcp://0.0.0.0:2376', 'tcp://[::]:2376'], dockerTls: { caCert: 'ca', cert: 'c', key: 'k' }, dockerGroup: 'ops' };
  assert.deepEqual(parseConfig(JSON.stringify(tls), 'config.yaml'), tls);
  assert.deepEqual(parseConfig('', 'config.yaml'), {});
  assert.deepEqual(parseConfig('# nothing\n', 'config.yaml'), {});
});

const mistakes: readonly { name: string; text: string; places: { line?: number; column?: number; field?: string }[] }[] = [
  { name: 'an unknown key', text: 'apiPort: 1\napiport: 2\n', places: [{ line: 2, column: 1, field: 'apiport' }] },
  { name: 'a wrong type', text: '\n  apiPort: many\n', places: [{ line: 2, column: 3, field: 'apiPort' }] },
  { name: 'a value out of range', text: 'httpPort: 70000\n', places: [{ line: 1, column: 1, field: 'httpPort' }] },
  { name: 'two mistakes at once', text: 'a: 1\npodCidr: 10.0.0.1/16\n', places: [{ line: 2, column: 1, field: 'podCidr' }, { line: 1, column: 1, field: 'a' }] },
  { name: 'a mistake in a list', text: 'dockerListen:\n  - tcp://127.0.0.1:1\n  - tcp://0.0.0.0:2\n', places: [{ line: 3, column: 5, field: 'dockerListen.1' }] },
  { name: 'TLS with a part missing', text: 'dockerTls:\n  cert: a\n  key: b\n', places: [{ line: 1, column: 1, field: 'dockerTls.caCert' }] },
  { name: 'a mistake in a map', text: 'registryMirrors:\n  docker.io: [ftp://x]\n', places: [{ line: 2, column: 15, field: 'registryMirrors.docker.io.0' }] },
  { name: 'broken YAML', text: 'apiPort: [1\n', places: [{ line: 2, column: 1 }] },
  { name: 'the same key twice', text: 'apiPort: 1\napiPort: 2\n', places: [{ line: 2, column: 1 }] },
  { name: 'a list instead of settings', text: '- a\n', places: [{ line: 1, column: 1, field: '' }] },
];

for (const { name, text, places } of mistakes) {
  test(`parseConfig() names the place of ${name}`, () => {
    assert.throws(
      () => parseConfig(text, 'config.yaml'),
      (error: unknown) => {
        assert.ok(isError(error, 'invalid'));
        assert.deepEqual(error.places.map(({ line, column, field }) => ({ line, column, ...(field === undefined ? {} : { field }) })), places);
        assert.ok(error.places.every(({ file }) => file === 'config.yaml'));
        assert.match(error.message, /^config\.yaml:\d+:\d+: /);
        return true;
      },
    );
  });
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { isError } from '../../kernel/mod.ts';
import { familiarImageReference, formatImageReference, type ImageReference, parseImageReference } from './reference.ts';
import type { Digest } from './types.ts';

const digest = `sha256:${'a1'.repeat(32)}`;

test('parseImageReference() normalises names as every client does', () => {
  const cases: [string, string, string][] = [
    ['node', 'docker.io/library/node:latest', 'node:latest'],
    ['node:24-slim', 'docker.io/library/node:24-slim', 'node:24-slim'],
    ['team/app', 'docker.io/team/app:latest', 'team/app:latest'],
    ['localhost/app', 'localhost/app:latest', 'localhost/app:latest'],
    ['127.0.0.1:5000/shop:v1', '127.0.0.1:5000/shop:v1', '127.0.0.1:5000/shop:v1'],
    ['[::1]:5000/a/b', '[::1]:5000/a/b:latest', '[::1]:5000/a/b:latest'],
    [`registry.example.org/x@${digest}`, `registry.example.org/x@${digest}`, `registry.example.org/x@${digest}`],
    [`x:v1@${digest}`, `docker.io/library/x:v1@${digest}`, `x:v1@${digest}`],
    ['a__b/c-d.e', 'docker.io/a__b/c-d.e:latest', 'a__b/c-d.e:latest'],
    ['docker.io/node', 'docker.io/library/node:latest', 'node:latest'],
    ['index.docker.io/team/app:1', 'docker.io/team/app:1', 'team/app:1'],
    ['library/a/b', 'docker.io/library/a/b:latest', 'library/a/b:latest'],
    ['docker.io/localhost/x', 'docker.io/localhost/x:latest', 'docker.io/localhost/x:latest'],
  ];
  for (const [text, full, familiar] of cases) {
    const reference = parseImageReference(text);
    assert.deepEqual([formatImageReference(reference), familiarImageReference(reference)], [full, familiar], text);
  }
});

test('parseImageReference() refuses what no registry would take', () => {
  for (const text of ['', 'Upper', 'a//b', '-a', 'a:', 'a:b/', 'a@sha256:12', 'a@md5:00', ':tag', 'host:port/x', 'a b', `x:${'t'.repeat(129)}`, '../x', 'x/../y', 'docker.io/', '1027.0.0.1/x', 'a.b:99999/x', '[1::2::3]/x', 'f'.repeat(64), `x@${digest.toUpperCase()}`]) {
    assert.throws(() => parseImageReference(text), (error) => isError(error, 'invalid'), text);
  }
});

const alphanumeric = fc.stringMatching(/^[a-z0-9]{1,8}$/);
const component = fc.array(fc.tuple(alphanumeric, fc.constantFrom('.', '_', '__', '-', '---')), { minLength: 1, maxLength: 3 }).map((parts) => parts.map(([word, separator], at) => (at === parts.length - 1 ? word : `${word}${separator}`)).join(''));
const host = fc.oneof(
  fc.constantFrom('docker.io', 'localhost', 'LOCAL', '[::1]:5000', '127.0.0.1:5000', 'registry.example', 'index.example:443'),
  fc.tuple(alphanumeric, alphanumeric, fc.integer({ min: 1, max: 65_535 })).map(([a, b, port]) => `${a}.${b}.test:${port}`),
);
const reference: fc.Arbitrary<ImageReference> = fc
  .record({
    host,
    path: fc.array(component, { minLength: 1, maxLength: 4 }),
    tag: fc.option(fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}$/), { nil: undefined }),
    digest: fc.option(fc.stringMatching(/^[0-9a-f]{64}$/), { nil: undefined }),
  })
  .map(({ host: name, path, tag, digest: hex }) => ({
    host: name,
    repository: name === 'docker.io' && path.length === 1 ? `library/${path[0] ?? ''}` : path.join('/'),
    ...(tag === undefined && hex === undefined ? { tag: 'latest' } : tag === undefined ? {} : { tag }),
    ...(hex === undefined ? {} : { digest: `sha256:${hex}` as Digest }),
  }));

test('references keep their meaning in full and in familiar form', () => {
  fc.assert(fc.property(reference, (value) => {
    assert.deepEqual(parseImageReference(formatImageReference(value)), value);
    assert.deepEqual(parseImageReference(familiarImageReference(value)), value);
  }), { numRuns: 500, seed: 1 });
});

test('parseImageReference() either refuses a text or gives a name that is safe in a URL and stays what it is', () => {
  const odd = fc.stringMatching(/^[a-zA-Z0-9.:/@_\-[\]% ]{0,60}$/);
  const nearly = fc.tuple(reference, odd, fc.nat(80)).map(([value, extra, at]) => {
    const text = formatImageReference(value);
    return `${text.slice(0, at)}${extra.slice(0, 2)}${text.slice(at)}`;
  });
  fc.assert(fc.property(fc.oneof(odd, nearly, fc.string({ unit: 'binary', maxLength: 40 })), (text) => {
    let parsed: ImageReference;
    try {
      parsed = parseImageReference(text);
    } catch (error) {
      assert.ok(isError(error, 'invalid'), String(error));
      return;
    }
    assert.deepEqual(parseImageReference(formatImageReference(parsed)), parsed);
    assert.deepEqual(parseImageReference(familiarImageReference(parsed)), parsed);
    const url = new URL(`https://${parsed.host}/v2/${parsed.repository}/manifests/${parsed.digest ?? parsed.tag ?? ''}`);
    assert.equal(url.pathname, `/v2/${parsed.repository}/manifests/${parsed.digest ?? parsed.tag ?? ''}`);
    assert.equal(url.search + url.hash + url.username, '');
  }), { numRuns: 2000, seed: 1 });
});

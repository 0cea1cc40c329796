import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isError } from '../../kernel/mod.ts';
import { familiarImageReference, formatImageReference, parseImageReference } from './reference.ts';

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
  ];
  for (const [text, full, familiar] of cases) {
    const reference = parseImageReference(text);
    assert.deepEqual([formatImageReference(reference), familiarImageReference(reference)], [full, familiar], text);
  }
});

test('parseImageReference() refuses what no registry would take', () => {
  for (const text of ['', 'Upper', 'a//b', '-a', 'a:', 'a:b/', 'a@sha256:12', 'a@md5:00', ':tag', 'host:port/x', 'a b', `x:${'t'.repeat(129)}`, '../x', 'x/../y']) {
    assert.throws(() => parseImageReference(text), (error) => isError(error, 'invalid'), text);
  }
});

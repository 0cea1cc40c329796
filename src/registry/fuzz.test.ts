import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { isError } from '../kernel/mod.ts';
import { parseChallenges } from './client/challenge.ts';
import { globMatches } from './globs.ts';
import { parseContentRange, parseRange } from './server/ranges.ts';
import { parseRoute } from './server/routes.ts';
import { parseScopes, registryVerbs } from './server/scopes.ts';
import { openTestRegistry } from './testing/test-registry.ts';

/** Text that is likely to get past the first check of a parser. */
const near = (...parts: string[]): fc.Arbitrary<string> => fc.array(fc.oneof(fc.constantFrom(...parts), fc.string({ maxLength: 6 })), { maxLength: 12 }).map((found) => found.join(''));

/** Runs the parser; it may only refuse with an error of the protocol. */
function orRefused<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    assert.ok(isError(error, 'invalid'), String(error));
    assert.ok(typeof error.details['registryCode'] === 'string');
    return undefined;
  }
}

test('parseRange() answers a range within the content, or none', () => {
  fc.assert(fc.property(near('bytes=', '-', '0', '9', '99999999999999999999', ',', ' '), fc.nat({ max: 1000 }), (header, size) => {
    const range = parseRange(header, size);
    if (range === undefined || range === 'unsatisfiable') return;
    assert.ok(range.start >= 0 && range.start < range.end && range.end <= size, JSON.stringify({ header, size, range }));
  }), { numRuns: 2000 });
});

test('parseContentRange() answers a range, or BLOB_UPLOAD_INVALID', () => {
  fc.assert(fc.property(near('bytes ', '-', '/', '*', '0', '7', '123456789012345'), (header) => {
    const range = orRefused(() => parseContentRange(header));
    if (range !== undefined) assert.ok(Number.isSafeInteger(range.start) && range.start < range.end);
  }), { numRuns: 2000 });
});

test('parseRoute() never lets a name out of its folder', () => {
  fc.assert(fc.property(near('/v2/', '/', '..', '.', '_', 'a', 'B', 'blobs/', 'uploads/', 'manifests/', 'tags/list', 'referrers/', 'sha256:', 'f'.repeat(64), '\0', '%2e'), (path) => {
    const route = orRefused(() => parseRoute(path));
    if (route === undefined || !('repository' in route)) return;
    assert.match(route.repository, /^[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*$/);
    if (route.kind === 'manifest') assert.ok('tag' in route.reference ? /^[\w][\w.-]{0,127}$/.test(route.reference.tag) : /^sha(256|512):[0-9a-f]+$/.test(route.reference.digest));
  }), { numRuns: 3000 });
});

test('parseScopes() gives no more than was asked, for any text', () => {
  fc.assert(fc.property(fc.array(near('repository', ':', 'a/b', 'pull', 'push', ',', '*', ' ', '(x)'), { maxLength: 3 }), (parameters) => {
    for (const { repository, verbs } of parseScopes(parameters)) {
      assert.ok(repository !== '' && verbs.every((verb) => registryVerbs.includes(verb)));
      for (const verb of verbs) assert.ok(parameters.some((text) => text.includes(verb) || text.includes('*')));
    }
  }), { numRuns: 2000 });
});

test('parseChallenges() and globMatches() end for any text', () => {
  fc.assert(fc.property(near('Bearer ', 'Basic', 'realm=', '"', '\\', ',', ' ', '='), (header) => {
    for (const { scheme } of parseChallenges(header)) assert.equal(scheme, scheme.toLowerCase());
  }), { numRuns: 2000 });
  fc.assert(fc.property(near('*', '**', '**/', '?', 'a', '/'), near('a', 'b', '/'), (pattern, name) => typeof globMatches(pattern, name) === 'boolean'), { numRuns: 1000 });
});

test('a registry answers whatever is sent to it, and goes on', async () => {
  await using registry = await openTestRegistry();
  const { port } = new URL(registry.url);
  const ask = (text: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect(Number(port), '127.0.0.1', () => socket.end(text, 'latin1'));
      let answer = '';
      socket.setEncoding('latin1').on('data', (chunk) => (answer += String(chunk))).on('error', reject).on('close', () => resolve(answer));
    });
  const path = near('/v2/', 'app/', 'blobs/', 'uploads/', 'manifests/', 'tags/list', '?', 'n=', 'digest=', 'mount=', 'from=', 'sha256:', 'x', '%', '%00', '&', '//', '..').map((text) => text.replaceAll(/[^\x21-\x7e]/g, ''));
  await fc.assert(fc.asyncProperty(fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'), path, near('{', '}', '"', '[', 'schemaVersion', ':2').map((body) => body.replaceAll(/[^\x20-\x7e]/g, '')), async (method, target, body) => {
    const answer = await ask(`${method} /${target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/vnd.oci.image.manifest.v1+json\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1]);
    assert.ok(status >= 200 && status < 500, `${method} /${target} ${body}: ${answer.slice(0, 200)}`);
  }), { numRuns: 300 });
  assert.equal((await fetch(`${registry.url}/v2/`)).status, 200);
});

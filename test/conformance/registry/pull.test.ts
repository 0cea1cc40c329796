import assert from 'node:assert/strict';
import { mediaTypes } from '../../../src/api/mod.ts';
import { digestOf } from './requests.ts';
import { testRules } from './suite.ts';

testRules([
  {
    section: 'end-1',
    what: 'GET /v2/ is 200 on a registry that implements the specification',
    check: async (repository) => assert.equal((await repository.send('GET', '/v2/')).status, 200),
  },
  {
    section: 'Pulling manifests',
    what: 'GET by tag and by digest answers the very bytes, their type without parameters, and their digest',
    check: async (repository) => {
      const { body, digest } = await repository.pushImage('v1');
      for (const reference of ['v1', digest]) {
        const { status, text, headers } = await repository.send('GET', `manifests/${reference}`);
        assert.deepEqual([status, text, headers.get('content-type'), headers.get('docker-content-digest')], [200, body, mediaTypes.ociManifest, digest]);
      }
    },
  },
  {
    section: 'Pulling manifests',
    what: 'an unknown tag, digest or repository is 404 MANIFEST_UNKNOWN',
    check: async (repository, other) => {
      await repository.pushImage('v1');
      const answers = [await repository.send('GET', 'manifests/v2'), await repository.send('GET', `manifests/${digestOf('x')}`), await other.send('GET', 'manifests/v1')];
      for (const { status, code } of answers) assert.deepEqual([status, code], [404, 'MANIFEST_UNKNOWN']);
    },
  },
  {
    section: 'Pulling manifests',
    what: 'a reference is a tag of at most 128 characters or a digest, nothing else',
    check: async (repository) => {
      assert.equal((await repository.send('GET', `manifests/${'a'.repeat(128)}`)).status, 404);
      for (const [reference, code] of [['a'.repeat(129), 'TAG_INVALID'], ['.hidden', 'TAG_INVALID'], ['-x', 'TAG_INVALID'], ['sha256:abc', 'DIGEST_INVALID'], ['md5:00', 'DIGEST_INVALID']] as const) {
        const answer = await repository.send('GET', `manifests/${reference}`);
        assert.deepEqual([answer.status, answer.code], [400, code], reference);
      }
    },
  },
  {
    section: 'Pulling manifests',
    what: 'names match the grammar of the specification',
    check: async (repository) => {
      for (const name of ['a', 'a/b/c', 'a.b', 'a_b', 'a__b', 'a---b', '0']) assert.equal((await repository.send('GET', `/v2/${name}/tags/list`)).code, 'NAME_UNKNOWN', name);
      for (const name of ['A', 'a..b', 'a___b', '-a', 'a-', 'a/', 'a//b', 'ä']) assert.equal((await repository.send('GET', `/v2/${name}/tags/list`)).code, 'NAME_INVALID', name);
    },
  },
  {
    section: 'Pulling blobs',
    what: 'GET answers the bytes and their digest; a blob of another repository is 404 BLOB_UNKNOWN',
    check: async (repository, other) => {
      const { digest } = await repository.pushBlob('content');
      const { status, text, headers } = await repository.send('GET', `blobs/${digest}`);
      assert.deepEqual([status, text, headers.get('docker-content-digest')], [200, 'content', digest]);
      const elsewhere = await other.send('GET', `blobs/${digest}`);
      assert.deepEqual([elsewhere.status, elsewhere.code], [404, 'BLOB_UNKNOWN']);
    },
  },
  {
    section: 'Pulling blobs',
    what: 'Range is honoured as RFC 9110 section 14 describes',
    check: async (repository) => {
      const { digest } = await repository.pushBlob('0123456789');
      const ranges: [range: string, status: number, text: string][] = [
        ['bytes=2-4', 206, '234'], ['bytes=7-', 206, '789'], ['bytes=-2', 206, '89'], ['bytes=8-100', 206, '89'], ['bytes=-100', 206, '0123456789'],
        ['bytes=5-1', 200, '0123456789'], ['items=0-1', 200, '0123456789'],
      ];
      for (const [range, status, text] of ranges) {
        const answer = await repository.send('GET', `blobs/${digest}`, { range });
        assert.deepEqual([answer.status, answer.text], [status, text], range);
      }
      for (const range of ['bytes=10-', 'bytes=-0']) {
        const { status, headers } = await repository.send('GET', `blobs/${digest}`, { range });
        assert.deepEqual([status, headers.get('content-range')], [416, 'bytes */10'], range);
      }
    },
  },
  {
    section: 'Checking if content exists in the registry',
    what: 'HEAD answers digest and length without a body, or 404',
    check: async (repository) => {
      const { digest, body, layer } = await repository.pushImage('v1');
      for (const [path, wanted, size] of [['manifests/v1', digest, body.length], [`manifests/${digest}`, digest, body.length], [`blobs/${layer.digest}`, layer.digest, layer.size]] as const) {
        const { status, headers, text } = await repository.send('HEAD', path);
        assert.deepEqual([status, headers.get('docker-content-digest'), headers.get('content-length'), text], [200, wanted, String(size), ''], path);
      }
      for (const path of ['manifests/v2', `blobs/${digestOf('x')}`]) assert.equal((await repository.send('HEAD', path)).status, 404, path);
    },
  },
]);

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { digestOf, type RepositoryRequests } from './requests.ts';
import { testRules } from './suite.ts';

const octets = { 'content-type': 'application/octet-stream' };

async function assertBlob(repository: RepositoryRequests, digest: string, content: Uint8Array | string): Promise<void> {
  const { status, text } = await repository.send('HEAD', `blobs/${digest}`);
  assert.deepEqual([status, text], [200, '']);
  assert.equal((await repository.send('GET', `blobs/${digest}`)).text, content.toString());
}

testRules([
  {
    section: 'POST then PUT',
    what: 'the session is a Location of 202, the blob that of 201',
    check: async (repository) => {
      const session = await repository.beginUpload();
      const digest = digestOf('whole');
      const { status, headers } = await repository.send('PUT', `${session}?digest=${digest}`, octets, 'whole');
      assert.deepEqual([status, headers.get('docker-content-digest')], [201, digest]);
      assert.equal((await repository.send('GET', headers.get('location') ?? '')).text, 'whole');
    },
  },
  {
    section: 'Single POST',
    what: 'a POST with digest stores the blob',
    check: async (repository) => {
      const digest = digestOf('single');
      const { status, headers } = await repository.send('POST', `blobs/uploads/?digest=${digest}`, octets, 'single');
      assert.deepEqual([status, headers.get('location')], [201, `/v2/${repository.name}/blobs/${digest}`]);
      await assertBlob(repository, digest, 'single');
    },
  },
  {
    section: 'Pushing blobs',
    what: 'content of another digest, a malformed digest and an unsupported algorithm are 400 DIGEST_INVALID; nothing is stored',
    check: async (repository) => {
      const digest = digestOf('said');
      for (const [asked, what] of [[digest, 'other content'], ['sha256:12', 'malformed'], [`blake3:${'0'.repeat(64)}`, 'algorithm'], ['', 'none']] as const) {
        const put = await repository.send('PUT', `${await repository.beginUpload()}?digest=${asked}`, octets, 'sent');
        assert.deepEqual([put.status, put.code], [400, 'DIGEST_INVALID'], what);
      }
      assert.equal((await repository.send('PUT', await repository.beginUpload(), octets, 'sent')).code, 'DIGEST_INVALID');
      assert.equal((await repository.send('POST', `blobs/uploads/?digest=${digest}`, octets, 'sent')).code, 'DIGEST_INVALID');
      assert.equal((await repository.send('HEAD', `blobs/${digest}`)).status, 404);
    },
  },
  {
    section: 'Pushing a blob in chunks',
    what: 'chunks follow one another; each answer has Location and the range so far',
    check: async (repository) => {
      const content = randomBytes(3000).toString('hex');
      let session = await repository.beginUpload();
      for (const [start, end] of [[0, 1999], [2000, 3999]] as const) {
        const { status, headers } = await repository.send('PATCH', session, { ...octets, 'content-range': `${start}-${end}` }, content.slice(start, end + 1));
        assert.deepEqual([status, headers.get('range')], [202, `0-${end}`]);
        session = headers.get('location') ?? '';
      }
      const digest = digestOf(content);
      const closed = await repository.send('PUT', `${session}?digest=${digest}`, { ...octets, 'content-range': `4000-${content.length - 1}` }, content.slice(4000));
      assert.equal(closed.status, 201);
      await assertBlob(repository, digest, content);
    },
  },
  {
    section: 'Pushing a blob in chunks',
    what: 'a PATCH without Content-Range streams to the end; the PUT may be empty',
    check: async (repository) => {
      const session = await repository.beginUpload();
      assert.equal((await repository.send('PATCH', session, octets, 'stream')).headers.get('range'), '0-5');
      assert.equal((await repository.send('PATCH', session, octets, 'ed')).headers.get('range'), '0-7');
      assert.equal((await repository.send('PUT', `${session}?digest=${digestOf('streamed')}`)).status, 201);
      await assertBlob(repository, digestOf('streamed'), 'streamed');
    },
  },
  {
    section: 'Pushing a blob in chunks',
    what: 'a chunk out of order is 416, also the closing one; GET tells where to go on',
    check: async (repository) => {
      const session = await repository.beginUpload();
      const early = await repository.send('PATCH', session, { ...octets, 'content-range': '3-5' }, 'def');
      assert.equal(early.status, 416);
      await repository.send('PATCH', session, { ...octets, 'content-range': '0-2' }, 'abc');
      for (const [method, path, range] of [['PATCH', session, '0-2'], ['PATCH', session, '4-6'], ['PUT', `${session}?digest=${digestOf('abcdef')}`, '4-6']] as const) {
        assert.equal((await repository.send(method, path, { ...octets, 'content-range': range }, 'xyz')).status, 416, `${method} ${range}`);
      }
      const state = await repository.send('GET', session);
      assert.deepEqual([state.status, state.headers.get('range'), state.headers.get('location')], [204, '0-2', session]);
      assert.equal((await repository.send('PUT', `${session}?digest=${digestOf('abcdef')}`, { ...octets, 'content-range': '3-5' }, 'def')).status, 201);
    },
  },
  {
    section: 'Pushing a blob in chunks',
    what: 'a Content-Range that is none, or that is longer than the chunk, changes nothing',
    check: async (repository) => {
      const session = await repository.beginUpload();
      assert.deepEqual(await codes(repository, session, '2-1', 'abc'), [400, 'BLOB_UPLOAD_INVALID']);
      assert.deepEqual(await codes(repository, session, 'first', 'abc'), [400, 'BLOB_UPLOAD_INVALID']);
      assert.deepEqual(await codes(repository, session, '0-9', 'abc'), [416, 'BLOB_UPLOAD_INVALID']);
      assert.equal((await repository.send('PUT', `${session}?digest=${digestOf('')}`)).status, 201);
    },
  },
  {
    section: 'end-4c',
    what: 'digest-algorithm says which digest the closing PUT will have; an unknown one is 400',
    check: async (repository) => {
      const digest = digestOf('long', 'sha512');
      const session = await repository.beginUpload('?digest-algorithm=sha512');
      await repository.send('PATCH', session, octets, 'long');
      assert.equal((await repository.send('PUT', `${session}?digest=${digest}`)).status, 201);
      await assertBlob(repository, digest, 'long');
      const unknown = await repository.send('POST', 'blobs/uploads/?digest-algorithm=md5');
      assert.deepEqual([unknown.status, unknown.code], [400, 'DIGEST_INVALID']);
    },
  },
  {
    section: 'Cancel a blob upload',
    what: 'DELETE of a session is 204; afterwards it is 404 BLOB_UPLOAD_UNKNOWN to all',
    check: async (repository) => {
      const session = await repository.beginUpload();
      await repository.send('PATCH', session, octets, 'part');
      assert.equal((await repository.send('DELETE', session)).status, 204);
      for (const method of ['GET', 'PATCH', 'DELETE']) {
        const answer = await repository.send(method, session, {}, method === 'PATCH' ? 'x' : undefined);
        assert.deepEqual([answer.status, answer.code], [404, 'BLOB_UPLOAD_UNKNOWN'], method);
      }
      assert.equal((await repository.send('PUT', `${session}?digest=${digestOf('part')}`)).code, 'BLOB_UPLOAD_UNKNOWN');
    },
  },
  {
    section: 'Mounting a blob from another repository',
    what: 'with `from` it is 201 and there; what cannot be mounted is 202 with a session',
    check: async (repository, other) => {
      const { digest } = await other.pushBlob('shared');
      const mounted = await repository.send('POST', `blobs/uploads/?mount=${digest}&from=${other.name}`);
      assert.deepEqual([mounted.status, mounted.headers.get('location')], [201, `/v2/${repository.name}/blobs/${digest}`]);
      await assertBlob(repository, digest, 'shared');
      for (const query of [`mount=${digestOf('none')}&from=${other.name}`, `mount=${digest}&from=rules/nobody`, `mount=${digestOf('none')}`]) {
        const session = await repository.beginUpload(`?${query}`);
        assert.equal((await repository.send('PUT', `${session}?digest=${digestOf('sent')}`, octets, 'sent')).status, 201, query);
      }
    },
  },
  {
    section: 'Mounting a blob from another repository',
    what: 'without `from` the blob is taken from any repository that has it',
    check: async (repository, other) => {
      const { digest } = await other.pushBlob('anywhere');
      assert.equal((await repository.send('POST', `blobs/uploads/?mount=${digest}`)).status, 201);
      await assertBlob(repository, digest, 'anywhere');
    },
  },
]);

async function codes(repository: RepositoryRequests, session: string, range: string, body: string): Promise<[number, string]> {
  const { status, code } = await repository.send('PATCH', session, { ...octets, 'content-range': range }, body);
  return [status, code];
}

import assert from 'node:assert/strict';
import { mediaTypes } from '../../../src/api/mod.ts';
import { digestOf } from './requests.ts';
import { testRules } from './suite.ts';

const empty = { mediaType: 'application/vnd.oci.empty.v1+json', content: '{}' };

testRules([
  {
    section: 'Pushing Manifests',
    what: 'PUT by tag and by digest is 201 with a Location from which the bytes can be pulled',
    check: async (repository) => {
      const { body, digest } = await repository.pushImage('v1');
      for (const reference of ['v2', digest]) {
        const { status, headers } = await repository.send('PUT', `manifests/${reference}`, { 'content-type': mediaTypes.ociManifest }, body);
        assert.deepEqual([status, headers.get('docker-content-digest')], [201, digest]);
        assert.equal((await repository.send('GET', headers.get('location') ?? '')).text, body);
      }
    },
  },
  {
    section: 'Pushing Manifests',
    what: 'parameters of the Content-Type are ignored; without one the document says what it is',
    check: async (repository) => {
      const { body } = await repository.pushImage('v1');
      for (const headers of [{ 'content-type': `${mediaTypes.ociManifest}; charset=utf-8` }, {}] as Record<string, string>[]) {
        assert.equal((await repository.send('PUT', 'manifests/v2', headers, Buffer.from(body))).status, 201);
        assert.equal((await repository.send('HEAD', 'manifests/v2')).headers.get('content-type'), mediaTypes.ociManifest);
      }
    },
  },
  {
    section: 'Pushing Manifests',
    what: 'a manifest whose mediaType differs from the Content-Type, that is no JSON, or of an unknown type is MANIFEST_INVALID',
    check: async (repository) => {
      const { body } = await repository.pushImage('v1');
      for (const [type, content] of [[mediaTypes.dockerManifest, body], [mediaTypes.ociManifest, '{'], [mediaTypes.ociManifest, '[]'], ['application/json', body], ['text/plain', 'x']] as const) {
        const answer = await repository.send('PUT', 'manifests/v2', { 'content-type': type }, content);
        assert.deepEqual([answer.status, answer.code], [400, 'MANIFEST_INVALID'], type);
      }
    },
  },
  {
    section: 'Pushing Manifests',
    what: 'Docker schema 2 and manifest lists are stored; schema 1 is refused',
    check: async (repository) => {
      const config = await repository.pushBlob('{}', mediaTypes.dockerConfig);
      const layer = await repository.pushBlob('layer', mediaTypes.dockerLayerGzip);
      const image = await repository.pushManifest('one', mediaTypes.dockerManifest, JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.dockerManifest, config, layers: [layer] }));
      const list = JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.dockerManifestList, manifests: [{ ...image, platform: { architecture: 'amd64', os: 'linux' } }] });
      await repository.pushManifest('all', mediaTypes.dockerManifestList, list);
      assert.equal((await repository.send('GET', 'manifests/all')).headers.get('content-type'), mediaTypes.dockerManifestList);
      for (const type of ['application/vnd.docker.distribution.manifest.v1+json', 'application/vnd.docker.distribution.manifest.v1+prettyjws']) {
        const answer = await repository.send('PUT', 'manifests/old', { 'content-type': type }, '{"schemaVersion":1,"name":"x","tag":"old","fsLayers":[],"history":[]}');
        assert.deepEqual([answer.status, answer.code], [400, 'MANIFEST_INVALID']);
      }
    },
  },
  {
    section: 'code-5',
    what: 'a manifest or index that names what the repository does not have is MANIFEST_BLOB_UNKNOWN with every missing digest; the tag stays as it was',
    check: async (repository, other) => {
      const { digest, config, layer } = await repository.pushImage('v1');
      const elsewhere = await other.pushImage('v1');
      const absent = { ...layer, digest: digestOf('absent') };
      const manifest = JSON.stringify({ schemaVersion: 2, config, layers: [layer, absent, { ...layer, digest: digestOf('absent too') }] });
      const answer = await repository.send('PUT', 'manifests/v1', { 'content-type': mediaTypes.ociManifest }, manifest);
      const { errors } = JSON.parse(answer.text) as { errors: { code: string; detail: { digest: string }[] }[] };
      assert.deepEqual([answer.status, errors.map(({ code, detail }) => [code, detail.map((entry) => entry.digest)])], [404, [['MANIFEST_BLOB_UNKNOWN', [absent.digest, digestOf('absent too')]]]]);
      const { mediaType, size } = elsewhere;
      const index = await repository.send('PUT', 'manifests/v1', { 'content-type': mediaTypes.ociIndex }, JSON.stringify({ schemaVersion: 2, manifests: [{ mediaType, size, digest: digestOf('absent') }] }));
      assert.equal(index.code, 'MANIFEST_BLOB_UNKNOWN');
      assert.equal((await repository.send('HEAD', 'manifests/v1')).headers.get('docker-content-digest'), digest);
    },
  },
  {
    section: 'code-10',
    what: 'a descriptor with another size than the blob has is SIZE_INVALID',
    check: async (repository) => {
      const { config, layer } = await repository.pushImage('v1');
      const answer = await repository.send('PUT', 'manifests/v2', { 'content-type': mediaTypes.ociManifest }, JSON.stringify({ schemaVersion: 2, config, layers: [{ ...layer, size: layer.size + 1 }] }));
      assert.deepEqual([answer.status, answer.code], [400, 'SIZE_INVALID']);
    },
  },
  {
    section: 'Pushing Manifests',
    what: 'layers that live elsewhere (urls) need not be pushed; an artifact may have no layers',
    check: async (repository) => {
      const config = await repository.pushBlob(empty.content, empty.mediaType);
      const foreign = { mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar', digest: digestOf('foreign'), size: 7, urls: ['https://layers.example/7'] };
      await repository.pushManifest('foreign', mediaTypes.ociManifest, JSON.stringify({ schemaVersion: 2, config, layers: [foreign] }));
      await repository.pushManifest('bare', mediaTypes.ociManifest, JSON.stringify({ schemaVersion: 2, artifactType: 'application/x.example', config, layers: [] }));
    },
  },
  {
    section: 'Pushing Manifests',
    what: 'an index may list indexes and unknown fields stay as they were sent',
    check: async (repository) => {
      const { mediaType, digest, size } = await repository.pushImage('v1', { 'org.example.new': [1] });
      assert.ok((await repository.send('GET', 'manifests/v1')).text.includes('org.example.new'));
      const inner = await repository.pushManifest('inner', mediaTypes.ociIndex, JSON.stringify({ schemaVersion: 2, manifests: [{ mediaType, digest, size }] }));
      await repository.pushManifest('outer', mediaTypes.ociIndex, JSON.stringify({ schemaVersion: 2, manifests: [inner] }));
    },
  },
  {
    section: 'Pushing Manifests',
    what: 'a body of 4 megabytes is taken, a larger one is 413',
    check: async (repository) => {
      const config = await repository.pushBlob(empty.content, empty.mediaType);
      const ofSize = (bytes: number): string => {
        const document = (padding: number): string => JSON.stringify({ schemaVersion: 2, config, layers: [], annotations: { a: 'x'.repeat(padding) } });
        return document(bytes - document(0).length);
      };
      await repository.pushManifest('large', mediaTypes.ociManifest, ofSize(4 << 20));
      const answer = await repository.send('PUT', 'manifests/larger', { 'content-type': mediaTypes.ociManifest }, ofSize((4 << 20) + 1));
      assert.deepEqual([answer.status, answer.code], [413, 'SIZE_INVALID']);
    },
  },
  {
    section: 'end-7b',
    what: 'a push by digest with tag parameters makes the tags and says so in OCI-Tag',
    check: async (repository) => {
      const { body, digest } = await repository.pushImage('v1');
      const { status, headers } = await repository.send('PUT', `manifests/${digest}?tag=1&tag=1.2&tag=1`, { 'content-type': mediaTypes.ociManifest }, body);
      assert.deepEqual([status, headers.get('oci-tag')], [201, '1, 1.2']);
      assert.equal((await repository.send('HEAD', 'manifests/1.2')).headers.get('docker-content-digest'), digest);
      assert.equal((await repository.send('PUT', `manifests/${digest}?tag=-`, { 'content-type': mediaTypes.ociManifest }, body)).code, 'TAG_INVALID');
    },
  },
  {
    section: 'Pushing Manifests with Subject',
    what: 'a subject that is not there is accepted, and OCI-Subject names it',
    check: async (repository) => {
      const config = await repository.pushBlob(empty.content, empty.mediaType);
      const subject = { mediaType: mediaTypes.ociManifest, digest: digestOf('later'), size: 5 };
      const { status, headers } = await repository.send('PUT', 'manifests/s', { 'content-type': mediaTypes.ociManifest }, JSON.stringify({ schemaVersion: 2, artifactType: 'application/x.example', config, layers: [config], subject }));
      assert.deepEqual([status, headers.get('oci-subject')], [201, subject.digest]);
    },
  },
  {
    section: 'Pushing Manifests',
    what: 'a manifest can be pushed and pulled by its sha512',
    check: async (repository) => {
      const config = await repository.pushBlob(empty.content, empty.mediaType, 'sha512');
      const body = JSON.stringify({ schemaVersion: 2, artifactType: 'application/x.example', config, layers: [config] });
      const digest = digestOf(body, 'sha512');
      const { status, headers } = await repository.send('PUT', `manifests/${digest}`, { 'content-type': mediaTypes.ociManifest }, body);
      assert.deepEqual([status, headers.get('docker-content-digest')], [201, digest]);
      assert.equal((await repository.send('GET', `manifests/${digest}`)).text, body);
      assert.equal((await repository.send('PUT', `manifests/${digestOf('x', 'sha512')}`, { 'content-type': mediaTypes.ociManifest }, body)).code, 'DIGEST_INVALID');
    },
  },
]);

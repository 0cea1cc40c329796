import assert from 'node:assert/strict';
import { mediaTypes } from '../../../src/api/mod.ts';
import { type Answer, digestOf, type RepositoryRequests } from './requests.ts';
import { testRules } from './suite.ts';

const tagsOf = ({ text }: Answer): string[] => (JSON.parse(text) as { tags: string[] }).tags;
const nextOf = ({ headers }: Answer): string | undefined => /^<([^>]+)>; rel="next"$/.exec(headers.get('link') ?? '')?.[1];

async function pushReferrer(repository: RepositoryRequests, subject: string, extra: object): Promise<string> {
  const config = await repository.pushBlob('{}', 'application/vnd.oci.empty.v1+json');
  const body = JSON.stringify({ schemaVersion: 2, config, layers: [config], subject: { mediaType: mediaTypes.ociManifest, digest: subject, size: 2 }, ...extra });
  return (await repository.pushManifest(digestOf(body), mediaTypes.ociManifest, body)).digest;
}

async function referrersOf(repository: RepositoryRequests, digest: string, query = ''): Promise<{ answer: Answer; manifests: { digest: string; artifactType?: string; annotations?: object; size: number }[] }> {
  const answer = await repository.send('GET', `referrers/${digest}${query}`);
  return { answer, manifests: (JSON.parse(answer.text) as { manifests: [] }).manifests };
}

testRules([
  {
    section: 'Listing Tags',
    what: 'all tags in ASCII order under the name of the repository',
    check: async (repository) => {
      for (const tag of ['b', 'a', 'B', '10', '9']) await repository.pushImage(tag);
      assert.deepEqual(JSON.parse((await repository.send('GET', 'tags/list')).text), { name: repository.name, tags: ['10', '9', 'B', 'a', 'b'] });
    },
  },
  {
    section: 'Listing Tags',
    what: '`n` and `last` page through; Link leads to the next page and is absent at the end and when n is 0',
    check: async (repository) => {
      for (const tag of ['a', 'b', 'c', 'd']) await repository.pushImage(tag);
      const first = await repository.send('GET', 'tags/list?n=3');
      const second = await repository.send('GET', nextOf(first) ?? '');
      assert.deepEqual([tagsOf(first), tagsOf(second), nextOf(second)], [['a', 'b', 'c'], ['d'], undefined]);
      assert.deepEqual(tagsOf(await repository.send('GET', 'tags/list?n=2&last=b')), ['c', 'd']);
      assert.deepEqual(tagsOf(await repository.send('GET', 'tags/list?last=bb')), ['c', 'd']);
      const none = await repository.send('GET', 'tags/list?n=0');
      assert.deepEqual([tagsOf(none), nextOf(none)], [[], undefined]);
    },
  },
  {
    section: 'code-9',
    what: 'the tags of an unknown repository are 404 NAME_UNKNOWN; without tags the list is empty',
    check: async (repository, other) => {
      const { status, code } = await repository.send('GET', 'tags/list');
      assert.deepEqual([status, code], [404, 'NAME_UNKNOWN']);
      await other.pushBlob('x');
      assert.deepEqual(tagsOf(await other.send('GET', 'tags/list')), []);
    },
  },
  {
    section: 'Listing Referrers',
    what: 'an index of the manifests whose subject it is, with artifact types and annotations',
    check: async (repository) => {
      const { digest } = await repository.pushImage('v1');
      const annotated = await pushReferrer(repository, digest, { artifactType: 'application/x.sbom', annotations: { format: 'json' } });
      const typedByConfig = await pushReferrer(repository, digest, {});
      const index = JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [], subject: { mediaType: mediaTypes.ociManifest, digest, size: 2 } });
      const untyped = await repository.pushManifest(digestOf(index), mediaTypes.ociIndex, index);
      const { answer, manifests } = await referrersOf(repository, digest);
      assert.deepEqual([answer.status, answer.headers.get('content-type'), answer.headers.get('oci-filters-applied')], [200, mediaTypes.ociIndex, null]);
      const found = new Map(manifests.map((descriptor) => [descriptor.digest, descriptor]));
      assert.deepEqual([...found.keys()].toSorted(), [annotated, typedByConfig, untyped.digest].toSorted());
      assert.deepEqual([found.get(annotated)?.artifactType, found.get(annotated)?.annotations], ['application/x.sbom', { format: 'json' }]);
      assert.equal(found.get(typedByConfig)?.artifactType, 'application/vnd.oci.empty.v1+json');
      assert.deepEqual(found.get(untyped.digest), untyped);
    },
  },
  {
    section: 'Listing Referrers',
    what: 'a filter on artifactType is applied and said to be',
    check: async (repository) => {
      const { digest } = await repository.pushImage('v1');
      const wanted = await pushReferrer(repository, digest, { artifactType: 'application/x.a' });
      await pushReferrer(repository, digest, { artifactType: 'application/x.b' });
      const { answer, manifests } = await referrersOf(repository, digest, '?artifactType=application/x.a');
      assert.deepEqual([answer.headers.get('oci-filters-applied'), manifests.map((descriptor) => descriptor.digest)], ['artifactType', [wanted]]);
      assert.deepEqual((await referrersOf(repository, digest, '?artifactType=application/x.none')).manifests, []);
    },
  },
  {
    section: 'Listing Referrers',
    what: 'a digest without referrers, also in an empty repository, is 200 with an empty list; a malformed one is 400',
    check: async (repository) => {
      assert.deepEqual((await referrersOf(repository, digestOf('x'))).manifests, []);
      const { status, code } = await repository.send('GET', 'referrers/sha256:xyz');
      assert.deepEqual([status, code], [400, 'DIGEST_INVALID']);
    },
  },
  {
    section: 'Listing Referrers',
    what: 'what would be larger than a manifest may be comes in pages',
    check: async (repository) => {
      const { digest } = await repository.pushImage('v1');
      const pushed = [];
      for (let index = 0; index < 3; index += 1) pushed.push(await pushReferrer(repository, digest, { annotations: { a: String(index).repeat(2_000_000) } }));
      const seen: string[] = [];
      let pages = 0;
      for (let path: string | undefined = `/v2/${repository.name}/referrers/${digest}`; path !== undefined; pages += 1) {
        const answer = await repository.send('GET', path);
        seen.push(...(JSON.parse(answer.text) as { manifests: { digest: string }[] }).manifests.map((descriptor) => descriptor.digest));
        path = nextOf(answer);
      }
      assert.deepEqual([seen, pages], [pushed.toSorted(), 2]);
    },
  },
  {
    section: 'Referrers Tag Schema',
    what: 'the tag of clients that do not know the referrers API is a tag like any other',
    check: async (repository) => {
      const { digest } = await repository.pushImage('v1');
      const referrer = await pushReferrer(repository, digest, { artifactType: 'application/x.sig' });
      const { manifests } = await referrersOf(repository, digest);
      const tag = digest.replace(':', '-');
      await repository.pushManifest(tag, mediaTypes.ociIndex, JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }));
      const pulled = JSON.parse((await repository.send('GET', `manifests/${tag}`)).text) as { manifests: { digest: string }[] };
      assert.deepEqual(pulled.manifests.map((descriptor) => descriptor.digest), [referrer]);
    },
  },
  {
    section: 'Deleting tags',
    what: '202, then 404, while the manifest and its other tags stay',
    check: async (repository) => {
      const { body, digest } = await repository.pushImage('a');
      await repository.pushManifest('b', mediaTypes.ociManifest, body);
      assert.equal((await repository.send('DELETE', 'manifests/a')).status, 202);
      assert.equal((await repository.send('GET', 'manifests/a')).status, 404);
      assert.deepEqual(await Promise.all(['b', digest].map(async (reference) => (await repository.send('GET', `manifests/${reference}`)).status)), [200, 200]);
      const again = await repository.send('DELETE', 'manifests/a');
      assert.deepEqual([again.status, again.code], [404, 'MANIFEST_UNKNOWN']);
    },
  },
  {
    section: 'Deleting Manifests',
    what: '202, then 404 by digest and by every tag; it is no referrer any more',
    check: async (repository) => {
      const { digest, body } = await repository.pushImage('a');
      await repository.pushManifest('b', mediaTypes.ociManifest, body);
      const referrer = await pushReferrer(repository, digest, {});
      assert.equal((await repository.send('DELETE', `manifests/${digest}`)).status, 202);
      for (const reference of ['a', 'b', digest]) assert.equal((await repository.send('GET', `manifests/${reference}`)).status, 404, reference);
      assert.equal((await repository.send('DELETE', `manifests/${referrer}`)).status, 202);
      assert.deepEqual((await referrersOf(repository, digest)).manifests, []);
      assert.equal((await repository.send('DELETE', `manifests/${digest}`)).code, 'MANIFEST_UNKNOWN');
    },
  },
  {
    section: 'Deleting Blobs',
    what: '202, then 404; a blob that a manifest names is 405 until that is gone',
    check: async (repository) => {
      const { digest, layer } = await repository.pushImage('v1');
      const refused = await repository.send('DELETE', `blobs/${layer.digest}`);
      assert.deepEqual([refused.status, refused.code], [405, 'UNSUPPORTED']);
      assert.equal((await repository.send('GET', `blobs/${layer.digest}`)).status, 200);
      await repository.send('DELETE', `manifests/${digest}`);
      assert.equal((await repository.send('DELETE', `blobs/${layer.digest}`)).status, 202);
      const gone = await repository.send('DELETE', `blobs/${layer.digest}`);
      assert.deepEqual([gone.status, gone.code], [404, 'BLOB_UNKNOWN']);
    },
  },
  {
    section: 'Error Codes',
    what: 'every refusal is JSON with a list of errors: code, message, detail',
    check: async (repository) => {
      for (const [method, path] of [['GET', 'manifests/x'], ['PUT', 'tags/list'], ['GET', 'manifests/sha256:x'], ['GET', '/v2/UPPER/tags/list'], ['POST', '/v2/']] as const) {
        const { status, headers, text } = await repository.send(method, path);
        const { errors } = JSON.parse(text) as { errors: { code: string; message: string; detail: unknown }[] };
        assert.ok(status >= 400 && headers.get('content-type') === 'application/json' && errors.length === 1, path);
        assert.ok(errors.every(({ code, message }) => /^[A-Z_]+$/.test(code) && message !== ''), path);
      }
    },
  },
]);

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inApplyOrder } from './order.ts';
import { imagesOf, pinImages } from './pin-images.ts';

const digest = `sha256:${'a'.repeat(64)}`;
const built = { name: 'shop', digest, reference: `127.0.0.1:5000/shop@${digest}` };

const cases: readonly (readonly [image: string, pinned: boolean])[] = [
  ['shop', true],
  ['shop:latest', true],
  ['docker.io/library/shop:1', true],
  ['127.0.0.1:5000/shop', true],
  ['127.0.0.1:5000/shop:2', true],
  [`127.0.0.1:5000/shop@sha256:${'b'.repeat(64)}`, true],
  ['team/shop', false],
  ['registry.example/shop', false],
  ['redis:7', false],
  ['Not An Image', false],
];

for (const [image, isPinned] of cases) {
  test(`pinImages() ${isPinned ? 'pins' : 'leaves'} ${image}`, () => {
    const pod = { kind: 'Pod', spec: { containers: [{ name: 'a', image }] } };
    assert.deepEqual(imagesOf(pinImages(pod, [built])), [isPinned ? built.reference : image]);
  });
}

test('pinImages() finds containers at any depth and changes no others and not its input', () => {
  const object = {
    kind: 'CronJob',
    spec: { jobTemplate: { spec: { template: { spec: { initContainers: [{ image: 'shop' }], containers: [{ image: 'shop' }, { image: 'redis:7' }] } } } }, image: 'shop' },
  };
  const before = structuredClone(object);
  const pinned = pinImages(object, [built]);
  assert.deepEqual(imagesOf(pinned), [built.reference, built.reference, 'redis:7']);
  assert.equal(pinned.spec.image, 'shop');
  assert.deepEqual(object, before);
});

test('pinImages() knows names with a path and a registry of their own', () => {
  const image = { name: 'team/shop', digest, reference: `registry.local:5000/team/shop@${digest}` };
  const pin = (text: string): string[] => imagesOf(pinImages({ containers: [{ image: text }] }, [image]));
  assert.deepEqual(pin('registry.local:5000/team/shop:x'), [image.reference]);
  assert.deepEqual(pin('team/shop'), [image.reference]);
  assert.deepEqual(pin('other.local/team/shop'), ['other.local/team/shop']);
  assert.deepEqual(pin('shop'), ['shop']);
});

test('inApplyOrder() puts first what others need and keeps the order within a rank', () => {
  const kinds = ['Widget', 'HorizontalPodAutoscaler', 'Deployment', 'Service', 'Secret', 'ConfigMap', 'CustomResourceDefinition', 'Namespace', 'StatefulSet'];
  assert.deepEqual(
    inApplyOrder(kinds.map((kind) => ({ kind }))).map(({ kind }) => kind),
    ['Namespace', 'CustomResourceDefinition', 'Secret', 'ConfigMap', 'Service', 'Deployment', 'StatefulSet', 'HorizontalPodAutoscaler', 'Widget'],
  );
});

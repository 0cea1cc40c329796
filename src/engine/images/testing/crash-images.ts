import { randomBytes } from 'node:crypto';
import { silentLogger } from '../../../kernel/mod.ts';
import { openImageStore } from '../local-image-store.ts';
import { createTestImage, unreachableRegistry } from './test-images.ts';

/** Makes image after image in the folder of its argument, to be killed by a test. Prints each name once the image is stored; every third is removed again. */
const images = await openImageStore({ folder: process.argv[2] ?? '', registry: unreachableRegistry, log: silentLogger() });
const { signal } = new AbortController();
const base = [{ path: 'base/', mode: 0o700 }, { path: 'base/file', content: 'shared by all' }];
for (let round = 0; ; round += 1) {
  const name = `app${randomBytes(6).toString('hex')}:1`;
  await createTestImage(images, name, [base, Array.from({ length: 20 }, (_, at) => ({ path: `f${at}`, content: randomBytes(2000) }))]);
  console.log(name);
  if (round % 3 === 2) {
    console.log(`-${name}`);
    await images.remove(name, { isForced: false }, signal);
  }
}

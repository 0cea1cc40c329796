import { SqliteObjectStore } from '../sqlite-object-store.ts';

/** A process to be killed: writes without pause from four writers and prints each write once the store has acknowledged it. */
const store = await SqliteObjectStore.open(process.argv[2] ?? '');
await Promise.all([0, 1, 2, 3].map(async (writer) => {
  for (let count = 0; ; count += 1) {
    const key = `/writer-${writer}/${count % 7}`;
    const isDelete = count % 11 === 10 && (await store.get(key)) !== undefined;
    const revision = isDelete ? (await store.delete(key)).revision : (await store.put(key, `${writer}:${count}:${'x'.repeat(count % 3000)}`)).modRevision;
    process.stdout.write(`${JSON.stringify({ revision, key, count: isDelete ? null : count })}\n`);
  }
}));

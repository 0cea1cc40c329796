import { createInterface } from 'node:readline';
import { GantryError } from '../../kernel/mod.ts';
import { SqliteObjectStore } from '../sqlite-object-store.ts';
import { watchStore } from '../watch.ts';

/** What a `StoreProcess` is asked. Writes are sent to the store in the order they come in. */
export type StoreCommand =
  | { readonly id: number; readonly do: 'put'; readonly key: string; readonly value: string; readonly expected?: number }
  | { readonly id: number; readonly do: 'delete'; readonly key: string; readonly expected?: number }
  | { readonly id: number; readonly do: 'state'; readonly after: number }
  | { readonly id: number; readonly do: 'close' };

// The process that store-process.ts starts: `store-child.ts PATH REVISION` serves a store over lines of JSON, and tells each change after REVISION.
if (import.meta.main) {
  const store = await SqliteObjectStore.open(process.argv[2] ?? '');
  const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
  const stop = new AbortController();
  const watching = (async () => {
    try {
      for await (const event of watchStore(store, '/', Number(process.argv[3]), stop.signal)) say({ event });
    } catch {
      // The end of the watch.
    }
  })();
  say({ ready: true });
  const answer = async (command: StoreCommand): Promise<unknown> => {
    switch (command.do) {
      case 'put':
        return store.put(command.key, command.value, command.expected);
      case 'delete':
        return store.delete(command.key, command.expected);
      case 'state':
        return { revision: store.revision, entries: (await store.list('/')).entries, events: await store.eventsAfter('/', command.after) };
      case 'close':
        stop.abort();
        await watching;
        return store[Symbol.asyncDispose]();
    }
  };
  for await (const line of createInterface({ input: process.stdin })) {
    const command = JSON.parse(line) as StoreCommand;
    void answer(command).then(
      (result) => say({ id: command.id, result: result ?? null }),
      (error: unknown) => say({ id: command.id, code: error instanceof GantryError ? error.code : String(error) }),
    );
    if (command.do === 'close') break;
  }
  // An open pipe would keep the process.
  process.stdin.destroy();
}

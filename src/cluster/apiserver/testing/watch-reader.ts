import { get, type IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import type { TestApiServer } from './test-api-server.ts';

/** One line of a watch. */
export interface ReadEvent { readonly type: string; readonly object: Record<string, unknown> }

/** Opens a watch; events come one by one, and the iteration ends when the server ends the stream. Leaving it closes the connection. */
export async function* readWatch(server: TestApiServer, path: string, headers: Record<string, string> = {}): AsyncGenerator<ReadEvent, void, undefined> {
  const response = await open(server, path, headers);
  if (response.statusCode !== 200) throw new Error(`watch ${path}: ${response.statusCode}`);
  try {
    for await (const line of createInterface({ input: response })) if (line !== '') yield JSON.parse(line) as ReadEvent;
  } finally {
    response.destroy();
  }
}

function open(server: TestApiServer, path: string, headers: Record<string, string>): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = get(server.url + path, { agent: false, headers: { authorization: `Bearer ${server.connection.token}`, ...headers } }, resolve);
    request.once('error', reject);
  });
}

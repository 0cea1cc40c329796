import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** An HTTP server in this process that says who it is and what it was asked. */
export interface TestApplication extends AsyncDisposable { readonly port: number; readonly server: Server }

/** What it answers, in JSON. */
export interface Seen { readonly name: string; readonly url: string; readonly host: string; readonly headers: Record<string, string> }

/** Opens one on a free port of 127.0.0.1. A path that begins with /slow is answered after so many milliseconds as it names. */
export async function openTestApplication(name: string): Promise<TestApplication> {
  const server = createServer((incoming, response) => {
    const { url = '', headers } = incoming;
    const answer = (): void => void response.setHeader('x-app', name).setHeader('x-internal', 'secret').end(JSON.stringify({ name, url, host: headers.host, headers }));
    const wait = /^\/slow\/(\d+)/.exec(url)?.[1];
    if (wait === undefined) answer();
    else setTimeout(answer, Number(wait)).unref();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    server,
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

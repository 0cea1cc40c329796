import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Ci } from '../ci/mod.ts';
import { GantryError, requestUrl } from '../kernel/mod.ts';
import type { AccessToken } from './access-tokens.ts';
import { requireAdministrator, type WebRoutes } from './web-server.ts';

const pathPattern = /^\/api\/v1\/runs\/([^/]+)\/([^/]+)\/logs$/;

/** `GET /api/v1/runs/<namespace>/<run>/logs[?job=ID][&follow=true]`: the log as plain text, as it is written. */
export function runLogRoutes(ci: Ci, tokens: readonly AccessToken[]): WebRoutes {
  return {
    handle: async (request, response) => {
      const { pathname, searchParams } = requestUrl(request.url);
      const match = pathPattern.exec(pathname);
      if (match === null || request.method !== 'GET') return false;
      requireAdministrator(request, tokens);
      const [namespace = '', name = ''] = match.slice(1).map(decodeURIComponent);
      const job = searchParams.get('job') ?? undefined;
      await send(ci, { namespace, name }, { follow: searchParams.get('follow') === 'true', ...(job === undefined ? {} : { job }) }, request, response);
      return true;
    },
  };
}

async function send(ci: Ci, run: { namespace: string; name: string }, selection: Parameters<Ci['readLogs']>[1], request: IncomingMessage, response: ServerResponse): Promise<void> {
  const gone = new AbortController();
  response.once('close', () => gone.abort(new GantryError('cancelled', 'the client went away')));
  request.resume();
  for await (const text of ci.readLogs(run, selection, gone.signal)) {
    // The head waits for the first text, so that an unknown run is still answered by its status.
    if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' });
    if (gone.signal.aborted) return;
    if (!response.write(text)) await Promise.race([once(response, 'drain'), once(response, 'close')]);
  }
  if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
  response.end();
}

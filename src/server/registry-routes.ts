import type { ServerResponse } from 'node:http';
import { GantryError, requestUrl } from '../kernel/mod.ts';
import type { Registry, RegistryCollector } from '../registry/mod.ts';
import type { AccessToken } from './access-tokens.ts';
import { requireAdministrator, type WebRoutes } from './web-server.ts';

/**
 * `GET /api/v1/registry/usage`: how much of the disk budget is used, with a warning when it nears its end.
 * `POST /api/v1/registry/collections[?dryRun=true]`: collects now and answers what went, or would go, and why.
 */
export function registryRoutes(registry: Registry, collector: RegistryCollector, tokens: readonly AccessToken[]): WebRoutes {
  return {
    handle: async (request, response) => {
      const { pathname, searchParams } = requestUrl(request.url);
      if (pathname === '/api/v1/registry/usage' && request.method === 'GET') {
        requireAdministrator(request, tokens);
        answerJson(response, registry.usage());
        return true;
      }
      if (pathname !== '/api/v1/registry/collections' || request.method !== 'POST') return false;
      requireAdministrator(request, tokens);
      const gone = new AbortController();
      response.once('close', () => gone.abort(new GantryError('cancelled', 'the client went away')));
      request.resume();
      const report = await collector.collect({ isDryRun: searchParams.get('dryRun') === 'true' }, gone.signal);
      answerJson(response, report);
      return true;
    },
  };
}

function answerJson(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' }).end(JSON.stringify(value));
}

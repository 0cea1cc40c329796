import { GantryError, requestUrl } from '../kernel/mod.ts';
import type { RegistryCollector } from '../registry/mod.ts';
import type { AccessToken } from './access-tokens.ts';
import { requireAdministrator, type WebRoutes } from './web-server.ts';

/** `POST /api/v1/registry/collections[?dryRun=true]`: collects now and answers what went, or would go, and why. */
export function registryRoutes(collector: RegistryCollector, tokens: readonly AccessToken[]): WebRoutes {
  return {
    handle: async (request, response) => {
      const { pathname, searchParams } = requestUrl(request.url);
      if (pathname !== '/api/v1/registry/collections' || request.method !== 'POST') return false;
      requireAdministrator(request, tokens);
      const gone = new AbortController();
      response.once('close', () => gone.abort(new GantryError('cancelled', 'the client went away')));
      request.resume();
      const report = await collector.collect({ isDryRun: searchParams.get('dryRun') === 'true' }, gone.signal);
      response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' }).end(JSON.stringify(report));
      return true;
    },
  };
}

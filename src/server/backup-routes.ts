import { GantryError } from '../kernel/mod.ts';
import type { AccessToken } from './access-tokens.ts';
import { type BackupParts, writeBackup } from './backup.ts';
import { requireAdministrator, type WebRoutes } from './web-server.ts';

/** `GET /api/v1/backup`: the instance as a tar archive. It holds every secret. A broken connection means that it is not whole. */
export function backupRoutes(parts: BackupParts, tokens: readonly AccessToken[]): WebRoutes {
  return {
    handle: async (request, response) => {
      if (request.url !== '/api/v1/backup' || request.method !== 'GET') return false;
      requireAdministrator(request, tokens);
      const gone = new AbortController();
      response.once('close', () => gone.abort(new GantryError('cancelled', 'the client went away')));
      response.writeHead(200, { 'content-type': 'application/x-tar', 'cache-control': 'no-store' });
      await writeBackup(parts, response, gone.signal);
      return true;
    },
  };
}

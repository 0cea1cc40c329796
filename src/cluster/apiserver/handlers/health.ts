import { sendJson, sendText } from '../requests/respond.ts';
import type { Exchange } from './exchange.ts';

/** What `/version` says. Clients read major and minor to know which features to expect. */
export const serverVersion = {
  major: '1',
  minor: '34',
  emulationMajor: '1',
  emulationMinor: '34',
  minCompatibilityMajor: '1',
  minCompatibilityMinor: '33',
  gitVersion: 'v1.34.0+gantry',
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '1970-01-01T00:00:00Z',
  goVersion: '',
  compiler: 'node',
  platform: 'linux/amd64',
} as const;

/** Answers `/version`, `/livez`, `/readyz`, `/healthz`; false for any other path. */
export async function serveHealth({ request, response, info, query }: Exchange, isReady: boolean): Promise<boolean> {
  switch (info.path) {
    case '/version':
      await sendJson(request, response, 200, serverVersion);
      return true;
    case '/livez':
    case '/livez/ping':
      await sendText(request, response, 200, healthText('livez', true, query), 'text/plain; charset=utf-8');
      return true;
    case '/readyz':
    case '/healthz':
    case '/readyz/ping':
      await sendText(request, response, isReady ? 200 : 503, healthText(info.path.split('/')[1] ?? '', isReady, query), 'text/plain; charset=utf-8');
      return true;
    default:
      return false;
  }
}

/** One word, or with `verbose` a line for each check. There is one: that the server answers. */
function healthText(endpoint: string, isHealthy: boolean, query: URLSearchParams): string {
  if (!query.has('verbose')) return isHealthy ? 'ok' : 'not ready';
  return isHealthy ? `[+]ping ok\n${endpoint} check passed\n` : `[-]ping failed: reason withheld\n${endpoint} check failed\n`;
}

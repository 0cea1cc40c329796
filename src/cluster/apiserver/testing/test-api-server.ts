import { type Clock, silentLogger, systemClock, type Logger } from '../../../kernel/mod.ts';
import { type ObjectStore, SqliteObjectStore } from '../../../store/mod.ts';
import { TokenAuthenticator } from '../access/authenticators.ts';
import { authenticated, systemMasters } from '../access/user.ts';
import { ApiServer, type ApiServerOptions } from '../server.ts';

/** An API server in this process, for tests of any layer: plain HTTP on a free loopback port. */
export interface TestApiServer extends AsyncDisposable {
  readonly server: ApiServer;
  readonly store: ObjectStore;
  readonly url: string;
  /** What `openKubeClient` takes: an administrator's token. */
  readonly connection: { readonly server: string; readonly token: string };
}

/** Tests may set anything the server takes; the default is an empty store in memory and one administrator. */
export type TestApiServerOptions = Partial<ApiServerOptions> & { readonly log?: Logger };

/** A clock whose hands stand still: ages do not depend on whether a second ends in between. */
export const standingClock: Clock = { ...systemClock, now: () => Date.UTC(2026, 0, 1) };

/** The token of the test administrator. */
export const testToken = 'test-admin-token';

/** The token of the agent of node `node-1`, who may what an agent may. */
export const testNodeToken = 'test-node-token';

/** Opens it in some milliseconds. Close it with `await using`. */
export async function openTestApiServer(options: TestApiServerOptions = {}): Promise<TestApiServer> {
  await using cleanup = new AsyncDisposableStack();
  const store = options.store ?? cleanup.use(await SqliteObjectStore.open(':memory:'));
  const admin = authenticated('admin', '', [systemMasters]);
  const server = cleanup.use(
    await ApiServer.open({
      listen: { host: '127.0.0.1', port: 0 },
      authenticators: [new TokenAuthenticator([{ token: testToken, user: admin }, { token: testNodeToken, user: authenticated('system:node:node-1', '', ['system:nodes']) }])],
      log: silentLogger(),
      ...options,
      store,
    }),
  );
  const moved = cleanup.move();
  return { server, store, url: server.url, connection: { server: server.url, token: testToken }, [Symbol.asyncDispose]: () => moved.disposeAsync() };
}

import { silentLogger } from '../../../kernel/mod.ts';
import { SqliteObjectStore } from '../../../store/mod.ts';
import { TokenAuthenticator } from '../access/authenticators.ts';
import { authenticated, systemMasters } from '../access/user.ts';
import { ApiServer } from '../server.ts';

// The process that fault-driver.ts kills: `fault-child.ts PATH TOKEN` serves the API over the store in PATH and says at which port.
if (import.meta.main) {
  const [path = '', token = ''] = process.argv.slice(2);
  const store = await SqliteObjectStore.open(path);
  const server = await ApiServer.open({ store, listen: { host: '127.0.0.1', port: 0 }, authenticators: [new TokenAuthenticator([{ token, user: authenticated('admin', '', [systemMasters]) }])], log: silentLogger() });
  process.stdout.write(`${server.port}\n`);
}

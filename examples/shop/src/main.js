'use strict';

const { createServer } = require('node:http');
const { createApp } = require('./app.js');
const { Store } = require('./store.js');

const port = Number(process.env.PORT ?? 3000);
const store = new Store(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379');
const server = createServer(createApp(store));

// The database may come later: until then /ready says no and /healthz yes.
store.open().catch((error) => console.error(`database: ${error.message}`));
server.listen(port, () => console.log(`shop listens on ${port}`));

// Requests under way are answered, new ones go elsewhere, then the process ends.
process.once('SIGTERM', () => {
  server.close(async () => {
    await store.close();
    process.exit(0);
  });
  server.closeIdleConnections();
});

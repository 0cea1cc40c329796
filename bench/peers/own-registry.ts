import { silentLogger } from '../../src/kernel/mod.ts';
import { openRegistry } from '../../src/registry/mod.ts';

/** Our registry as a process of its own: its arguments are the folder and the port on loopback. */
const registry = await openRegistry({ folder: process.argv[2] ?? '', log: silentLogger() });
await registry.listen({ host: '127.0.0.1', port: Number(process.argv[3]) });

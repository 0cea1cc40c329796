import { silentLogger } from '../../kernel/mod.ts';
import { openRegistry } from '../server/registry.ts';

/** A registry that collects all the time, to be killed by a test. Its argument is the folder; it prints `host:port`. */
const registry = await openRegistry({ folder: process.argv[2] ?? '', log: silentLogger() });
const { host } = await registry.listen({ host: '127.0.0.1', port: 0 });
console.log(host);
const { signal } = new AbortController();
const collector = registry.collector({ roots: async () => new Set<string>(), graceMs: 1000, uploadGraceMs: 1000 });
for (;;) await collector.collect({ isDryRun: false }, signal);

import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

// Parsing and compiling is most of what a small command does; the cache is keyed by content, so it is never stale.
enableCompileCache(join(import.meta.dirname, '../../node_modules/.cache/gantry'));
// A reader that leaves early (`| head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

const { runProgram } = await import('./program.ts');
await runProgram(process.argv);

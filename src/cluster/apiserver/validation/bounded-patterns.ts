import { setFlagsFromString } from 'node:v8';

/**
 * Bounds regular expressions for the whole process: one that backtracks too often goes on in V8's linear engine.
 * Patterns come from definitions and the texts from whoever makes objects; `^(a+)+$` must not stop the server.
 */
export function boundPatterns(): void {
  setFlagsFromString('--enable-experimental-regexp-engine-on-excessive-backtracks');
  setFlagsFromString('--regexp-backtracks-before-fallback=50000');
}

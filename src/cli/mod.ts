/**
 * cli: the `gantry` command. It talks to the instance only through its APIs.
 * Read program.ts (the command tree); each command is a file in commands/, loaded when it runs.
 */
export { exitCodes } from './exit-codes.ts';
export { buildProgram, runProgram } from './program.ts';

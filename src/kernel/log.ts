import { createRequire } from 'node:module';
import type * as Pino from 'pino';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';
export type LogFields = Readonly<Record<string, unknown>>;

/** Constant message plus fields. `warn`: someone should look; `error`: someone must act. A user's mistake is no log line. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  with(fields: LogFields): Logger;
}

/** Field names that are never written, wherever they stand in the fields' first two levels. */
const redactedFields = ['token', 'password', 'authorization', 'secret', 'key'];

/** JSON lines on standard error. `err` fields keep their message, code and cause. */
export function openLogger(level: LogLevel, component: string): Logger {
  // Loaded when there is something to log: most commands of the command line log nothing, and wait for it.
  const { pino } = createRequire(import.meta.url)('pino') as typeof Pino;
  const root = pino(
    {
      level,
      base: { component },
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { err: pino.stdSerializers.errWithCause },
      redact: { paths: redactedFields.flatMap((field) => [field, `*.${field}`]), censor: '[redacted]' },
    },
    pino.destination({ dest: 2, sync: true }),
  );
  return wrap(root);
}

/** For tests and tools that have no use for a log. */
export function silentLogger(): Logger {
  const nothing = (): void => undefined;
  const logger: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing, with: () => logger };
  return logger;
}

function wrap(inner: Pino.Logger): Logger {
  return {
    debug: (message, fields) => inner.debug(fields ?? {}, message),
    info: (message, fields) => inner.info(fields ?? {}, message),
    warn: (message, fields) => inner.warn(fields ?? {}, message),
    error: (message, fields) => inner.error(fields ?? {}, message),
    with: (fields) => wrap(inner.child(fields)),
  };
}

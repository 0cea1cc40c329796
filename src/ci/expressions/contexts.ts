/** The contexts that expressions may name (docs.github.com, "Contexts reference"), of which each is always supplied. */
export const contextNames = ['github', 'env', 'vars', 'job', 'jobs', 'steps', 'runner', 'secrets', 'strategy', 'matrix', 'needs', 'inputs'] as const;
export type ContextName = (typeof contextNames)[number];

/** Values of the contexts; what is absent counts as empty. */
export type Contexts = Partial<Record<ContextName, unknown>>;

/** How the work before stands, for `success()`, `failure()` and `cancelled()`; all three deny `skipped`. */
export type StatusSoFar = 'success' | 'failure' | 'cancelled' | 'skipped';

export const statusFunctions = ['success', 'failure', 'cancelled', 'always'] as const;

import type { Route } from './route.ts';

export interface RouteMatch { readonly route: Route; readonly params: Readonly<Record<string, string>> }

interface CompiledRoute { readonly route: Route; readonly expression: RegExp; readonly names: readonly string[] }

/** Finds the route of a request in a table; the first that fits wins. */
export class Router {
  readonly #compiled: readonly CompiledRoute[];

  constructor(routes: readonly Route[]) {
    this.#compiled = routes.map(compile);
  }

  /** The match, or the methods that the path has: none when nothing is there. */
  find(method: string, path: string): RouteMatch | { readonly allowed: readonly string[] } {
    const fitting = this.#compiled.flatMap(({ route, expression, names }) => {
      const match = expression.exec(path);
      return match === null ? [] : [{ route, params: Object.fromEntries(names.map((name, at) => [name, decoded(match[at + 1] ?? '')])) }];
    });
    return fitting.find(({ route }) => route.method === method) ?? { allowed: fitting.map(({ route }) => route.method) };
  }
}

function compile(route: Route): CompiledRoute {
  const names: string[] = [];
  const pattern = route.path.replace(/\{(\w+)(\.\.\.)?\}/g, (_, name: string, isLong: string | undefined) => {
    names.push(name);
    return isLong === undefined ? '([^/]+)' : '(.+)';
  });
  return { route, expression: new RegExp(`^${pattern}$`), names };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

import type { TestApiServer } from './test-api-server.ts';

/** An answer of the server, its body parsed when it is JSON. */
export interface Answer {
  readonly code: number;
  readonly body: Record<string, unknown>;
  readonly text: string;
  readonly headers: Headers;
}

/** Sends one request with a JSON body, or with a body of the given type as it is. */
export type ApiCaller = (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<Answer>;

/** Calls a test server as its administrator. */
export function apiCaller(server: TestApiServer): ApiCaller {
  return async (method, path, body, headers = {}) => {
    const raw = typeof body === 'string' || body instanceof Uint8Array || body === undefined ? body : JSON.stringify(body);
    const response = await fetch(server.url + path, {
      method,
      headers: { authorization: `Bearer ${server.connection.token}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(raw === undefined ? {} : { body: raw }),
    });
    const text = await response.text();
    return { code: response.status, body: parsed(text), text, headers: response.headers };
  };
}

function parsed(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
}

/** The media types of patches by short name, as headers. */
export const patchHeaders = {
  json: { 'content-type': 'application/json-patch+json' },
  merge: { 'content-type': 'application/merge-patch+json' },
  strategic: { 'content-type': 'application/strategic-merge-patch+json' },
  apply: { 'content-type': 'application/apply-patch+yaml' },
} as const;

/** The value at a dotted path of an answer, for assertions; indexes are names too. */
export function at(value: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((current, name) => (typeof current === 'object' && current !== null ? (current as Record<string, unknown>)[name] : undefined), value);
}

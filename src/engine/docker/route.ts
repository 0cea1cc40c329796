import { z } from 'zod';
import { GantryError, parseWith, requestUrl } from '../../kernel/mod.ts';
import type { Call, DockerServices } from './call.ts';
import { isZero } from './requests/zero.ts';

/** `partial`: the note says what is refused. `refused`: known, and answered with the note. */
export type RouteState = 'supported' | 'partial' | 'refused';

/** One end point: the router serves by this table, and the compatibility page is written from it. */
export interface Route {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE';
  /** `{name}` is one part of the path, `{name...}` any number of parts. */
  readonly path: string;
  readonly summary: string;
  readonly state: RouteState;
  readonly note?: string;
  /** Names of the query parameters that are understood. */
  readonly parameters: readonly string[];
  /** Parameters of the API that are refused when they ask for something, and why. */
  readonly refusedParameters: Readonly<Record<string, string>>;
  /** Fields of the body, for the compatibility page. */
  readonly bodyFields: readonly string[];
  /** The client may upgrade the connection. */
  readonly isHijacked: boolean;
  readonly handle: (call: Call, services: DockerServices) => Promise<void>;
}

type Shape = Readonly<Record<string, z.ZodType>>;

interface RouteDefinition<S extends Shape> {
  readonly method: Route['method'];
  readonly path: string;
  readonly summary: string;
  readonly note?: string;
  readonly query?: S;
  /** As `Route.refusedParameters`. */
  readonly refused?: Readonly<Record<string, string>>;
  /** The schema of the JSON body. Clients such as dockerode repeat all fields of a body as parameters: they are read in the body alone. */
  readonly body?: { readonly shape: object };
  readonly isHijacked?: boolean;
  readonly handle: (call: Call, services: DockerServices, query: { [K in keyof S]: z.output<S[K]> }) => Promise<void> | void;
}

/** Makes an entry of the table. Query parameters that are not in `query` are refused unless they say nothing (`''`, `0`, `false`, `[]`). */
export function route<S extends Shape>(definition: RouteDefinition<S>): Route {
  const { method, path, summary, note, query, refused = {}, body, isHijacked } = definition;
  const shape = query ?? ({} as S);
  const schema = z.object(shape);
  const known = new Set(Object.keys(shape));
  const isRepeated = repeats(body);
  return {
    method, path, summary,
    state: note === undefined ? 'supported' : 'partial',
    ...(note === undefined ? {} : { note }),
    parameters: Object.keys(shape),
    refusedParameters: refused,
    bodyFields: Object.keys(body?.shape ?? {}),
    isHijacked: isHijacked ?? false,
    handle: async (call, services) => {
      const parsed = parseWith(schema, queryOf(call, known, isRepeated, refused), 'query') as { [K in keyof S]: z.output<S[K]> };
      await definition.handle(call, services, parsed);
    },
  };
}

/** An end point of the API that this engine does not have. */
export function refusedRoute(method: Route['method'], path: string, summary: string, why: string): Route {
  const handle = (): Promise<void> => Promise.reject(new GantryError('unsupported', `${summary}: ${why}`));
  return { method, path, summary, state: 'refused', note: why, parameters: [], refusedParameters: {}, bodyFields: [], isHijacked: false, handle };
}

/** Whether a parameter only repeats what the body is asked for. Fields of bodies begin with a capital letter; no parameter of the API does. */
function repeats(body: { readonly shape: object } | undefined): (name: string) => boolean {
  return (name) => body !== undefined && /^[A-Z]/.test(name);
}

/** Repeated parameters become lists for the schema to take or refuse. */
function queryOf({ request }: Call, known: ReadonlySet<string>, isRepeated: (name: string) => boolean, refused: Readonly<Record<string, string>>): Record<string, string | string[]> {
  const parameters = requestUrl(request.url).searchParams;
  const query: Record<string, string | string[]> = {};
  for (const name of new Set(parameters.keys())) {
    const values = parameters.getAll(name);
    const [first = ''] = values;
    if (known.has(name)) query[name] = values.length === 1 ? first : values;
    else if (!isRepeated(name) && !values.every((value) => isZero(parsedOrText(value)))) {
      throw new GantryError('invalid', `the query parameter ${JSON.stringify(name.slice(0, 100))} is not supported${refused[name] === undefined ? '' : `: ${refused[name]}`}`);
    }
  }
  return query;
}

function parsedOrText(value: string): unknown {
  try {
    return value === '' ? '' : JSON.parse(value);
  } catch {
    return value;
  }
}

/** A flag of a query as Docker reads it: absent, empty, `0`, `no`, `false` and `none` are false. */
export const flag = z.string().optional().transform((text) => !['', '0', 'no', 'false', 'none'].includes((text ?? '').trim().toLowerCase()));

/** As `flag`, but undefined when it is absent. */
export const optionalFlag = z.string().optional().transform((text) => (text === undefined ? undefined : !['', '0', 'no', 'false', 'none'].includes(text.trim().toLowerCase())));

/** A text that may be absent; empty is absent. */
export const text = z.string().optional().transform((value) => (value === '' ? undefined : value));

/** A whole number that may be absent. */
export const integer = z.string().optional().transform((value, context) => {
  if (value === undefined || value === '') return undefined;
  if (/^-?\d{1,15}$/.test(value)) return Number(value);
  context.addIssue({ code: 'custom', message: 'must be a whole number' });
  return z.NEVER;
});

/** One or more values of a repeated parameter. */
export const list = z.union([z.string(), z.array(z.string())]).optional().transform((value) => (value === undefined ? [] : Array.isArray(value) ? value : [value]));

/** A parameter that holds JSON. */
export function json<S extends z.ZodType>(schema: S): z.ZodType<z.output<S> | undefined> {
  return z.string().optional().transform((value, context): z.output<S> | undefined => {
    if (value === undefined || value === '') return undefined;
    const parsed = schema.safeParse(parsedOrText(value));
    if (parsed.success) return parsed.data;
    context.addIssue({ code: 'custom', message: `must be JSON: ${parsed.error.issues[0]?.message ?? ''}` });
    return z.NEVER;
  });
}

import { GantryError } from '../kernel/mod.ts';

type Step = { type: 'field'; name: string } | { type: 'index'; index: number } | { type: 'all' } | { type: 'filter'; path: Step[]; operator: string; value: unknown };

/** A JSONPath as printer columns and `kubectl -o jsonpath` write the simple ones: fields, indexes, `[*]`, `[?(@.a=="b")]`. */
export class JsonPath {
  readonly text: string;
  readonly #steps: readonly Step[];

  private constructor(text: string, steps: readonly Step[]) {
    this.text = text;
    this.#steps = steps;
  }

  /** Reads `.status.conditions[?(@.type=="Ready")].status`. `invalid` names what it could not read. */
  static parse(text: string): JsonPath {
    const path = text.startsWith('{') && text.endsWith('}') ? text.slice(1, -1) : text;
    return new JsonPath(text, parseSteps(path.startsWith('$') ? path.slice(1) : path, text));
  }

  /** All values the path leads to. */
  find(root: unknown): unknown[] {
    return follow(this.#steps, [root]);
  }

  /** The names of a path of fields only; undefined when it has other steps. */
  get fields(): string[] | undefined {
    const names = this.#steps.map((step) => (step.type === 'field' ? step.name : undefined));
    return names.every((name) => name !== undefined) ? names : undefined;
  }
}

const stepGrammar = /^(?:\.(\*|(?:\\.|[^.[\]\\])+)|\[(\*)\]|\[(-?\d+)\]|\[(?:'((?:\\.|[^'\\])*)'|"((?:\\.|[^"\\])*)")\]|\[\?\(\s*@((?:\.[^\s=!<>()[\]]+)+)\s*(?:(==|!=|<=|>=|<|>)\s*("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|-?[\d.]+|true|false|null)\s*)?\)\])/;

function parseSteps(path: string, whole: string): Step[] {
  const steps: Step[] = [];
  for (let rest = path; rest !== ''; ) {
    const match = stepGrammar.exec(rest);
    if (match === null) throw new GantryError('invalid', `the JSONPath ${whole} cannot be read at ${JSON.stringify(rest)}`);
    steps.push(toStep(match, whole));
    rest = rest.slice(match[0].length);
  }
  return steps;
}

function toStep([, name, all, index, single, double, filter, operator, operand]: RegExpExecArray, whole: string): Step {
  if (name === '*' || all !== undefined) return { type: 'all' };
  if (index !== undefined) return { type: 'index', index: Number(index) };
  const field = name ?? single ?? double;
  if (field !== undefined) return { type: 'field', name: field.replaceAll(/\\(.)/g, '$1') };
  return { type: 'filter', path: parseSteps(filter ?? '', whole), operator: operator ?? 'exists', value: operand === undefined ? undefined : literal(operand) };
}

function literal(text: string): unknown {
  if (text.startsWith("'") || text.startsWith('"')) return text.slice(1, -1).replaceAll(/\\(.)/g, '$1');
  return JSON.parse(text);
}

function follow(steps: readonly Step[], values: readonly unknown[]): unknown[] {
  return steps.reduce<unknown[]>((found, step) => found.flatMap((value) => advance(step, value)), [...values]);
}

function advance(step: Step, value: unknown): unknown[] {
  if (typeof value !== 'object' || value === null) return [];
  switch (step.type) {
    case 'field': {
      if (!Array.isArray(value)) return Object.hasOwn(value, step.name) ? [(value as Record<string, unknown>)[step.name]] : [];
      return value.flatMap((item) => advance(step, item));
    }
    case 'index': {
      if (!Array.isArray(value)) return [];
      const item: unknown = value.at(step.index);
      return item === undefined ? [] : [item];
    }
    case 'all':
      return Array.isArray(value) ? value : Object.values(value);
    case 'filter':
      return (Array.isArray(value) ? value : Object.values(value)).filter((item: unknown) => passes(step, item));
  }
}

function passes({ path, operator, value }: Step & { type: 'filter' }, item: unknown): boolean {
  const found = follow(path, [item]);
  if (operator === 'exists') return found.length > 0;
  const [actual] = found;
  if (operator === '==') return actual === value;
  if (operator === '!=') return actual !== value;
  if ((typeof actual !== 'number' || typeof value !== 'number') && (typeof actual !== 'string' || typeof value !== 'string')) return false;
  if (operator === '<') return actual < value;
  if (operator === '<=') return actual <= value;
  return operator === '>' ? actual > value : actual >= value;
}

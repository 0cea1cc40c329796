import type { Expr } from '@actions/expressions';
import type { ErrorPlace } from '../../kernel/mod.ts';
import { formatPlace, GantryError } from '../../kernel/mod.ts';
import type { Template, TemplateMap } from '../workflow/model.ts';
import type { Toolkit } from '../workflow/toolkit.ts';
import { contextNames, type Contexts, statusFunctions, type StatusSoFar } from './contexts.ts';

const functionInfos = statusFunctions.map((name) => ({ name, minArgs: 0, maxArgs: 0 }));

/** Evaluates templates and conditions against contexts. */
export class Evaluation {
  readonly #toolkit: Toolkit;
  readonly #contexts: Contexts;
  readonly #status: StatusSoFar;

  constructor(toolkit: Toolkit, contexts: Contexts, status: StatusSoFar = 'success') {
    this.#toolkit = toolkit;
    this.#contexts = contexts;
    this.#status = status;
  }

  /** The template as text: what a scalar expression gives, coerced as GitHub does; objects and arrays become JSON. */
  text(template: Template): string {
    if (template.kind === 'text') return template.text;
    if (template.kind === 'mixed') return template.parts.map((part) => (part.kind === 'text' ? part.text : this.#text(part.expression, template))).join('');
    return this.#text(template.expression, template);
  }

  /** Undefined stays undefined. */
  optional(template: Template | undefined): string | undefined {
    return template === undefined ? undefined : this.text(template);
  }

  record(map: TemplateMap): Record<string, string> {
    return Object.fromEntries(map.map(({ name, value }) => [name, this.text(value)]));
  }

  /** Whether an `if` holds. Without a status function in it, `success()` is asked as well. */
  condition(template: Template | undefined): boolean {
    if (template === undefined) return this.#status === 'success';
    const source = template.kind === 'expression' ? template.expression : this.text(template);
    const hasStatus = usedFunctions(this.#parse(source, template)).some((name) => (statusFunctions as readonly string[]).includes(name));
    // The negation makes a boolean of any value, by GitHub's rules of what is true.
    return this.#evaluate(`!(${hasStatus ? source : `success() && (${source})`})`, template).coerceString() === 'false';
  }

  boolean(template: Template | undefined, absent: boolean): boolean {
    if (template === undefined) return absent;
    const text = this.text(template);
    if (text !== 'true' && text !== 'false') throw placed(template, `expected true or false, got ${JSON.stringify(text)}`);
    return text === 'true';
  }

  number(template: Template | undefined, absent: number): number {
    if (template === undefined) return absent;
    const value = Number(this.text(template));
    if (!Number.isFinite(value) || value <= 0) throw placed(template, 'expected a number above 0');
    return value;
  }

  #parse(source: string, template: Template): Expr {
    try {
      return this.#toolkit.parseExpression(source, contextNames, functionInfos);
    } catch (error) {
      throw placed(template, error instanceof Error ? error.message : String(error));
    }
  }

  #text(expression: string, template: Template): string {
    const value = this.#evaluate(expression, template);
    return value.primitive ? value.coerceString() : JSON.stringify(JSON.parse(this.#evaluate(`toJSON(${expression})`, template).coerceString()));
  }

  #evaluate(source: string, template: Template): ReturnType<Toolkit['evaluate']> {
    const contexts = Object.fromEntries(contextNames.map((name) => [name, this.#contexts[name] ?? {}]));
    const answers: Record<(typeof statusFunctions)[number], boolean> = {
      success: this.#status === 'success',
      failure: this.#status === 'failure',
      cancelled: this.#status === 'cancelled',
      always: true,
    };
    const functions = new Map(functionInfos.map((info) => [info.name, { ...info, call: () => this.#toolkit.boolean(answers[info.name]) }]));
    try {
      return this.#toolkit.evaluate(this.#parse(source, template), contexts, functions);
    } catch (error) {
      if (error instanceof GantryError) throw error;
      throw placed(template, error instanceof Error ? error.message : String(error));
    }
  }
}

/** Names of the functions an expression calls, in lower case. */
export function usedFunctions(expression: Expr): string[] {
  const found: string[] = [];
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    if ('functionName' in value) found.push((value.functionName as { lexeme: string }).lexeme.toLowerCase());
    for (const child of Object.values(value)) {
      if (Array.isArray(child)) child.forEach(visit);
      else if (child !== null && typeof child === 'object' && 'accept' in child) visit(child);
    }
  };
  visit(expression);
  return found;
}

function placed(template: Template, message: string): GantryError {
  const place: ErrorPlace = { ...template.place, message };
  return new GantryError('invalid', formatPlace(place), { places: [place] });
}

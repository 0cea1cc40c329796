import type { BasicExpressionToken } from '@actions/workflow-parser/templates/tokens/basic-expression-token';
import type { MappingToken } from '@actions/workflow-parser/templates/tokens/mapping-token';
import type { ScalarToken } from '@actions/workflow-parser/templates/tokens/scalar-token';
import type { SequenceToken } from '@actions/workflow-parser/templates/tokens/sequence-token';
import type { TemplateToken } from '@actions/workflow-parser/templates/tokens/template-token';
import type { ErrorPlace } from '../../kernel/mod.ts';
import { usedFunctions } from '../expressions/evaluate.ts';
import type { Place, Template, TemplateMap } from './model.ts';
import { splitTemplate } from './split-template.ts';
import type { Toolkit } from './toolkit.ts';
import type { YamlSource } from './yaml-source.ts';

/** Token types of the workflow parser; its own constants are a TypeScript enum that must not be imported here. */
const tokenType = { string: 0, sequence: 1, mapping: 2, expression: 3, boolean: 5, number: 6, null: 7 } as const;

/** Names that every shell can export. */
export const environmentNamePattern = /^[A-Za-z_][A-Za-z0-9_]*$/;

export type Handlers = Readonly<Record<string, (value: TemplateToken, key: TemplateToken) => void>>;

/** Reads tokens of one file and collects what is wrong, each with its place. Reading goes on after an error. */
export class TokenReader {
  readonly file: string;
  readonly errors: ErrorPlace[] = [];
  readonly #toolkit: Toolkit;

  readonly #source: YamlSource;

  constructor(toolkit: Toolkit, file: string, source: YamlSource) {
    this.#toolkit = toolkit;
    this.file = file;
    this.#source = source;
  }

  placeOf(token: TemplateToken): Place {
    const start = token.range?.start;
    return { file: this.file, ...(start === undefined ? {} : { line: start.line, column: start.column }) };
  }

  fail(token: TemplateToken, message: string): void {
    this.errors.push({ ...this.placeOf(token), message });
  }

  /** Calls the handler of each key; a key without one is an error that says what is supported. */
  mapping(token: TemplateToken, what: string, handlers: Handlers, reasons: Readonly<Record<string, string>> = {}): void {
    for (const { key, name, value } of this.entries(token, what)) {
      const handler = Object.hasOwn(handlers, name) ? handlers[name] : undefined;
      if (handler !== undefined) handler(value, key);
      else this.fail(key, `the key ${name} of ${what} is not supported${reasons[name] === undefined ? '' : `: ${reasons[name]}`}`);
    }
  }

  entries(token: TemplateToken, what: string): { key: TemplateToken; name: string; value: TemplateToken }[] {
    if (token.templateTokenType === tokenType.null) return [];
    if (token.templateTokenType !== tokenType.mapping) {
      this.fail(token, `${what} must be a mapping; expressions are not supported here`);
      return [];
    }
    return [...(token as MappingToken)].map(({ key, value }) => ({ key, name: key.toString(), value }));
  }

  /** The items of a sequence, or the one scalar that may stand for it. */
  items(token: TemplateToken): TemplateToken[] {
    if (token.templateTokenType === tokenType.sequence) return [...(token as SequenceToken)];
    return token.templateTokenType === tokenType.null ? [] : [token];
  }

  isMapping(token: TemplateToken): boolean {
    return token.templateTokenType === tokenType.mapping;
  }

  isSequence(token: TemplateToken): boolean {
    return token.templateTokenType === tokenType.sequence;
  }

  /** Text that must be there in the file: no expression. */
  literal(token: TemplateToken, what: string): string {
    if (token.isLiteral) return token.templateTokenType === tokenType.null ? '' : (token as ScalarToken).toString();
    this.fail(token, `${what} must be plain text; expressions are not supported here`);
    return '';
  }

  literals(token: TemplateToken, what: string): string[] {
    return this.items(token).map((item) => this.literal(item, what));
  }

  template(token: TemplateToken, what: string): Template {
    const place = this.placeOf(token);
    if (token.templateTokenType === tokenType.expression) {
      const { expression, originalExpressions } = token as BasicExpressionToken;
      this.#checkExpression(expression, token);
      if (originalExpressions === undefined) return { kind: 'expression', expression, place };
      const text = this.#source.scalarAt(place.line ?? 0, place.column ?? 0);
      if (text !== undefined) return { kind: 'mixed', parts: splitTemplate(text), place };
      this.fail(token, `${what}: the text around the expression cannot be read`);
    }
    if (token.isScalar && token.isLiteral) return { kind: 'text', text: token.templateTokenType === tokenType.null ? '' : (token as ScalarToken).toString(), place };
    this.fail(token, `${what} must be a scalar`);
    return { kind: 'text', text: '', place };
  }

  /** An `if`: an expression whether or not it stands in `${{ }}`. */
  condition(token: TemplateToken): Template {
    const template = this.template(token, 'if');
    if (template.kind === 'expression') return template;
    if (template.kind === 'mixed') {
      const [only, ...rest] = template.parts.filter((part) => part.kind === 'expression' || part.text.trim() !== '');
      if (only?.kind === 'expression' && rest.length === 0) return { kind: 'expression', expression: only.expression, place: template.place };
      this.fail(token, 'an if is one expression: text around ${{ }} would make it always true');
      return template;
    }
    this.#checkExpression(template.text, token);
    return { kind: 'expression', expression: template.text, place: template.place };
  }

  templateMap(token: TemplateToken, what: string, namePattern?: RegExp): TemplateMap {
    return this.entries(token, what).map(({ key, name, value }) => {
      if (namePattern !== undefined && !namePattern.test(name)) this.fail(key, `${what}: ${JSON.stringify(name)} is not a valid name`);
      return { name, value: this.template(value, `${what}.${name}`) };
    });
  }

  /** What the schema allows in this place, and the functions that we have. */
  #checkExpression(expression: string, token: TemplateToken): void {
    const allowed = token.definitionInfo?.allowedContext ?? [];
    const functions = allowed.flatMap((entry) => {
      const match = /^(\w+)\((\d+),(\d+|MAX)\)$/.exec(entry);
      return match === null ? [] : [{ name: match[1] ?? '', minArgs: Number(match[2]), maxArgs: match[3] === 'MAX' ? 255 : Number(match[3]) }];
    });
    try {
      const parsed = this.#toolkit.parseExpression(expression, allowed.filter((entry) => !entry.includes('(')), functions);
      if (usedFunctions(parsed).includes('hashfiles')) this.fail(token, 'the function hashFiles is not supported');
    } catch (error) {
      const place = this.placeOf(token);
      const message = error instanceof Error ? error.message : String(error);
      // The schema check may have reported the very same expression already.
      if (!this.errors.some(({ line, column }) => line === place.line && column === place.column)) this.errors.push({ ...place, message });
    }
  }
}

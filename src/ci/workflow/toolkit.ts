import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';
import type * as expressionsPackage from '@actions/expressions';
import type { Expr, data } from '@actions/expressions';
import type { FunctionDefinition, FunctionInfo } from '@actions/expressions/funcs/info';
import type * as parserPackage from '@actions/workflow-parser';
import type { TemplateToken } from '@actions/workflow-parser/templates/tokens/template-token';
import type { ErrorPlace } from '../../kernel/mod.ts';

/**
 * GitHub's own workflow and expression parsers. This file alone knows the two packages; everything else of them goes by type.
 * They are loaded when ci opens, and not by import, because one of them imports JSON in a way that Node refuses without help.
 */
export class Toolkit {
  readonly #parser: typeof parserPackage;
  readonly #expressions: typeof expressionsPackage;

  constructor(parser: typeof parserPackage, expressions: typeof expressionsPackage) {
    this.#parser = parser;
    this.#expressions = expressions;
  }

  static async load(): Promise<Toolkit> {
    const hooks = registerHooks({
      load: (url, context, next) => {
        if (!url.endsWith('.min.json')) return next(url, context);
        return { format: 'module', shortCircuit: true, source: `export default ${readFileSync(fileURLToPath(url), 'utf8')}` };
      },
    });
    try {
      return new Toolkit(await import('@actions/workflow-parser'), await import('@actions/expressions'));
    } finally {
      hooks.deregister();
    }
  }

  /** Reads YAML and checks it against GitHub's schema of workflow files. */
  parseWorkflow(text: string, file: string): { root: TemplateToken | undefined; errors: ErrorPlace[] } {
    const { context, value } = this.#parser.parseWorkflow({ name: file, content: text }, new this.#parser.NoOperationTraceWriter());
    const errors = context.errors.getErrors().map(({ rawMessage, range }): ErrorPlace => ({ file, message: firstLine(rawMessage), line: range?.start.line ?? 1, column: range?.start.column ?? 1 }));
    return { root: value, errors };
  }

  /** Parses one expression, without the `${{ }}`. Throws Error with a readable message. */
  parseExpression(text: string, contexts: readonly string[], functions: readonly FunctionInfo[]): Expr {
    const { tokens } = new this.#expressions.Lexer(text).lex();
    // The lexer takes back the doubling of quotes in a string only once.
    for (const token of tokens) if (typeof token.value === 'string' && token.lexeme.startsWith("'")) token.value = token.lexeme.slice(1, -1).replaceAll("''", "'");
    return new this.#expressions.Parser(tokens, [...contexts], [...functions]).parse();
  }

  /** The expression's value as JSON. Every context that it names must be in `contexts`. */
  evaluate(expression: Expr, contexts: Readonly<Record<string, unknown>>, functions: ReadonlyMap<string, FunctionDefinition>): data.ExpressionData {
    const dictionary = JSON.parse(JSON.stringify(contexts), this.#expressions.data.reviver) as data.Dictionary;
    return new this.#expressions.Evaluator(expression, dictionary, new Map(functions)).evaluate();
  }

  boolean(value: boolean): data.ExpressionData {
    return new this.#expressions.data.BooleanData(value);
  }
}

/** YAML's messages repeat the place and quote the source below. */
function firstLine(message: string): string {
  return (message.split('\n')[0] ?? '').replace(/ at line \d+, column \d+:?$/, '');
}

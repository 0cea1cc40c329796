import { type Environment, Optional } from '@marcbachmann/cel-js';
import { compilePattern } from '../../../../api/mod.ts';
import { labelValueProblem, nameProblem, qualifiedNameProblem } from '../../validation/names.ts';
import { formatProblem } from '../../validation/formats.ts';
import { namedClass } from './named-class.ts';

/** A longer text is not searched by a pattern of an expression: JavaScript's engine has no bound of its own. */
const maxSearchedLength = 10_000;

/** Strings beyond CEL's own: Kubernetes' regular expressions and the string extensions. */
export function registerTexts(env: Environment): void {
  env.registerFunction('string.find(string): string', (text: string, pattern: string) => search(text, pattern).exec(text)?.[0] ?? '');
  env.registerFunction('string.findAll(string): list<string>', (text: string, pattern: string) => allMatches(text, pattern));
  env.registerFunction('string.findAll(string, int): list<string>', (text: string, pattern: string, limit: bigint) => (limit < 0n ? allMatches(text, pattern) : allMatches(text, pattern).slice(0, Number(limit))));
  env.registerFunction('string.charAt(int): string', (text: string, index: bigint) => {
    const characters = Array.from(text);
    if (index < 0n || index > BigInt(characters.length)) throw new Error(`index out of range: ${index}`);
    return characters[Number(index)] ?? '';
  });
  env.registerFunction('string.replace(string, string): string', (text: string, from: string, to: string) => text.replaceAll(from, () => to));
  env.registerFunction('string.replace(string, string, int): string', (text: string, from: string, to: string, limit: bigint) => replaceSome(text, from, to, Number(limit)));
  env.registerFunction('string.reverse(): string', (text: string) => Array.from(text).toReversed().join(''));
}

function search(text: string, pattern: string): RegExp {
  if (text.length > maxSearchedLength) throw new Error(`texts of more than ${maxSearchedLength} characters are not searched`);
  return compilePattern(pattern);
}

function allMatches(text: string, pattern: string): string[] {
  const one = search(text, pattern);
  return [...text.matchAll(new RegExp(one.source, `${one.flags}g`))].map(([found]) => found);
}

function replaceSome(text: string, from: string, to: string, limit: number): string {
  if (limit < 0) return text.replaceAll(from, () => to);
  let result = text;
  for (let at = 0, done = 0; done < limit; done += 1) {
    const found = result.indexOf(from, at);
    if (found < 0) break;
    result = result.slice(0, found) + to + result.slice(found + from.length);
    at = found + to.length + (from === '' ? 1 : 0);
  }
  return result;
}

/** A named format: says what is wrong with a text. */
export class CelFormat {
  readonly problems: (text: string) => string[];

  constructor(problems: (text: string) => string[]) {
    this.problems = problems;
  }
}

const byProblem = (check: (text: string) => string | undefined): CelFormat =>
  new CelFormat((text) => {
    const problem = check(text);
    return problem === undefined ? [] : [problem];
  });
const byFormat = (format: string): CelFormat => byProblem((text) => (formatProblem(format, text) ? `must be of type ${format}` : undefined));

/** The formats of `format.named()`. Names with "Prefix" may end in a dash. */
export const namedFormats: Readonly<Record<string, CelFormat>> = {
  dns1123Label: byProblem((text) => nameProblem('label', text)),
  dns1123Subdomain: byProblem((text) => nameProblem('subdomain', text)),
  dns1035Label: byProblem((text) => nameProblem('dns1035', text)),
  qualifiedName: byProblem(qualifiedNameProblem),
  dns1123LabelPrefix: byProblem((text) => nameProblem('label', text.replace(/-$/, 'a'))),
  dns1123SubdomainPrefix: byProblem((text) => nameProblem('subdomain', text.replace(/-$/, 'a'))),
  dns1035LabelPrefix: byProblem((text) => nameProblem('dns1035', text.replace(/-$/, 'a'))),
  labelValue: byProblem(labelValueProblem),
  uri: byFormat('uri'),
  uuid: byFormat('uuid'),
  byte: byFormat('byte'),
  date: byFormat('date'),
  datetime: byFormat('date-time'),
};

/** `format.dns1123Label().validate(text)` and the like. */
export function registerFormats(env: Environment): void {
  const FormatNamespace = namedClass('FormatNamespace');
  const type = 'kubernetes.NamedFormat';
  env.registerType(type, { ctor: CelFormat, fields: {} });
  env.registerType('kubernetes.FormatNamespace', { ctor: FormatNamespace, fields: {} });
  env.registerConstant('format', 'kubernetes.FormatNamespace', new FormatNamespace());
  for (const [name, format] of Object.entries(namedFormats)) env.registerFunction(`kubernetes.FormatNamespace.${name}(): ${type}`, () => format);
  env.registerFunction(`kubernetes.FormatNamespace.named(string): optional<${type}>`, (_: unknown, name: string) => {
    const found = Object.hasOwn(namedFormats, name) ? namedFormats[name] : undefined;
    return found === undefined ? Optional.none() : Optional.of(found);
  });
  env.registerFunction(`${type}.validate(string): optional<list<string>>`, ({ problems }: CelFormat, text: string) => {
    const found = problems(text);
    return found.length === 0 ? Optional.none() : Optional.of(found);
  });
}

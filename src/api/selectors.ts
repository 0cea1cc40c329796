import { GantryError } from '../kernel/mod.ts';
import type { LabelSelector } from './kubernetes/types.gen.ts';

/** One condition on a set of labels. Numbers compare for `>` and `<`. */
export interface LabelRequirement {
  readonly key: string;
  readonly operator: 'in' | 'notin' | 'exists' | 'absent' | 'gt' | 'lt';
  readonly values: readonly string[];
}

type Labels = Readonly<Record<string, string>> | undefined;

/** Whether the labels meet all requirements. No requirement: everything. */
export function matchesLabels(requirements: readonly LabelRequirement[], labels: Labels): boolean {
  return requirements.every((requirement) => matchesOne(requirement, labels));
}

function matchesOne({ key, operator, values }: LabelRequirement, labels: Labels): boolean {
  const value = labels !== undefined && Object.hasOwn(labels, key) ? labels[key] : undefined;
  switch (operator) {
    case 'in':
      return value !== undefined && values.includes(value);
    case 'notin':
      return value === undefined || !values.includes(value);
    case 'exists':
      return value !== undefined;
    case 'absent':
      return value === undefined;
    case 'gt':
      return value !== undefined && Number(value) > Number(values[0]);
    case 'lt':
      return value !== undefined && Number(value) < Number(values[0]);
  }
}

/** The requirements of a LabelSelector. Undefined selects nothing and an empty one everything, so undefined is returned as undefined. */
export function requirementsOf(selector: LabelSelector | undefined): LabelRequirement[] | undefined {
  if (selector === undefined) return undefined;
  const operators = { In: 'in', NotIn: 'notin', Exists: 'exists', DoesNotExist: 'absent' } as const;
  return [
    ...Object.entries(selector.matchLabels ?? {}).map(([key, value]): LabelRequirement => ({ key, operator: 'in', values: [value] })),
    ...(selector.matchExpressions ?? []).map(({ key, operator, values }): LabelRequirement => {
      const known = operators[operator as keyof typeof operators];
      if (known === undefined) throw new GantryError('invalid', `"${operator}" is not a valid label selector operator`);
      return { key, operator: known, values: values ?? [] };
    }),
  ];
}

/** Whether a LabelSelector selects the labels. Undefined selects nothing. */
export function selectorMatches(selector: LabelSelector | undefined, labels: Labels): boolean {
  const requirements = requirementsOf(selector);
  return requirements !== undefined && matchesLabels(requirements, labels);
}

/** Reads `a=b,c!=d,e in (f,g),h,!i,j>1`. `invalid` names what it could not read. */
export function parseLabelSelector(text: string): LabelRequirement[] {
  const requirements: LabelRequirement[] = [];
  let rest = text.trim();
  while (rest !== '') {
    const match = requirementGrammar.exec(rest);
    if (match === null) throw new GantryError('invalid', `unable to parse requirement: ${JSON.stringify(rest)}`);
    requirements.push(toRequirement(match));
    rest = rest.slice(match[0].length);
    if (rest === '') break;
    if (!rest.startsWith(',')) throw new GantryError('invalid', `unable to parse requirement: found '${rest}', expected: ',' or 'end of string'`);
    rest = rest.slice(1).trimStart();
    if (rest === '') throw new GantryError('invalid', 'unable to parse requirement: found \'\', expected: !, identifier, or \'end of string\'');
  }
  return requirements;
}

const keyGrammar = String.raw`([A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?)`;
const requirementGrammar = new RegExp(String.raw`^(?:(!)\s*${keyGrammar}|${keyGrammar}(?:\s+(in|notin)\s*\(([^()]*)\)|\s*(==|=|!=|>|<)\s*([-A-Za-z0-9_.]*))?)\s*`);

function toRequirement(match: RegExpExecArray): LabelRequirement {
  const [, , absentKey, key = '', setOperator, set = '', sign, value = ''] = match;
  if (absentKey !== undefined) return { key: absentKey, operator: 'absent', values: [] };
  if (setOperator !== undefined) return { key, operator: setOperator as 'in' | 'notin', values: set.split(',').map((part) => part.trim()) };
  if (sign === undefined) return { key, operator: 'exists', values: [] };
  if (sign === '>' || sign === '<') {
    if (!/^-?\d+$/.test(value)) throw new GantryError('invalid', `values[0]: Invalid value: "${value}": for 'Gt', 'Lt' operators, the value must be an integer`);
    return { key, operator: sign === '>' ? 'gt' : 'lt', values: [value] };
  }
  return { key, operator: sign === '!=' ? 'notin' : 'in', values: [value] };
}

/** The text form of requirements, as `kubectl -l` and status.selector of scale take it. */
export function formatLabelSelector(requirements: readonly LabelRequirement[]): string {
  return requirements
    .map(({ key, operator, values }) => {
      if (operator === 'exists') return key;
      if (operator === 'absent') return `!${key}`;
      if (operator === 'gt' || operator === 'lt') return `${key}${operator === 'gt' ? '>' : '<'}${values[0] ?? ''}`;
      if (values.length === 1) return `${key}${operator === 'in' ? '=' : '!='}${values[0] ?? ''}`;
      return `${key} ${operator} (${values.join(',')})`;
    })
    .join(',');
}

/** One condition of a field selector. */
export interface FieldRequirement { readonly field: string; readonly isEqual: boolean; readonly value: string }

/** Reads `metadata.name=x,status.phase!=Running`. A backslash escapes `,`, `=` and itself. */
export function parseFieldSelector(text: string): FieldRequirement[] {
  const parts = text.match(/(?:\\.|[^,\\])+/g) ?? [];
  return parts.map((part) => {
    const match = /^((?:\\.|[^=!\\])+)(!=|==|=)(.*)$/s.exec(part);
    if (match === null) throw new GantryError('invalid', `invalid selector: '${text}'; can't understand '${part}'`);
    return { field: match[1] ?? '', isEqual: match[2] !== '!=', value: (match[3] ?? '').replaceAll(/\\(.)/gs, '$1') };
  });
}

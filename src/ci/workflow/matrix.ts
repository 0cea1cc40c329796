import type { TemplateToken } from '@actions/workflow-parser/templates/tokens/template-token';
import type { TokenReader } from './token-reader.ts';

type Value = string | number | boolean | null | readonly Value[] | { readonly [name: string]: Value };
type Combination = Readonly<Record<string, Value>>;

/** `strategy.matrix`, of plain values only: a matrix computed from other jobs is not supported. */
export interface Matrix {
  readonly axes: readonly { readonly name: string; readonly values: readonly Value[] }[];
  readonly include: readonly Combination[];
  readonly exclude: readonly Combination[];
  /** Whether the first failure cancels the other jobs of the matrix. */
  readonly isFailFast: boolean;
}

/** GitHub's limit. */
const maxCombinations = 256;

export function parseStrategy(reader: TokenReader, token: TemplateToken): Matrix | undefined {
  let matrix: Omit<Matrix, 'isFailFast'> | undefined;
  let isFailFast = true;
  reader.mapping(token, 'strategy', {
    matrix: (value) => { matrix = readMatrix(reader, value); },
    'fail-fast': (value) => { isFailFast = reader.literal(value, 'fail-fast') !== 'false'; },
  });
  return matrix === undefined ? undefined : { ...matrix, isFailFast };
}

function readMatrix(reader: TokenReader, token: TemplateToken): Omit<Matrix, 'isFailFast'> {
  const axes: { name: string; values: Value[] }[] = [];
  let include: Combination[] = [];
  let exclude: Combination[] = [];
  for (const { key, name, value } of reader.entries(token, 'matrix')) {
    if (!reader.isSequence(value)) {
      reader.fail(value, `matrix.${name} must be a list`);
      continue;
    }
    const values = reader.items(value).map((item) => readValue(reader, item));
    if (name === 'include') include = values.filter(isCombination);
    else if (name === 'exclude') exclude = values.filter(isCombination);
    else if (values.length === 0) reader.fail(key, `matrix.${name} is empty`);
    else axes.push({ name, values });
  }
  const matrix = { axes, include, exclude };
  const count = expandMatrix(matrix).length;
  if (count === 0) reader.fail(token, 'the matrix has no combination');
  if (count > maxCombinations) reader.fail(token, `the matrix has ${count} combinations; at most ${maxCombinations} are run`);
  return matrix;
}

function readValue(reader: TokenReader, token: TemplateToken): Value {
  if (reader.isSequence(token)) return reader.items(token).map((item) => readValue(reader, item));
  if (reader.isMapping(token)) return Object.fromEntries(reader.entries(token, 'matrix').map(({ name, value }) => [name, readValue(reader, value)]));
  if (token.isExpression) reader.fail(token, 'a matrix must be plain values; expressions are not supported here');
  return token.toJSON() as Value;
}

function isCombination(value: Value): value is Combination {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The combinations, by GitHub's rules: all of the axes less `exclude`; then each `include` adds to those it does not contradict, or is one more. */
export function expandMatrix({ axes, include, exclude }: Omit<Matrix, 'isFailFast'>): Combination[] {
  let combinations: Record<string, Value>[] = axes.length === 0 ? [] : [{}];
  for (const { name, values } of axes) combinations = combinations.flatMap((combination) => values.map((value) => ({ ...combination, [name]: value })));
  const kept = combinations.filter((combination) => !exclude.some((excluded) => Object.entries(excluded).every(([name, value]) => same(combination[name], value))));
  const originals = kept.map((combination) => ({ ...combination }));
  const added: Record<string, Value>[] = [];
  for (const extra of include) {
    const axisEntries = Object.entries(extra).filter(([name]) => axes.some((axis) => axis.name === name));
    const matching = kept.filter((_, index) => axisEntries.every(([name, value]) => same(originals[index]?.[name], value)));
    if (matching.length === 0) added.push({ ...extra });
    for (const combination of matching) Object.assign(combination, extra);
  }
  return [...kept, ...added];
}

function same(a: Value | undefined, b: Value): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

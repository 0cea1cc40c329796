import type { TestLevel } from '../../api/mod.ts';

const patterns: readonly [RegExp, TestLevel][] = [
  [/(?<![a-z0-9])(?:e2e|end[-_ ]?to[-_ ]?end|acceptance|smoke)(?![a-z])/i, 'e2e'],
  [/(?<![a-z])integration|(?<![a-z])integ(?![a-z])/i, 'integration'],
  [/(?<![a-z])units?(?![a-z])/i, 'unit'],
];

/** The level of tests by what they are called: the first of the texts that names one decides (step, script, job); else unit. */
export function testLevelOf(texts: readonly string[]): TestLevel {
  for (const text of texts) for (const [pattern, level] of patterns) if (pattern.test(text)) return level;
  return 'unit';
}

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parseConsoleReport } from './console.ts';
import { testLevelOf } from './level.ts';
import { parseReportFile } from './report-files.ts';
import { addCounts, describeCounts, toFailedTests } from './test-report.ts';

/** What the real test runners wrote for the same few tests; only stack traces are shortened. */
function fixture(name: string): string {
  return readFileSync(new URL(`fixtures/${name}`, import.meta.url), 'utf8');
}

test('parseReportFile() reads what Jest, Mocha and Node write', () => {
  const cases: [file: string, counts: [passed: number, failed: number, skipped: number], failures: string[]][] = [
    ['jest.json', [2, 3, 2], ['cart › totals › adds items', 'top level fails', '/workspace/jest/broken.test.js cannot be run']],
    ['jest-junit.xml', [3, 2, 1], ['cart totals adds items', 'top level fails']],
    ['mocha.json', [1, 2, 1], ['Cart fails here', 'Cart totals adds items']],
    ['mocha-xunit.xml', [1, 2, 1], ['Cart › fails here', 'Cart totals › adds items']],
    ['node-junit.xml', [1, 1, 2], ['cart › adds items']],
  ];
  for (const [file, counts, failures] of cases) {
    const report = parseReportFile(file, fixture(file));
    assert.deepEqual(report && [report.passed, report.failed, report.skipped], counts, file);
    assert.deepEqual(report?.failures.map(({ name }) => name), failures, file);
  }
  assert.deepEqual(parseReportFile('node-junit.xml', fixture('node-junit.xml'))?.failures, [{ name: 'cart › adds items', message: '1 == 2', file: '/workspace/nt/a.test.mjs' }]);
  assert.equal(parseReportFile('jest.json', fixture('jest.json'))?.failures[0]?.message, 'Error: expect(received).toBe(expected) // Object.is equality\n\nExpected: 3\nReceived: 2');
});

test('parseReportFile() takes nothing for a report that is none', () => {
  const cases: [path: string, text: string][] = [
    ['a.xml', '<html></html>'],
    ['a.xml', '<testsuite><testcase'],
    ['a.xml', '<!DOCTYPE x [<!ENTITY a "b">]><testsuite><testcase name="&a;"/></testsuite>'],
    ['a.json', '{}'],
    ['a.json', '{"numTotalTests": 3}'],
    ['a.json', '{'],
    ['a.json', '[]'],
  ];
  for (const [path, text] of cases) assert.equal(parseReportFile(path, text), undefined, text);
});

test('parseConsoleReport() reads the summaries of test runners', () => {
  const cases: [file: string, counts: [passed: number, failed: number, skipped: number], failures: string[]][] = [
    ['jest.txt', [2, 3, 2], ['cart › totals › adds items', 'top level fails', 'jest/broken.test.js cannot be run']],
    ['mocha.txt', [1, 2, 1], ['Cart › fails here', 'Cart › totals › adds items']],
    ['node-spec.txt', [1, 1, 2], ['adds items']],
    ['node-tap.txt', [1, 1, 2], ['adds items']],
    ['vitest.txt', [1, 1, 1], ['cart > adds items']],
    ['pytest.txt', [1, 2, 1], ['py/test_a.py::test_bad', 'py/test_a.py::test_err']],
    ['go.txt', [1, 1, 1], ['TestBad']],
  ];
  for (const [file, counts, failures] of cases) {
    const report = parseConsoleReport(fixture(file));
    assert.deepEqual(report && [report.passed, report.failed, report.skipped], counts, file);
    assert.deepEqual(report?.failures.map(({ name }) => name), failures, file);
  }
});

test('parseConsoleReport() adds up two runners, and sees no test where none ran', () => {
  const both = parseConsoleReport(`${fixture('jest.txt')}\n${fixture('mocha.txt')}`);
  assert.deepEqual(both && [both.passed, both.failed, both.skipped], [3, 5, 3]);
  assert.equal(parseConsoleReport('up to date, audited 1 package\n3 passing cars\n'), undefined);
  assert.deepEqual(parseConsoleReport('  0 passing (1ms)\n'), { passed: 0, failed: 0, skipped: 0, failures: [] });
});

test('testLevelOf() goes by the first name that says a level', () => {
  const cases: [texts: string[], expected: string][] = [
    [['Run npm test', 'npm test', 'build'], 'unit'],
    [['', 'npm run test:integration', 'unit'], 'integration'],
    [['', 'npx mocha test/e2e/*.js'], 'e2e'],
    [['End-to-end', 'npm test'], 'e2e'],
    [['', 'npm test', 'integration-tests'], 'integration'],
    [['Disintegrate'], 'unit'],
    [['', 'npm run community'], 'unit'],
  ];
  for (const [texts, expected] of cases) assert.equal(testLevelOf(texts), expected, texts.join('|'));
});

test('counts are added and described by level', () => {
  const counts = addCounts([{ level: 'e2e', passed: 2, failed: 0, skipped: 0 }, { level: 'unit', passed: 5, failed: 1, skipped: 1 }, { level: 'unit', passed: 6, failed: 0, skipped: 0 }]);
  assert.deepEqual(counts, [{ level: 'unit', passed: 11, failed: 1, skipped: 1 }, { level: 'e2e', passed: 2, failed: 0, skipped: 0 }]);
  assert.equal(describeCounts(counts), 'unit: 1 of 12 failed, e2e: 2 passed');
  const failures = Array.from({ length: 150 }, (_, index) => ({ name: `t${index}`, message: 'x'.repeat(5000) }));
  const kept = toFailedTests('unit', { passed: 0, failed: 150, skipped: 0, failures });
  assert.deepEqual([kept.length, kept[0]?.message?.length], [100, 1000]);
});

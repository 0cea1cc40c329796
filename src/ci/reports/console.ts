import { plain } from './json-reports.ts';
import { addReports, type TestReport } from './test-report.ts';

/** Reads the summaries that test runners print. Undefined when there is none; several (two runners in one script) are added up. */
export function parseConsoleReport(output: string): TestReport | undefined {
  const lines = plain(output).split(/\r?\n/);
  const found = [...parseJest(lines), ...parseVitest(lines), ...parseMocha(lines), ...parseNodeTest(lines), ...parsePytest(lines), ...parseGoTest(lines)];
  return found.length === 0 ? undefined : addReports(found);
}

/** `1 failed, 2 skipped, 9 passed` as figures by word. */
function figures(text: string): Record<string, number> {
  return Object.fromEntries([...text.matchAll(/(\d+) ([a-z]+)/g)].map(([, count, word = '']) => [word, Number(count)]));
}

function unique(names: readonly string[]): { name: string }[] {
  return [...new Set(names)].map((name) => ({ name }));
}

function parseJest(lines: readonly string[]): TestReport[] {
  return lines.flatMap((line) => {
    const summary = /^Tests: +(.* total)$/.exec(line)?.[1];
    if (summary === undefined) return [];
    const { passed = 0, failed = 0, skipped = 0, todo = 0 } = figures(summary);
    const names = lines.flatMap((other) => /^ {2}● (.+)$/.exec(other)?.[1] ?? []).filter((name) => name !== notRunnable && name !== 'Console');
    const broken = brokenJestFiles(lines);
    return [{ passed, failed: failed + broken.length, skipped: skipped + todo, failures: unique([...(failed > 0 ? names : []), ...broken.map((file) => `${file} cannot be run`)]) }];
  });
}

const notRunnable = 'Test suite failed to run';

/** Test files that could not even be loaded: no test of theirs is counted, and each is a failure all the same. */
function brokenJestFiles(lines: readonly string[]): string[] {
  const found = lines.flatMap((line, index) => (line === `  ● ${notRunnable}` ? (/^FAIL (\S+)/.exec(lines[index - 1] ?? '')?.[1] ?? []) : []));
  return [...new Set(found)];
}

function parseVitest(lines: readonly string[]): TestReport[] {
  return lines.flatMap((line) => {
    const summary = /^ +Tests {2,}(.*) \(\d+\)$/.exec(line)?.[1];
    if (summary === undefined) return [];
    const { passed = 0, failed = 0, skipped = 0, todo = 0 } = figures(summary);
    const names = lines.flatMap((other) => /^ *FAIL +\S+ > (.+)$/.exec(other)?.[1] ?? []);
    return [{ passed, failed, skipped: skipped + todo, failures: unique(names) }];
  });
}

function parseMocha(lines: readonly string[]): TestReport[] {
  return lines.flatMap((line, index) => {
    const passed = /^ {2}(\d+) passing \(.*\)$/.exec(line)?.[1];
    if (passed === undefined) return [];
    const after = lines.slice(index + 1);
    const next = after.findIndex((other) => /^ {2}\d+ passing \(.*\)$/.test(other));
    const section = next < 0 ? after : after.slice(0, next);
    const figure = (word: string): number => Number(section.map((other) => new RegExp(`^ {2}(\\d+) ${word}$`).exec(other)?.[1]).find((value) => value !== undefined) ?? 0);
    return [{ passed: Number(passed), failed: figure('failing'), skipped: figure('pending'), failures: mochaFailures(section) }];
  });
}

/** `1) Suite`, further suites indented below, and the test's own line, which ends with a colon. */
function mochaFailures(section: readonly string[]): { name: string }[] {
  return section.flatMap((line, index) => {
    const first = /^ {2}\d+\) (.*)$/.exec(line)?.[1];
    if (first === undefined) return [];
    const titles = [first];
    for (const next of section.slice(index + 1, index + 10)) {
      if (titles.at(-1)?.endsWith(':') === true || !/^ {4,}\S/.test(next)) break;
      titles.push(next.trim());
    }
    return [{ name: titles.join(' › ').replace(/:$/, '') }];
  });
}

/** The spec reporter's `ℹ tests 12` and TAP's `# tests 12`. */
function parseNodeTest(lines: readonly string[]): TestReport[] {
  const reports: TestReport[] = [];
  let current: Record<string, number> | undefined;
  let names: string[] = [];
  let isFailureList = false;
  const finish = (): void => {
    if (current === undefined || !('pass' in current)) return;
    reports.push({ passed: current.pass ?? 0, failed: (current.fail ?? 0) + (current.cancelled ?? 0), skipped: (current.skipped ?? 0) + (current.todo ?? 0), failures: (current.fail ?? 0) > 0 ? unique(names) : [] });
    names = [];
  };
  for (const [index, line] of lines.entries()) {
    const [, word = '', count] = /^(?:ℹ|#) (tests|suites|pass|fail|cancelled|skipped|todo) (\d+)$/.exec(line) ?? [];
    if (word === 'tests') {
      finish();
      current = {};
      isFailureList = false;
    }
    if (current !== undefined && word !== '') current[word] = Number(count);
    if (/^✖ failing tests:$/.test(line)) isFailureList = true;
    const name = isFailureList ? /^ *✖ (.+?) \([\d.]+ms\)$/.exec(line)?.[1] : /^ *not ok \d+ - (.+?)(?: # .*)?$/.exec(line)?.[1];
    // A suite fails because a test in it did.
    if (name !== undefined && !lines.slice(index, index + 8).some((next) => next.trim() === "failureType: 'subtestsFailed'")) names.push(name);
  }
  finish();
  return reports;
}

function parsePytest(lines: readonly string[]): TestReport[] {
  return lines.flatMap((line) => {
    const summary = /^=+ (.*\b(?:passed|failed|skipped|error|errors)\b.*) in [\d.]+s.*=+$/.exec(line)?.[1];
    if (summary === undefined) return [];
    const { passed = 0, failed = 0, skipped = 0, xfailed = 0, error = 0, errors = 0 } = figures(summary);
    const names = lines.flatMap((other) => /^(?:FAILED|ERROR) (\S+::\S+)/.exec(other)?.[1] ?? []);
    return [{ passed, failed: failed + error + errors, skipped: skipped + xfailed, failures: unique(names) }];
  });
}

/** `go test -v`; without -v Go does not tell how many tests there were. */
function parseGoTest(lines: readonly string[]): TestReport[] {
  const results = lines.flatMap((line) => {
    const match = /^--- (PASS|FAIL|SKIP): (\S+) \(\d+\.\d+s\)$/.exec(line);
    return match === null ? [] : [{ result: match[1], name: match[2] ?? '' }];
  });
  if (results.length === 0) return [];
  const count = (result: string): number => results.filter((entry) => entry.result === result).length;
  return [{ passed: count('PASS'), failed: count('FAIL'), skipped: count('SKIP'), failures: unique(results.filter(({ result }) => result === 'FAIL').map(({ name }) => name)) }];
}

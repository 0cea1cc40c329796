import type { FailedTest, TestCounts, TestLevel } from '../../api/mod.ts';

/** What one report, or one test runner's summary, says. */
export interface TestReport {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly failures: readonly { readonly name: string; readonly message?: string; readonly file?: string }[];
}

export const emptyReport: TestReport = { passed: 0, failed: 0, skipped: 0, failures: [] };

/** How many failures a run keeps by name, and how much of each message. */
const maxFailures = 100;
const maxMessageLength = 1000;

export function addReports(reports: readonly TestReport[]): TestReport {
  return reports.reduce((sum, { passed, failed, skipped, failures }) => ({ passed: sum.passed + passed, failed: sum.failed + failed, skipped: sum.skipped + skipped, failures: [...sum.failures, ...failures] }), emptyReport);
}

/** Failed tests as a run's status keeps them. */
export function toFailedTests(level: TestLevel, report: TestReport): FailedTest[] {
  return report.failures.slice(0, maxFailures).map(({ name, message, file }) => ({
    level,
    name: name.slice(0, 500),
    ...(message === undefined || message === '' ? {} : { message: message.slice(0, maxMessageLength) }),
    ...(file === undefined ? {} : { file }),
  }));
}

const levels: readonly TestLevel[] = ['unit', 'integration', 'e2e'];

/** Adds up by level; levels without tests are left out, and the order is unit, integration, e2e. */
export function addCounts(counts: readonly TestCounts[]): TestCounts[] {
  return levels.flatMap((level) => {
    const own = counts.filter((count) => count.level === level);
    const sum = (field: 'passed' | 'failed' | 'skipped'): number => own.reduce((total, count) => total + count[field], 0);
    return own.length === 0 ? [] : [{ level, passed: sum('passed'), failed: sum('failed'), skipped: sum('skipped') }];
  });
}

/** `unit: 1 of 12 failed`, or `unit: 12 passed`; several levels are joined by commas. Skipped tests are in neither figure. */
export function describeCounts(counts: readonly TestCounts[]): string {
  const parts = counts.map(({ level, passed, failed }) => (failed > 0 ? `${level}: ${failed} of ${passed + failed} failed` : `${level}: ${passed} passed`));
  return parts.join(', ');
}

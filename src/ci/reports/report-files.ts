import { parseJsonReport } from './json-reports.ts';
import { parseJunitXml } from './junit.ts';
import type { TestReport } from './test-report.ts';

/** A report file is looked at up to this size; larger ones are none. */
export const maxReportBytes = 8 << 20;
/** At most this many report files of one step are read. */
export const maxReportFiles = 500;

/**
 * Names under which test runners leave reports, as patterns of find(1): anywhere in the workspace but in node_modules and .git, and
 * everything that is XML or JSON in folders named for reports. Whether a file is a report is decided by what is in it.
 */
export const reportNamePatterns = ['junit*.xml', '*-junit.xml', 'TEST-*.xml', 'test-report*.xml', 'test-results*.xml', 'jest-results*.json', 'jest-report*.json', 'mocha-results*.json', 'mocha-report*.json', 'test-results*.json', 'test-report*.json'] as const;
export const reportFolderPatterns = ['*/test-results/*', '*/test-reports/*', '*/reports/*'] as const;

/** The report in the file, or undefined when it is none. */
export function parseReportFile(path: string, text: string): TestReport | undefined {
  return path.endsWith('.xml') ? parseJunitXml(text) : parseJsonReport(text);
}

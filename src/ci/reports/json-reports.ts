import { z } from 'zod';
import type { TestReport } from './test-report.ts';

/** `jest --json`: what Jest's and Vitest's reporters share. */
const jestSchema = z.object({
  numTotalTests: z.number(),
  testResults: z.array(
    z.object({
      name: z.string().optional(),
      message: z.string().optional(),
      status: z.string().optional(),
      assertionResults: z.array(z.object({ fullName: z.string().optional(), title: z.string(), ancestorTitles: z.array(z.string()).optional(), status: z.string(), failureMessages: z.array(z.string()).nullish() })),
    }),
  ),
});

/** `mocha --reporter json`. */
const mochaSchema = z.object({
  stats: z.object({ passes: z.number(), failures: z.number(), pending: z.number() }),
  failures: z.array(z.object({ fullTitle: z.string(), file: z.string().nullish(), err: z.object({ message: z.string().optional() }).optional() })),
});

/** Reads a Jest or Mocha JSON report. Undefined when the text is neither. */
export function parseJsonReport(text: string): TestReport | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const jest = jestSchema.safeParse(value);
  if (jest.success) return fromJest(jest.data);
  const mocha = mochaSchema.safeParse(value);
  return mocha.success ? fromMocha(mocha.data) : undefined;
}

function fromJest({ testResults }: z.infer<typeof jestSchema>): TestReport {
  const tests = testResults.flatMap((file) => file.assertionResults.map((test) => ({ ...test, file: file.name })));
  // A file that cannot even be loaded has no tests in the report, and is a failure all the same.
  const broken = testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0);
  const failed = tests.filter(({ status }) => status === 'failed');
  return {
    passed: tests.filter(({ status }) => status === 'passed').length,
    failed: failed.length + broken.length,
    skipped: tests.filter(({ status }) => ['pending', 'skipped', 'todo', 'disabled'].includes(status)).length,
    failures: [
      ...failed.map((test) => ({ name: [...(test.ancestorTitles ?? []), test.title].join(' › '), message: plain(test.failureMessages?.[0] ?? ''), ...(test.file === undefined ? {} : { file: test.file }) })),
      ...broken.map((file) => ({ name: `${file.name ?? 'a test file'} cannot be run`, message: plain(file.message ?? ''), ...(file.name === undefined ? {} : { file: file.name }) })),
    ],
  };
}

function fromMocha({ stats, failures }: z.infer<typeof mochaSchema>): TestReport {
  return {
    passed: stats.passes,
    failed: failures.length,
    skipped: stats.pending,
    failures: failures.map(({ fullTitle, file, err }) => ({ name: fullTitle, message: plain(err?.message ?? ''), ...(file === null || file === undefined ? {} : { file }) })),
  };
}

/** Without terminal colours. */
export function plain(text: string): string {
  // oxlint-disable-next-line no-control-regex -- escape sequences begin with a control character
  return text.replaceAll(/\u001b\[[0-9;?]*[A-Za-z]/g, '');
}

import { XMLParser } from 'fast-xml-parser';
import type { TestReport } from './test-report.ts';

type Element = Readonly<Record<string, unknown>>;

/** Reads JUnit XML (the de-facto schema of Jenkins). Undefined when the text is none. Counts test cases, never the attributes that claim a count. */
export function parseJunitXml(text: string): TestReport | undefined {
  // A document type could define entities that expand without end; no test runner writes one.
  if (!/<testsuites?[\s>]/.test(text) || text.includes('<!DOCTYPE')) return undefined;
  const parser = new XMLParser({ ignoreAttributes: false, attributeNamePrefix: '@', parseAttributeValue: false, parseTagValue: false, isArray: (name) => ['testsuite', 'testcase', 'failure', 'error'].includes(name) });
  let root: Element;
  try {
    root = parser.parse(text, true) as Element;
  } catch {
    return undefined;
  }
  const found = { passed: 0, failed: 0, skipped: 0, failures: [] as { name: string; message?: string; file?: string }[] };
  const visit = (element: Element): void => {
    for (const testcase of children(element, 'testcase')) {
      const faults = [...children(testcase, 'failure'), ...children(testcase, 'error')];
      if (faults.length > 0) {
        found.failed += 1;
        const file = attribute(testcase, 'file') ?? attribute(element, 'file');
        found.failures.push({ name: nameOf(testcase), message: messageOf(faults[0]), ...(file === undefined ? {} : { file }) });
      } else if ('skipped' in testcase) found.skipped += 1;
      else found.passed += 1;
    }
    for (const suite of children(element, 'testsuite')) visit(suite);
  };
  visit(root);
  for (const suites of children(root, 'testsuites')) visit(suites);
  return found;
}

function children(element: Element, name: string): Element[] {
  const value = element[name];
  const list: unknown[] = Array.isArray(value) ? value : value === undefined ? [] : [value];
  return list.map((item) => (typeof item === 'object' && item !== null ? (item as Element) : { '#text': item }));
}

function attribute(element: Element, name: string): string | undefined {
  const value = element[`@${name}`];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function nameOf(testcase: Element): string {
  const [suite, name] = [attribute(testcase, 'classname'), attribute(testcase, 'name') ?? 'unnamed test'];
  return suite === undefined || name.startsWith(suite) ? name.trim() : `${suite} › ${name}`;
}

function messageOf(fault: Element | undefined): string {
  const text = fault?.['#text'];
  return (fault === undefined ? undefined : attribute(fault, 'message')) ?? (typeof text === 'string' ? text.trim() : '');
}

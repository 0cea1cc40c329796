import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { resources, type Stored, type WorkflowRun } from '../../api/mod.ts';
import { type ErrorCode, GantryError } from '../../kernel/mod.ts';
import { formatAge, formatTable, print, printJson } from '../output.ts';
import { type InstanceOptions, interruptSignal, openSession } from '../session.ts';

interface RunOptions extends InstanceOptions { namespace: string }

export async function listRuns(options: RunOptions & { json?: boolean; repo?: string }): Promise<void> {
  await using session = await openSession(options);
  const { items } = await session.client.list(resources.workflowRuns, { namespace: options.namespace }, interruptSignal());
  const runs = items.filter(({ spec }) => options.repo === undefined || spec?.repository === options.repo).toSorted(byNewest);
  if (options.json === true) return printJson(runs);
  const rows = runs.map(({ metadata, spec, status }) => [
    metadata.name,
    spec?.repository ?? '',
    spec?.ref.replace('refs/heads/', '') ?? '',
    spec?.commit.slice(0, 10) ?? '',
    status?.phase ?? 'Queued',
    formatAge(metadata.creationTimestamp),
    status?.message ?? '',
  ]);
  print(formatTable(['NAME', 'REPOSITORY', 'REF', 'COMMIT', 'PHASE', 'AGE', 'MESSAGE'], rows));
}

function byNewest(a: Stored<WorkflowRun>, b: Stored<WorkflowRun>): number {
  return b.metadata.creationTimestamp.localeCompare(a.metadata.creationTimestamp) || b.metadata.name.localeCompare(a.metadata.name);
}

export async function showRun(name: string, options: RunOptions & { json?: boolean }): Promise<void> {
  await using session = await openSession(options);
  const run = await session.client.get(resources.workflowRuns, { namespace: options.namespace, name }, interruptSignal());
  if (options.json === true) return printJson(run);
  const { spec, status } = run;
  print(`run      ${name}\ncommit   ${spec?.repository ?? ''} ${spec?.ref ?? ''} ${spec?.commit ?? ''}\nphase    ${status?.phase ?? 'Queued'}${status?.message === undefined ? '' : `: ${status.message}`}`);
  for (const { level, passed, failed, skipped } of status?.tests ?? []) print(`tests    ${level}: ${passed} passed, ${failed} failed, ${skipped} skipped`);
  for (const { level, name: test, message } of status?.failedTests ?? []) print(`failed   ${level}: ${test}${message === undefined ? '' : `\n           ${message.split('\n')[0] ?? ''}`}`);
  for (const { reference } of status?.images ?? []) print(`image    ${reference}`);
  const rows = (status?.jobs ?? []).flatMap((job) => [
    [job.id, '', job.phase, seconds(job), job.message ?? ''],
    ...(job.steps ?? []).map((step) => ['', step.name, step.phase, seconds(step), step.exitCode === undefined || step.exitCode === 0 ? '' : `exit code ${step.exitCode}`]),
  ]);
  if (rows.length > 0) print(`\n${formatTable(['JOB', 'STEP', 'PHASE', 'TIME', ''], rows)}`);
}

function seconds({ startedAt, finishedAt }: { startedAt?: string; finishedAt?: string }): string {
  if (startedAt === undefined || finishedAt === undefined) return '-';
  return `${((Date.parse(finishedAt) - Date.parse(startedAt)) / 1000).toFixed(1)}s`;
}

/** Streams the logs from the server's web API to standard output. */
export async function printRunLogs(name: string, options: RunOptions & { job?: string; follow?: boolean }): Promise<void> {
  await using session = await openSession(options);
  const url = new URL(`/api/v1/runs/${encodeURIComponent(options.namespace)}/${encodeURIComponent(name)}/logs`, session.web.url);
  if (options.job !== undefined) url.searchParams.set('job', options.job);
  if (options.follow === true) url.searchParams.set('follow', 'true');
  const signal = interruptSignal();
  const response = await fetch(url, { headers: { authorization: `Bearer ${session.web.token}` }, signal });
  if (!response.ok) throw await webError(response);
  if (response.body !== null) await pipeline(Readable.fromWeb(response.body), process.stdout, { end: false, signal });
}

async function webError(response: Response): Promise<GantryError> {
  const code = ({ 400: 'invalid', 401: 'unauthenticated', 403: 'forbidden', 404: 'not-found', 503: 'unavailable' } as Record<number, ErrorCode>)[response.status] ?? 'internal';
  return new GantryError(code, (await response.text()).trim() || `the server answered ${response.status}`);
}

export async function cancelRun(name: string, options: RunOptions): Promise<void> {
  await using session = await openSession(options);
  await session.client.patch(resources.workflowRuns, { namespace: options.namespace, name }, { type: 'merge', body: { spec: { cancelRequested: true } } }, interruptSignal());
  print(`cancelling ${name}`);
}

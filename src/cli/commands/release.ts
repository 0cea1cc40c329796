import { type KubeObject, type Release, resources, type Stored } from '../../api/mod.ts';
import { formatAge, formatTable, print, printJson } from '../output.ts';
import { type InstanceOptions, interruptSignal, openSession } from '../session.ts';

interface ReleaseOptions extends InstanceOptions { namespace: string }

export async function listReleases(options: ReleaseOptions & { json?: boolean; repo?: string }): Promise<void> {
  await using session = await openSession(options);
  const { items } = await session.client.list(resources.releases, { namespace: options.namespace }, interruptSignal());
  const releases = items.filter(({ spec }) => options.repo === undefined || spec?.repository === options.repo).toSorted(byNewest);
  if (options.json === true) return printJson(releases);
  const rows = releases.map(({ metadata, spec, status }) => [
    metadata.name,
    spec?.repository ?? '',
    `${spec?.number ?? ''}`,
    spec?.commit.slice(0, 10) ?? '',
    status?.phase ?? 'Pending',
    formatAge(metadata.creationTimestamp),
    status?.message ?? '',
  ]);
  print(formatTable(['NAME', 'REPOSITORY', 'NUMBER', 'COMMIT', 'PHASE', 'AGE', 'MESSAGE'], rows));
}

function byNewest(a: Stored<Release>, b: Stored<Release>): number {
  return (a.spec?.repository ?? '').localeCompare(b.spec?.repository ?? '') || (b.spec?.number ?? 0) - (a.spec?.number ?? 0);
}

export async function showRelease(name: string, options: ReleaseOptions & { json?: boolean }): Promise<void> {
  await using session = await openSession(options);
  const release = await session.client.get(resources.releases, { namespace: options.namespace, name }, interruptSignal());
  if (options.json === true) return printJson(release);
  const { spec, status } = release;
  print(`release  ${name} (number ${spec?.number ?? '?'} of ${spec?.repository ?? '?'})\ncommit   ${spec?.commit ?? ''}`);
  print(`phase    ${status?.phase ?? 'Pending'}${status?.message === undefined ? '' : `: ${status.message}`}`);
  if (spec?.rollbackOf !== undefined) print(`takes back ${spec.rollbackOf}`);
  for (const { reference } of spec?.images ?? []) print(`image    ${reference}`);
  for (const url of status?.urls ?? []) print(`url      ${url}`);
  for (const manifest of spec?.manifests ?? []) print(`object   ${describe(manifest)}`);
}

function describe({ kind, metadata }: KubeObject): string {
  return `${kind ?? '?'} ${metadata?.name ?? '?'}`;
}

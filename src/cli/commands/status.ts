import { type k8s, type Release, resources, type Stored } from '../../api/mod.ts';
import { formatError, GantryError } from '../../kernel/mod.ts';
import { type Endpoints, endpointsOf, type Instance, type RegistryUsage, type Role, roleHolder, roles } from '../../server/mod.ts';
import { formatTable, print, printJson } from '../output.ts';
import { type InstanceOptions, interruptSignal, openInstanceOf, openSession, type Session } from '../session.ts';

interface Status {
  instanceId: string;
  dataDir: string;
  /** Only those that run. */
  processes: { name: Role; pid: number }[];
  endpoints: Endpoints;
  networks: { pods: string; services: string; containers: string };
  nodes: { name: string; isReady: boolean }[];
  applications: { namespace: string; repository: string; release: number; phase: string; commit: string; urls: string[] }[];
  /** What the registry's blobs use; with a warning when its disk budget is nearly used up. */
  registry?: RegistryUsage;
  /** Why nodes and applications are not known. */
  problem?: string;
}

/** Shows the instance as far as it answers: a stopped server is a fact to show and no failure. */
export async function status(options: InstanceOptions & { json?: boolean }): Promise<void> {
  const found = await readStatus(await openInstanceOf(options), options);
  if (options.json === true) return printJson(found);
  const { endpoints } = found;
  print(`instance     ${found.instanceId} in ${found.dataDir}`);
  print(`processes    ${found.processes.map(({ name, pid }) => `${name} (pid ${pid})`).join(', ') || 'none running'}`);
  print(`API          ${endpoints.api}\ngit, logs    ${endpoints.web}\nregistry     ${endpoints.registry}\nDocker       ${endpoints.docker}`);
  print(`networks     pods ${found.networks.pods}, services ${found.networks.services}, containers ${found.networks.containers}`);
  if (found.registry?.warning !== undefined) print(`warning      ${found.registry.warning}`);
  if (found.problem !== undefined) return print(`problem      ${found.problem}`);
  print(`nodes        ${found.nodes.map(({ name, isReady }) => `${name} (${isReady ? 'ready' : 'not ready'})`).join(', ') || 'none'}`);
  if (found.applications.length === 0) return print('applications none');
  const rows = found.applications.map((app) => [app.namespace, app.repository, `${app.release}`, app.phase, app.commit.slice(0, 10), app.urls.join(' ')]);
  print(`\n${formatTable(['NAMESPACE', 'REPOSITORY', 'RELEASE', 'PHASE', 'COMMIT', 'URL'], rows)}`);
}

async function readStatus(instance: Instance, options: InstanceOptions): Promise<Status> {
  const processes: Status['processes'] = [];
  for (const name of roles) {
    const holder = await roleHolder(instance.paths.runDir, name);
    if (holder !== undefined) processes.push({ name, pid: holder.pid });
  }
  const base: Status = {
    instanceId: instance.id,
    dataDir: instance.paths.dataDir,
    processes,
    endpoints: endpointsOf(instance),
    networks: { pods: instance.record.podCidr, services: instance.record.serviceCidr, containers: instance.record.containerCidr },
    nodes: [],
    applications: [],
  };
  if (!processes.some(({ name }) => name === 'server')) return { ...base, problem: 'the server is not running' };
  const signal = AbortSignal.any([interruptSignal(), AbortSignal.timeout(5000)]);
  try {
    await using session = await openSession({ dataDir: options.dataDir ?? instance.paths.dataDir });
    const [nodes, releases] = await Promise.all([session.client.list(resources.nodes, {}, signal), session.client.list(resources.releases, {}, signal)]);
    return { ...base, registry: await registryUsage(session, signal), nodes: nodes.items.map((node) => ({ name: node.metadata.name, isReady: isNodeReady(node) })), applications: currentReleases(releases.items) };
  } catch (error) {
    return { ...base, problem: `the server does not answer: ${formatError(error)}` };
  }
}

async function registryUsage({ web }: Session, signal: AbortSignal): Promise<RegistryUsage> {
  const response = await fetch(new URL('/api/v1/registry/usage', web.url), { headers: { authorization: `Bearer ${web.token}` }, signal });
  if (!response.ok) throw new GantryError('unavailable', `the registry's usage: ${response.status}`);
  return (await response.json()) as RegistryUsage;
}

function isNodeReady({ status }: k8s.Node): boolean {
  return status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') === true;
}

/** For each repository the release that serves, or else the newest. */
function currentReleases(releases: readonly Stored<Release>[]): Status['applications'] {
  const current = new Map<string, Stored<Release>>();
  for (const release of releases.toSorted((a, b) => (a.spec?.number ?? 0) - (b.spec?.number ?? 0))) {
    const key = `${release.metadata.namespace ?? ''}/${release.spec?.repository ?? ''}`;
    if (current.get(key)?.status?.phase !== 'Live' || release.status?.phase === 'Live') current.set(key, release);
  }
  return [...current.values()].map(({ metadata, spec, status }) => ({
    namespace: metadata.namespace ?? '',
    repository: spec?.repository ?? '',
    release: spec?.number ?? 0,
    phase: status?.phase ?? 'Pending',
    commit: spec?.commit ?? '',
    urls: status?.urls ?? [],
  }));
}

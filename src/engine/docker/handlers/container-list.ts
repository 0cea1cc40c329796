import { GantryError } from '../../../kernel/mod.ts';
import type { ContainerRecord, NetworkRecord } from '../../types.ts';
import { exposedPorts } from '../views/container.ts';
import { type Filters, flagFilter, matchesAny, matchesLabels, matchesName } from '../filters.ts';
import { parseContainerPort } from '../create/ports.ts';

export const containerFilterNames = ['ancestor', 'before', 'expose', 'exited', 'health', 'id', 'isolation', 'is-task', 'label', 'name', 'network', 'publish', 'since', 'status', 'volume'];

export interface SelectOptions {
  /** Also those that do not run. A filter of states means it too. */
  readonly showAll: boolean;
  readonly imageOf: (name: string) => string | undefined;
  readonly networks: readonly NetworkRecord[];
}

/** The containers `docker ps` shows, newest first. */
export function selectContainers(all: readonly ContainerRecord[], filters: Filters, options: SelectOptions): ContainerRecord[] {
  const { showAll, imageOf, networks } = options;
  checkValues(filters);
  const anyState = showAll || filters.has('status') || filters.has('exited') || filters.has('before') || filters.has('since');
  const find = (name: string): ContainerRecord => {
    const found = all.find(({ id, spec }) => spec.name === name.replace(/^\//, '') || (name.length >= 4 && id.startsWith(name)));
    if (found === undefined) throw new GantryError('not-found', `No such container: ${name}`);
    return found;
  };
  const bounds = { before: filters.get('before')?.map((name) => find(name).status.createdAt), since: filters.get('since')?.map((name) => find(name).status.createdAt) };
  const ancestors = filters.get('ancestor')?.map((name) => imageOf(name));
  return all
    .filter(({ status }) => anyState || status.state === 'running' || status.state === 'paused' || status.state === 'restarting')
    .filter(({ status }) => (bounds.before?.every((time) => status.createdAt < time) ?? true) && (bounds.since?.every((time) => status.createdAt > time) ?? true))
    .filter(({ spec }) => ancestors === undefined || ancestors.includes(spec.image.id))
    .filter((record) => fits(record, filters, networks))
    .toSorted((a, b) => (a.status.createdAt < b.status.createdAt ? 1 : -1));
}

function fits({ id, spec, status }: ContainerRecord, filters: Filters, networks: readonly NetworkRecord[]): boolean {
  const exposed = exposedPorts(spec);
  const isTask = flagFilter(filters, 'is-task');
  return (
    matchesAny(filters, 'id', (value) => id.startsWith(value)) &&
    matchesAny(filters, 'name', (value) => matchesName(spec.name, value)) &&
    matchesLabels(filters, spec.labels) &&
    matchesAny(filters, 'status', (value) => status.state === value) &&
    matchesAny(filters, 'exited', (value) => status.state === 'exited' && status.exitCode === Number(value)) &&
    matchesAny(filters, 'health', (value) => (status.health?.state ?? 'none') === value) &&
    matchesAny(filters, 'volume', (value) => spec.mounts.some((mount) => mount.target === value || (mount.type === 'volume' && mount.volume === value) || (mount.type === 'bind' && mount.source === value))) &&
    matchesAny(filters, 'network', (value) => networkNames({ spec, status } as ContainerRecord, networks).some((name) => name === value || (value.length >= 12 && name.startsWith(value)))) &&
    matchesAny(filters, 'publish', (value) => fitsPort(value, spec.ports.map(({ containerPort, protocol }) => `${containerPort}/${protocol}`))) &&
    matchesAny(filters, 'expose', (value) => fitsPort(value, exposed)) &&
    matchesAny(filters, 'isolation', (value) => value === 'default') &&
    (isTask === undefined || !isTask)
  );
}

function networkNames({ spec, status }: ContainerRecord, networks: readonly NetworkRecord[]): string[] {
  if (spec.network.mode === 'none' || spec.network.mode === 'host') return [spec.network.mode];
  const planned = spec.network.mode === 'bridge' ? spec.network.endpoints.map(({ network }) => network) : [];
  const ids = planned.flatMap((name) => networks.find((network) => network.id === name || network.spec.name === name) ?? []).flatMap((network) => [network.id, network.spec.name]);
  return [...planned, ...ids, ...status.endpoints.flatMap(({ networkId, networkName }) => [networkId, networkName])];
}

/** `80`, `80/tcp` or `80-90/tcp`. */
function fitsPort(value: string, ports: readonly string[]): boolean {
  const match = /^(\d+)-(\d+)(?:\/(\w+))?$/.exec(value);
  if (match === null) {
    const { port, protocol } = parseContainerPort(value);
    return ports.includes(`${port}/${protocol}`);
  }
  return ports.some((name) => {
    const { port, protocol } = parseContainerPort(name);
    return protocol === (match[3] ?? 'tcp') && port >= Number(match[1]) && port <= Number(match[2]);
  });
}

function checkValues(filters: Filters): void {
  const states = ['created', 'restarting', 'running', 'removing', 'paused', 'exited', 'dead'];
  const check = (name: string, isGood: (value: string) => boolean): void => {
    const wrong = filters.get(name)?.find((value) => !isGood(value));
    if (wrong !== undefined) throw new GantryError('invalid', `invalid filter '${name}=${wrong}'`);
  };
  check('status', (value) => states.includes(value));
  check('exited', (value) => /^\d{1,3}$/.test(value));
  const health = filters.get('health')?.find((value) => !['none', 'starting', 'healthy', 'unhealthy'].includes(value));
  if (health !== undefined) throw new GantryError('invalid', `unrecognized filter value for health: ${health}`);
}

import type { ContainerRecord, ContainerStatus, HealthStatus, MountSpec, PortBinding, VolumeRecord } from '../../types.ts';
import { humanDuration } from './duration.ts';

/** What Docker writes for a time that never was. */
export const noTime = '0001-01-01T00:00:00Z';

/** The `State` of inspect. */
export function stateView(status: ContainerStatus): Record<string, unknown> {
  return {
    Status: status.state,
    Running: status.state === 'running' || status.state === 'paused' || status.state === 'restarting',
    Paused: status.state === 'paused',
    Restarting: status.state === 'restarting',
    OOMKilled: status.isOomKilled,
    Dead: false,
    Pid: status.pid ?? 0,
    ExitCode: status.exitCode ?? 0,
    Error: status.error ?? '',
    StartedAt: status.startedAt ?? noTime,
    FinishedAt: status.finishedAt ?? noTime,
    ...(status.health === undefined ? {} : { Health: healthView(status.health) }),
  };
}

function healthView(health: HealthStatus): Record<string, unknown> {
  return {
    Status: health.state,
    FailingStreak: health.failingStreak,
    Log: health.log.map(({ startedAt, finishedAt, exitCode, output }) => ({ Start: startedAt, End: finishedAt, ExitCode: exitCode, Output: output })),
  };
}

/** The `STATUS` column of `docker ps`. */
export function statusText(status: ContainerStatus, nowMs: number): string {
  const since = (time: string | undefined): string => humanDuration(nowMs - Date.parse(time ?? status.createdAt));
  const code = status.exitCode ?? 0;
  if (status.state === 'created') return 'Created';
  if (status.state === 'removing') return 'Removal In Progress';
  if (status.state === 'exited') return `Exited (${code}) ${since(status.finishedAt)} ago`;
  if (status.state === 'restarting') return `Restarting (${code}) ${since(status.finishedAt)} ago`;
  const up = `Up ${since(status.startedAt)}`;
  if (status.state === 'paused') return `${up} (Paused)`;
  if (status.health === undefined) return up;
  return `${up} (${status.health.state === 'starting' ? 'health: starting' : status.health.state})`;
}

/** Ports of `docker ps`: what is published, and what is exposed and not. */
export function portList({ spec, status }: ContainerRecord): { IP?: string; PrivatePort: number; PublicPort?: number; Type: string }[] {
  if (!hasNetwork(status)) return [];
  const published = status.ports.map(({ hostIp, containerPort, hostPort, protocol }) => ({ IP: hostIp, PrivatePort: containerPort, PublicPort: hostPort, Type: protocol }));
  const exposed = exposedPorts(spec.apiRecord)
    .filter((name) => !status.ports.some((binding) => name === `${binding.containerPort}/${binding.protocol}`))
    .map((name) => ({ PrivatePort: Number.parseInt(name, 10), Type: name.split('/')[1] ?? 'tcp' }));
  return [...published, ...exposed];
}

/** Ports are those of a run. */
function hasNetwork({ state }: ContainerStatus): boolean {
  return state === 'running' || state === 'paused';
}

/** `NetworkSettings.Ports` of inspect: null for a port that is exposed and not published. */
export function portMap({ spec, status }: ContainerRecord): Record<string, { HostIp: string; HostPort: string }[] | null> {
  if (!hasNetwork(status)) return {};
  const map: Record<string, { HostIp: string; HostPort: string }[] | null> = Object.fromEntries(exposedPorts(spec.apiRecord).map((name) => [name, null]));
  for (const { containerPort, protocol, hostIp, hostPort } of status.ports) (map[`${containerPort}/${protocol}`] ??= []).push({ HostIp: hostIp, HostPort: String(hostPort) });
  return map;
}

/** `HostConfig.PortBindings` of a container that no Docker client made. */
export function portBindings(ports: readonly PortBinding[]): Record<string, { HostIp: string; HostPort: string }[]> {
  const map: Record<string, { HostIp: string; HostPort: string }[]> = {};
  for (const { containerPort, protocol, hostIp, hostPort, hostPortLast } of ports) (map[`${containerPort}/${protocol}`] ??= []).push({ HostIp: hostIp, HostPort: hostPort === 0 ? '' : hostPortLast === undefined ? String(hostPort) : `${hostPort}-${hostPortLast}` });
  return map;
}

function exposedPorts(apiRecord: unknown): string[] {
  const config = (apiRecord as { Config?: { ExposedPorts?: Record<string, unknown> } } | undefined)?.Config;
  return Object.keys(config?.ExposedPorts ?? {});
}

/** `Mounts` of inspect and ps. */
export function mountView(mount: MountSpec, volume: (name: string) => VolumeRecord | undefined): Record<string, unknown> {
  const common = { Destination: mount.target, Mode: mount.isReadOnly ? 'ro' : '', RW: !mount.isReadOnly };
  if (mount.type === 'bind') return { Type: 'bind', Source: mount.source, ...common, Propagation: mount.propagation };
  if (mount.type === 'tmpfs') return { Type: 'tmpfs', Source: '', ...common, Propagation: '' };
  return { Type: 'volume', Name: mount.volume, Source: volume(mount.volume)?.mountpoint ?? '', Driver: 'local', ...common, Propagation: '' };
}

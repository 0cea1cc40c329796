import { formatApiVersion, maxApiVersion, minApiVersion } from '../src/engine/docker/api-version.ts';
import { createContainerSchema, hostConfigSchema, refusedContainerConfig, refusedHostConfig } from '../src/engine/docker/requests/create-container.ts';
import { dockerRoutes } from '../src/engine/docker/routes.ts';
import { explanations, machineDependent } from '../test/conformance/docker/differences.ts';
import { scopedRoutes } from '../src/engine/docker/scoped-routes.ts';

/** Fields that are read but not for every value. */
const hostConfigNotes: Readonly<Record<string, string>> = {
  BlkioWeightDevice: 'a warning where the kernel has no block I/O weights',
  CgroupnsMode: '`private`, `host`',
  ConsoleSize: 'applied when the container starts',
  ContainerIDFile: 'written by the client; only shown',
  IpcMode: '`private`, `shareable`, `host`, `container:`',
  Isolation: '`default`',
  Links: 'on the default network: /etc/hosts, variables and names as Docker has them; on another one names for this container alone. What is linked must run; a link is not removed without its container',
  LogConfig: '`json-file` and `local` with `max-size` and `max-file`; both are one format of the engine',
  MemorySwappiness: 'only unset or -1',
  Mounts: 'types `bind`, `volume`, `tmpfs`; of a volume also a part (`Subpath`, whose links are not followed); no forced recursive read-only',
  NetworkMode: '`bridge`, `none`, `host`, `container:`, names of networks',
  PidMode: '`host`, `container:`',
  PortBindings: 'TCP and UDP, IPv4; without an address on loopback only (Docker: on all); of a range of host ports the first that is free',
  Runtime: 'the runtime the engine uses, under its name or `runc`',
  SecurityOpt: '`no-new-privileges`, `seccomp` (profile, `unconfined`, `builtin`), `systempaths=unconfined`, `apparmor` (a loaded profile where the kernel has AppArmor; there is no default profile), `label=disable`',
  Ulimits: 'clamped to what the kernel grants, with a warning',
  UsernsMode: '`host`; also `private` and `auto`, which Docker does not know (see [user namespaces](#user-namespaces)); unset is what `usernsRemap` says',
  UTSMode: '`private`, `host`',
  VolumeDriver: '`local`',
};

/** The tables of docs/compatibility-docker.md: end points from the table the server routes by, fields from the schemas it reads with. */
export function dockerTables(): string {
  const states = { supported: 'yes', partial: 'partly', refused: 'refused' } as const;
  const routes = dockerRoutes.map(({ method, path, summary, state, note, parameters, refusedParameters }) =>
    row(`\`${method} ${path.replaceAll('...', '')}\``, summary, states[state], [note ?? '', named('query', parameters), named('refused', Object.keys(refusedParameters))].filter((part) => part !== '').join('; ')));
  const refusedParameters = dockerRoutes.flatMap((route) => Object.entries(route.refusedParameters).map(([name, why]) => row(`\`${route.method} ${route.path.replaceAll('...', '')}\``, `\`${name}\``, why)));
  const host = fields(hostConfigSchema.shape, hostConfigNotes, refusedHostConfig);
  const config = fields(createContainerSchema.shape, { HostConfig: 'see above', NetworkingConfig: 'aliases, links, addresses' }, refusedContainerConfig);
  return [
    `API ${formatApiVersion(minApiVersion)} to ${formatApiVersion(maxApiVersion)}.`,
    '', '## End points', '', row('end point', '', 'served', ''), '|---|---|---|---|', ...routes,
    '', '### Parameters that are refused', '', row('end point', 'parameter', 'why'), '|---|---|---|', ...refusedParameters,
    '', '## HostConfig', '', row('field', 'read', ''), '|---|---|---|', ...host,
    '', '## Configuration of a container', '', row('field', 'read', ''), '|---|---|---|', ...config,
    '', '## Differences from dockerd 20.10', '',
    'Found by running the same cases against both, through dockerode, `docker`, docker-compose 1.29 and testcontainers at API 1.41, field by field. There are no others in those cases: `npm test` compares with what dockerd answered (`test/conformance/docker/recorded.json`), and fails on any other difference and on a line of this table that explains none.', '',
    'Where Debian\'s `docker.io` is installed, as root: `node_modules/.bin/node test/conformance/docker/run.ts --live [PATTERN]` compares with a dockerd that it starts, with files and a bridge of its own; without `--live` with the recording. `record.ts [--docker CLIENT] [PATTERN]` writes the recording anew.', '',
    row('what', 'why'), '|---|---|', ...explanations.map(({ what, why }) => row(what, why)), '',
    'Not compared, because it depends on the machine:', '', row('what', 'why'), '|---|---|', ...machineDependent.map(({ what, why }) => row(what, why)), '',
  ].join('\n');
}

/** The table of docs/scoped-endpoints.md: what each end point does at a socket that is limited by policy. */
export function scopedTable(): string {
  const undeclared = dockerRoutes.map(({ method, path }) => `${method} ${path}`).filter((name) => scopedRoutes[name] === undefined);
  if (undeclared.length > 0) throw new Error(`say in src/engine/docker/scoped-routes.ts what a scoped socket does with ${undeclared.join(', ')}`);
  const ways = ['own', 'open', 'refused'] as const;
  const routesOf = (way: string): string => Object.entries(scopedRoutes).filter(([, behaviour]) => behaviour === way).map(([name]) => `\`${name.replaceAll('...', '')}\``).join(', ');
  return [row('', 'end points'), '|---|---|', ...ways.map((way) => row(`\`${way}\``, routesOf(way)))].join('\n');
}

function fields(shape: object, notes: Readonly<Record<string, string>>, refused: Readonly<Record<string, string>>): string[] {
  const read = Object.keys(shape).map((name) => [name, row(`\`${name}\``, 'yes', notes[name] ?? '')] as const);
  const not = Object.entries(refused).map(([name, why]) => [name, row(`\`${name}\``, 'refused', why)] as const);
  return [...read, ...not].toSorted(([a], [b]) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1)).map(([, line]) => line);
}

function named(what: string, names: readonly string[]): string {
  return names.length === 0 ? '' : `${what}: ${names.map((name) => `\`${name}\``).join(' ')}`;
}

function row(...cells: string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

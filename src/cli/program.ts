import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { toGantryError } from '../kernel/mod.ts';
import { doctorStatuses, exitCodeHelp, exitCodes } from './exit-codes.ts';
import { formatFailure } from './output.ts';

/** Parses the command line and runs the command. The exit code is set, not forced, so that output is flushed. */
export async function runProgram(argv: readonly string[]): Promise<void> {
  try {
    await buildProgram(argv[2]).parseAsync([...argv]);
  } catch (error) {
    if (error instanceof CommanderError) {
      // Commander has printed the message; help and version are no errors.
      process.exitCode = error.exitCode === 0 ? 0 : exitCodes.invalid;
      return;
    }
    const failure = toGantryError(error);
    process.stderr.write(`${formatFailure(failure)}\n`);
    process.exitCode = exitCodes[failure.code];
  }
}

/** Who adds which commands: one that is called is all that is made. */
const commandGroups: readonly (readonly [names: readonly string[], add: (program: Command) => void])[] = [
  [['up', 'server', 'prepare', 'agent', 'down', 'backup', 'restore'], addProcessCommands],
  [['status', 'env'], addInspectionCommands],
  [['doctor'], addDoctorCommand],
  [['repo'], addRepositoryCommands],
  [['run'], addRunCommands],
  [['rollback', 'release'], addReleaseCommands],
  [['build'], addBuildCommand],
  [['image'], addImageCommands],
  [['registry'], addRegistryCommands],
  [['docker'], addDockerCommands],
];

/** The command tree; when `called` is a command, only its group. Each command's code is loaded only when it runs. */
export function buildProgram(called?: string): Command {
  const program = new Command('gantry')
    .description('From git push to production on a machine you own.')
    .version('0.1.0')
    .exitOverride()
    .showHelpAfterError(true)
    .addHelpText('after', `
The first steps:
  gantry up --data-dir /srv/gantry --detach     start server and agent
  eval "$(gantry env --data-dir /srv/gantry)"   point kubectl, docker and gantry at it
  gantry repo create shop                       prints a remote; then: git push REMOTE main

The data folder is --data-dir, else GANTRY_DATA_DIR, else /var/lib/gantry (root) or ~/.local/share/gantry.

Exit codes: ${exitCodeHelp()}`);
  const asked = commandGroups.filter(([names]) => called !== undefined && names.includes(called));
  for (const [, add] of asked.length === 0 ? commandGroups : asked) add(program);
  return program;
}

function addProcessCommands(program: Command): void {
  settingOptions(dataDirOption(program.command('up')))
    .description('Start server and agent, keep them running, and print the endpoints when they serve')
    .option('--detach', 'return as soon as the instance serves; it goes on in the background')
    .addHelpText('after', '\nSettings can also stand in DIR/config.yaml, with the same names in camelCase (apiPort, podCidr, registryMirrors, …); flags win.\nPorts and networks that are not named are chosen at the first start and kept.')
    .action(async (options) => (await import('./commands/up.ts')).up(options));
  settingOptions(dataDirOption(program.command('server')))
    .description('Run only the server: API, controllers, git, registry, CI, delivery. Needs no root; a control plane with no node')
    .addOption(new Option('--supervised').hideHelp())
    .action(async (options) => (await import('./commands/server.ts')).server(options));
  settingOptions(dataDirOption(program.command('prepare', { hidden: true })))
    .description('Read the configuration and make the keys of an instance; a step of up')
    .option('--detach')
    .action(async (options) => (await import('./commands/prepare.ts')).prepare(options));
  dataDirOption(program.command('agent'))
    .description('Run only the node agent: containers, images, builds, services. Needs root and a running server')
    .addOption(new Option('--supervised').hideHelp())
    .action(async (options) => (await import('./commands/agent.ts')).agent(options));
  dataDirOption(program.command('down'))
    .description('Stop server and agent. Applications go on running until --purge')
    .option('--graceful', 'end the pods first, by priority, each with its grace period; they start again with the instance')
    .option('--grace-seconds <n>', 'with --graceful: what ordinary pods may take', parseSeconds, 30)
    .option('--critical-grace-seconds <n>', 'with --graceful: what critical pods may take, after the others', parseSeconds, 10)
    .option('--purge', 'also remove containers, mounts, namespaces, networks, nftables tables and all data')
    .action(async (options) => (await import('./commands/down.ts')).down(options));
  dataDirOption(program.command('backup'))
    .argument('<file>', 'tar archive to write')
    .description('Write objects, git, registry, keys and settings of the running instance into a file')
    .action(async (file, options) => (await import('./commands/backup.ts')).backup(file, options));
  dataDirOption(program.command('restore'))
    .argument('<file>', 'tar archive of gantry backup')
    .description('Make a new data folder of a backup')
    .action(async (file, options) => (await import('./commands/backup.ts')).restore(file, options));
}

function parseSeconds(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError('whole seconds are expected');
  return Number(text);
}

function addInspectionCommands(program: Command): void {
  jsonOption(dataDirOption(program.command('status')))
    .description('Show processes, endpoints, the node and what is deployed')
    .action(async (options) => (await import('./commands/status.ts')).status(options));
  dataDirOption(program.command('env'))
    .description('Print shell exports for kubectl, docker and scripts: eval "$(gantry env)"')
    .action(async (options) => (await import('./commands/env.ts')).env(options));
}

function addDoctorCommand(program: Command): void {
  jsonOption(dataDirOption(program.command('doctor')))
    .description(`List what an unclean stop or somebody else left of this instance on the machine, and what keeps it from working, whether the agent runs or not.\nExit status: 0 nothing found, ${doctorStatuses.repaired} all that was found is repaired, ${doctorStatuses.found} something is left`)
    .option('--repair', 'remove what is too much and make what is missing')
    .action(async (options) => (await import('./commands/doctor.ts')).doctor(options));
}

function addRepositoryCommands(program: Command): void {
  const repo = program.command('repo').description('Git repositories');
  namespaceOption(dataDirOption(repo.command('create')))
    .argument('<name>', 'name of the repository')
    .description('Create a repository and print a remote that git can push to (it contains the token)')
    .option('--default-branch <branch>', 'branch that is tested, protected and delivered', 'main')
    .option('--protect <pattern...>', 'branches that move only when their pipeline is green (default: the default branch)')
    .action(async (name, options) => (await import('./commands/repo.ts')).createRepository(name, options));
  jsonOption(namespaceOption(dataDirOption(repo.command('list'))))
    .description('List repositories')
    .action(async (options) => (await import('./commands/repo.ts')).listRepositories(options));
  namespaceOption(dataDirOption(repo.command('delete')))
    .argument('<name>', 'name of the repository')
    .description('Delete a repository with its history, runs and releases. What it deployed goes on running')
    .action(async (name, options) => (await import('./commands/repo.ts')).deleteRepository(name, options));
}

function addRunCommands(program: Command): void {
  const run = program.command('run').description('Pipeline runs');
  jsonOption(namespaceOption(dataDirOption(run.command('list'))))
    .description('List runs, the newest first')
    .option('--repo <name>', 'only runs of this repository')
    .action(async (options) => (await import('./commands/run.ts')).listRuns(options));
  jsonOption(namespaceOption(dataDirOption(run.command('show'))))
    .argument('<run>', 'name of the run')
    .description('Show jobs, steps, test counts and failed tests of a run')
    .action(async (name, options) => (await import('./commands/run.ts')).showRun(name, options));
  namespaceOption(dataDirOption(run.command('logs')))
    .argument('<run>', 'name of the run')
    .description('Print the logs of a run')
    .option('--job <id>', 'only this job')
    .option('-f, --follow', 'go on until the run has ended')
    .action(async (name, options) => (await import('./commands/run.ts')).printRunLogs(name, options));
  namespaceOption(dataDirOption(run.command('cancel')))
    .argument('<run>', 'name of the run')
    .description('Stop a run')
    .action(async (name, options) => (await import('./commands/run.ts')).cancelRun(name, options));
}

function addReleaseCommands(program: Command): void {
  namespaceOption(dataDirOption(program.command('rollback')))
    .argument('[repo]', 'name of the repository; may be left out when there is only one')
    .description('Take an application back: the old images with their old manifests, nothing is rebuilt')
    .option('--to <number>', 'release to go back to (default: the one before the current)')
    .option('--no-wait', 'return without waiting until it is live')
    .action(async (name, options) => (await import('./commands/rollback.ts')).rollback(name, options));
  const release = program.command('release').description('Releases: images by digest and the manifests that go with them');
  jsonOption(namespaceOption(dataDirOption(release.command('list'))))
    .description('List releases, the newest first')
    .option('--repo <name>', 'only releases of this repository')
    .action(async (options) => (await import('./commands/release.ts')).listReleases(options));
  jsonOption(namespaceOption(dataDirOption(release.command('show'))))
    .argument('<release>', 'name of the release')
    .description('Show images, objects, addresses and what happened')
    .action(async (name, options) => (await import('./commands/release.ts')).showRelease(name, options));
}

function addBuildCommand(program: Command): void {
  const repeatable = (value: string, previous: string[] = []): string[] => [...previous, value];
  dataDirOption(program.command('build'))
    .argument('[context]', 'a folder, the URL of a git repository, or -: an archive or a Dockerfile from standard input', '.')
    .description("Build an image by the node's builder. Prints its id")
    .option('-f, --file <file>', 'Dockerfile (default: Dockerfile of the context; -: standard input)')
    .option('-t, --tag <name>', 'name of the image; may be repeated', repeatable)
    .option('--target <stage>', 'stage to build (default: the last)')
    .option('--build-arg <name=value>', 'build argument; a name alone takes its value from the environment', repeatable)
    .option('--label <name=value>', 'label of the image', repeatable)
    .option('--secret <secret>', 'id=NAME[,src=FILE|,env=VARIABLE], for RUN --mount=type=secret', repeatable)
    .option('--ssh <agent>', 'default, or id=SOCKET, for RUN --mount=type=ssh', repeatable)
    .option('--build-context <name=source>', 'further context: a folder, docker-image://NAME, or a git repository', repeatable)
    .option('--no-cache', 'run every step')
    .option('--no-cache-filter <stages>', 'run every step of these stages', repeatable)
    .option('--pull', 'ask registries for base images even when they are here')
    .addOption(new Option('--network <mode>', 'network of RUN').choices(['default', 'none', 'host']))
    .addOption(new Option('--allow <entitlement>', 'let RUN ask for it').choices(['network.host', 'security.insecure']).argParser(repeatable))
    .option('--platform <platform>', "os/architecture; only the machine's own")
    .option('--cache-from <cache>', 'NAME or type=registry,ref=NAME: results of steps of an image', repeatable)
    .option('--cache-to <cache>', 'type=inline, or type=registry,ref=NAME[,mode=max]', repeatable)
    .option('-o, --output <output>', 'a folder, or type=local|tar|docker|oci,dest=PATH, type=image|registry[,compression=gzip|zstd|uncompressed][,compression-level=N][,force-compression=true][,oci-mediatypes=false]')
    .option('--push', 'push the tags to their registries')
    .option('--iidfile <file>', "write the image's id to a file")
    .option('--metadata-file <file>', 'write id, digest and names as JSON to a file')
    .addOption(new Option('--progress <view>', 'how progress is shown').choices(['auto', 'plain', 'tty', 'rawjson']).default('auto'))
    .option('--check', 'only look for broken rules in the Dockerfile; nothing runs')
    .option('--why', 'say for every step whether it was cached, and if not, why')
    .option('-q, --quiet', 'no progress')
    .action(async (context, options) => (await import('./commands/build.ts')).build(context, options));
}

function addImageCommands(program: Command): void {
  const image = program.command('image').description("Images of the node's store");
  dataDirOption(image.command('bootstrap'))
    .argument('<name>', 'debian:bookworm, debian:bookworm-slim, node:24-slim or busybox')
    .description('Make a base image from Debian packages and npm, for machines that reach no registry')
    .option('-q, --quiet', 'no progress')
    .action(async (name, options) => (await import('./commands/image.ts')).bootstrapImage(name, options));
  jsonOption(dataDirOption(image.command('list')))
    .description('List images')
    .action(async (options) => (await import('./commands/image.ts')).listImages(options));
  const cache = image.command('cache').description('What builds keep: results of steps, and folders of cache mounts');
  jsonOption(dataDirOption(cache.command('show')))
    .description('Show how much is kept, and the cache mounts')
    .action(async (options) => (await import('./commands/build-cache.ts')).showBuildCache(options));
  dataDirOption(cache.command('prune'))
    .description('Forget results of steps, and remove cache mounts that no build uses')
    .action(async (options) => (await import('./commands/build-cache.ts')).pruneBuildCache(options));
  dataDirOption(cache.command('export'))
    .argument('<id>', 'id of a cache mount')
    .argument('<file>', 'tar file to write; -: standard output')
    .option('--scope <scope>', 'trust scope (default: the trusted one)')
    .description('Write a cache mount to a tar file')
    .action(async (id, file, options) => (await import('./commands/build-cache.ts')).exportCacheMount(id, file, options));
  dataDirOption(cache.command('import'))
    .argument('<id>', 'id of a cache mount')
    .argument('<file>', 'tar file to read; -: standard input')
    .option('--scope <scope>', 'trust scope (default: the trusted one)')
    .description('Make a cache mount of a tar file')
    .action(async (id, file, options) => (await import('./commands/build-cache.ts')).importCacheMount(id, file, options));
}

function addDockerCommands(program: Command): void {
  const scope = program.command('docker').description('The Docker API').command('scope').description('Docker sockets for CI jobs and other tenants: limited by policy, removed with all they made');
  const repeatable = (value: string, previous: string[] = []): string[] => [...previous, value];
  jsonOption(dataDirOption(scope.command('create')))
    .argument('<name>', 'name of the endpoint: lower-case letters, digits, dashes')
    .description('Open a limited Docker socket and print its DOCKER_HOST: eval "$(gantry docker scope create job-1)"')
    .option('--lifetime <time>', 'when it and all it made is removed, as 30m or 2h (default: 1h, at most 7d)')
    .option('--memory <bytes>', 'of all its containers together, as 512m or 2g (default: 2g)')
    .option('--cpus <number>', 'of all its containers together (default: 1)')
    .option('--pids <number>', 'processes of all its containers together (default: 2048)')
    .option('--containers <number>', 'how many containers (default: 32)')
    .option('--image <pattern>', "images of the host that it may use, by short name, * for any characters; may be repeated", repeatable)
    .option('--label <name=value>', 'label of everything it makes; may be repeated', repeatable)
    .addOption(new Option('--publish <where>', 'where ports may be published (default: loopback)').choices(['none', 'loopback', 'any']))
    .option('--no-pull', 'no images from registries')
    .option('--group <gid>', 'group that may use the socket besides root')
    .option('--policy <file>', 'the whole policy as JSON; flags win')
    .action(async (name, options) => (await import('./commands/docker-scope.ts')).createScope(name, options));
  jsonOption(dataDirOption(scope.command('list')))
    .description('List limited Docker sockets')
    .action(async (options) => (await import('./commands/docker-scope.ts')).listScopes(options));
  dataDirOption(scope.command('remove'))
    .argument('<name>', 'name of the endpoint')
    .description('Close it and remove everything that was made through it')
    .action(async (name, options) => (await import('./commands/docker-scope.ts')).removeScope(name, options));
}

function addRegistryCommands(program: Command): void {
  const registry = program.command('registry').description('The image registry');
  const token = registry.command('token').description('Robots: names and secrets for docker login, CI elsewhere and scripts');
  dataDirOption(token.command('create'))
    .argument('<name>', 'name of the robot, which is also its user name')
    .description('Make a robot and print its secret, which is shown this once')
    .requiredOption('--repository <pattern...>', 'repositories it may use: * within a part of the name, ** across parts')
    .option('--verb <verb...>', 'pull, push, delete', ['pull'])
    .option('--expires <duration>', 'when it ends, for example 12h, 90d or 4w (default: when it is revoked)')
    .option('--description <text>', 'what it is for')
    .action(async (name, options) => (await import('./commands/registry.ts')).createRegistryToken(name, options));
  jsonOption(dataDirOption(token.command('list')))
    .description('List robots')
    .action(async (options) => (await import('./commands/registry.ts')).listRegistryTokens(options));
  dataDirOption(token.command('revoke'))
    .argument('<name>', 'name of the robot')
    .description('Take a robot away; it is refused from its next request on')
    .action(async (name, options) => (await import('./commands/registry.ts')).revokeRegistryToken(name, options));
  jsonOption(dataDirOption(registry.command('gc')))
    .description('Remove what no tag, running pod, kept release or push in progress refers to')
    .option('--dry-run', 'only tell what would go, and why')
    .action(async (options) => (await import('./commands/registry.ts')).collectRegistry(options));
}

function dataDirOption(command: Command): Command {
  return command.option('--data-dir <dir>', "the instance's data folder");
}

function jsonOption(command: Command): Command {
  return command.option('--json', 'print JSON');
}

function namespaceOption(command: Command): Command {
  return command.option('-n, --namespace <namespace>', 'Kubernetes namespace', 'default');
}

/** The flags that stand for keys of the configuration file. settings.ts reads them. */
function settingOptions(command: Command): Command {
  const repeatable = (value: string, previous: string[] = []): string[] => [...previous, value];
  return command
    .option('--config <file>', 'configuration file (default: DIR/config.yaml)')
    .option('--api-port <port>', 'Kubernetes API, TLS (default: 6443 or a free one)')
    .option('--http-port <port>', 'git, run logs and health, HTTP (default: 7080 or a free one)')
    .option('--registry-port <port>', 'OCI registry, HTTP (default: 5000 or a free one)')
    .option('--agent-port <port>', 'node agent, TLS (default: 10250 or a free one)')
    .option('--docker-listen <address>', 'tcp://HOST:PORT for the Docker API beside its socket; beyond loopback only with TLS; may be repeated', repeatable)
    .option('--docker-tls-cacert <file>', 'only Docker clients with a certificate of this authority (PEM), as dockerd --tlsverify --tlscacert')
    .option('--docker-tls-cert <file>', "the Docker API's own certificate")
    .option('--docker-tls-key <file>', "the Docker API's own key")
    .option('--docker-group <group>', 'who may use the Docker socket besides root (default: the group gantry, if there is one)')
    .option('--userns-remap <user>', 'user namespaces for all containers but pods: default, or a user with subordinate ids')
    .option('--pod-cidr <cidr>', 'network of pods (default: 10.244.0.0/16 or a free one)')
    .option('--service-cidr <cidr>', 'network of services (default: 10.96.0.0/16 or a free one)')
    .option('--container-cidr <cidr>', 'networks of containers that are not pods (default: 10.160.0.0/16 or a free one)')
    .option('--publish-address <address>', 'where ports of containers are published when no address is named (default: 127.0.0.1)')
    .option('--node-port-range <first-last>', 'ports of NodePort services (default: 30000-32767)')
    .option('--token-file <file>', 'Kubernetes static token file: lines of token,user,uid,"group1,group2"')
    .option('--git-root <dir>', 'serve this folder of bare repositories (default: DIR/git)')
    .option('--registry-mirror <host=url>', 'ask URL first for images of HOST; may be repeated', repeatable)
    .option('--insecure-registry <host>', 'do not check this registry\'s certificate, or speak plain HTTP to it; a network (CIDR) is possible; may be repeated', repeatable)
    .option('--registry-auth-file <path>', 'docker config.json with credentials (also helpers) for pulls of pods and builds')
    .option('--registry-certificates <dir>', 'certificates of registries, in folders HOST[:PORT] (default: /etc/docker/certs.d)')
    .option('--certificate-bundle <file>', "PEM bundle that builds and jobs also trust (default: the machine's; none: nothing)")
    .option('--http-proxy <url>', 'proxy for builds and jobs')
    .option('--https-proxy <url>', 'proxy for builds and jobs')
    .option('--no-proxy-for <list>', 'hosts that builds and jobs reach without the proxy')
    .option('--log-level <level>', 'debug, info, warn or error (default: info)');
}

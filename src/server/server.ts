import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gantryDefinitions, gatewayDefinitions, type k8s, quantityValue, resources } from '../api/mod.ts';
import { Informers, type KubeClient, openKubeClient } from '../client/mod.ts';
import { Ci } from '../ci/mod.ts';
import { ApiServer, CertificateAuthenticator, type CustomMetricsSource, type MetricsSource, type NodeDialer, TokenAuthenticator } from '../cluster/apiserver/mod.ts';
import { controllerServices } from '../cluster/controllers/mod.ts';
import { Scheduler } from '../cluster/scheduler/mod.ts';
import { openDelivery } from '../delivery/mod.ts';
import { GitHosting, type PushGate, RepositoryRoot } from '../git/mod.ts';
import { aborted, GantryError, type Logger, runServices, type Service, systemClock } from '../kernel/mod.ts';
import { openRegistry, openRegistryClient, type Registry, type RegistryCollector } from '../registry/mod.ts';
import { HistoryTrimmer, SqliteObjectStore } from '../store/mod.ts';
import { type AccessToken, readAccessTokens } from './access-tokens.ts';
import { gitAuthenticatorOf } from './adapters/git-authenticator.ts';
import { imageBuildLog } from './adapters/image-build-log.ts';
import { jobEnvironmentOf } from './adapters/job-environment.ts';
import { manifestSourceOf } from './adapters/manifest-source.ts';
import { StatsMetricsSource } from './adapters/metrics-source.ts';
import { createNodeDialer } from './adapters/node-dialer.ts';
import { PodScraper } from './adapters/pod-scraper.ts';
import { pushGateOf } from './adapters/push-gate.ts';
import { RegistryAccess } from './adapters/registry-access.ts';
import { registryClientOptions } from './adapters/registry-client.ts';
import { registryRootsOf } from './adapters/registry-roots.ts';
import { registryUpstreamsOf } from './adapters/registry-upstreams.ts';
import { sourceReaderOf } from './adapters/source-reader.ts';
import { backupRoutes } from './backup-routes.ts';
import { removeBackupDebris } from './backup.ts';
import { applyDefinitions } from './apply-definitions.ts';
import type { Credentials } from './credentials.ts';
import { IdleCollector } from './idle-collector.ts';
import { certificateBundleOf, type Instance } from './instance.ts';
import { registryAddresses } from './registry-addresses.ts';
import { openRegistryBucket } from './registry-blobs.ts';
import { registryRoutes } from './registry-routes.ts';
import { runLogRoutes } from './run-log-routes.ts';
import { healthRoutes, WebServer } from './web-server.ts';

/** Composes the server from the layers and runs it until the signal aborts; `onReady` is called once everything serves. */
export async function runServer(instance: Instance, credentials: Credentials, log: Logger, onReady: () => void, signal: AbortSignal): Promise<void> {
  const { paths, record, settings } = instance;
  await using parts = new AsyncDisposableStack();
  const tokens = await readAccessTokens(credentials.token, settings.tokenFile);
  await removeBackupDebris(paths);
  const store = parts.use(await SqliteObjectStore.open(join(paths.store, 'objects.db')));
  const { pki } = credentials;
  const client = parts.use(openKubeClient({ server: `https://127.0.0.1:${record.apiPort}`, ca: pki.ca.cert, clientCert: pki.admin.cert, clientKey: pki.admin.key, userAgent: 'gantry-server' }));
  const informers = new Informers(client, log);
  const { dialer, metrics } = openNodeAccess(instance, credentials, informers, log);
  const pods = informers.of(resources.pods);
  const customMetrics = new PodScraper((namespace) => pods.list(namespace), systemClock, log);
  parts.use(await openApiServer(instance, credentials, { tokens, store, dialer, metrics, customMetrics, log }));
  await applyDefinitions(client, [...gantryDefinitions, ...gatewayDefinitions], signal);
  const root = new RepositoryRoot(settings.gitRoot ?? paths.git, { hooksFolder: paths.hooks });
  const delivery = openDelivery({ client, informers, source: manifestSourceOf(root), log });
  const ci = parts.use(
    await Ci.open({
      client,
      informers,
      source: sourceReaderOf(root),
      environment: jobEnvironmentOf(instance),
      logFolder: join(paths.ci, 'logs'),
      serverUrl: `http://127.0.0.1:${record.httpPort}`,
      log,
    }),
  );
  const git = parts.use(await openGit(instance, client, informers, tokens, pushGateOf(ci.pipeline, (...following) => delivery.follow(...following)), log));
  const { registry, collector } = await openImages(instance, credentials, { client, informers, tokens, parts, log }, signal);
  for (const address of await registryAddresses(settings, record.registryPort)) parts.use(await registry.listen(address));
  const controllers = controllerServices(client, informers, { reservedPorts: reservedPortsOf(record), hasGateways: true }, log);
  const scheduler = new Scheduler(client, informers, {}, log);
  parts.use(await WebServer.open(record.httpPort, [healthRoutes, runLogRoutes(ci, tokens), registryRoutes(registry, collector, tokens), backupRoutes({ instance, store }, tokens), git.http], log));
  const ready: Service = { name: 'ready', run: (stop) => (onReady(), aborted(stop)) };
  await runServices([[new HistoryTrimmer(store, {}, log), informers], [...controllers, scheduler, metrics, customMetrics], [git, ci, delivery.controller, collector], [new IdleCollector(), ready]], log, signal);
}

/** What Services cannot have: secure shell, the name server, and what this program itself listens on. */
function reservedPortsOf({ apiPort, httpPort, registryPort, agentPort }: Instance['record']): string[] {
  return ['tcp/22', 'tcp/53', 'udp/53', ...[apiPort, httpPort, registryPort, agentPort].map((port) => `tcp/${port}`)];
}

/** How the API reaches this machine's node: on loopback, whatever address the node has for pods. */
function openNodeAccess(instance: Instance, { pki }: Credentials, informers: Informers, log: Logger): { dialer: NodeDialer; metrics: StatsMetricsSource } {
  const nodes = informers.of(resources.nodes);
  const nodeOf = (name: string): k8s.Node | undefined => {
    const node = nodes.get(name);
    return node === undefined || name !== instance.nodeName ? node : { ...node, status: { ...node.status, addresses: [{ type: 'InternalIP', address: '127.0.0.1' }] } };
  };
  const dialer = createNodeDialer(nodeOf, { ca: pki.ca.cert, ...pki.nodeClient });
  return { dialer, metrics: new StatsMetricsSource(() => nodes.list(), dialer, systemClock, log) };
}

interface ApiServerParts {
  readonly tokens: readonly AccessToken[];
  readonly store: SqliteObjectStore;
  readonly dialer: NodeDialer;
  readonly metrics: MetricsSource;
  readonly customMetrics: CustomMetricsSource;
  readonly log: Logger;
}

function openApiServer(instance: Instance, { pki }: Credentials, { tokens, store, dialer, metrics, customMetrics, log }: ApiServerParts): Promise<ApiServer> {
  return ApiServer.open({
    store,
    listen: { host: '127.0.0.1', port: instance.record.apiPort },
    tls: { key: pki.server.key, cert: pki.server.cert, clientCa: pki.ca.cert },
    authenticators: [new CertificateAuthenticator(), new TokenAuthenticator(tokens)],
    dialer,
    connects: [imageBuildLog],
    metrics,
    customMetrics,
    serviceCidr: instance.record.serviceCidr,
    ...(instance.settings.apiPriorityLevels === undefined ? {} : { priorityLevels: instance.settings.apiPriorityLevels }),
    ...(instance.settings.nodePortRange === undefined ? {} : { nodePortRange: parsePortRange(instance.settings.nodePortRange) }),
    log,
  });
}

/** The registry with its rules and its collector. */
async function openImages(
  { paths, settings }: Instance, credentials: Credentials,
  { client, informers, tokens, parts, log }: { client: KubeClient; informers: Informers; tokens: readonly AccessToken[]; parts: AsyncDisposableStack; log: Logger }, signal: AbortSignal,
): Promise<{ registry: Registry; collector: RegistryCollector }> {
  const access = new RegistryAccess({ informers, tokens, robots: credentials.registry });
  const budget = settings.registryBudget === undefined ? {} : { budgetBytes: quantityValue(settings.registryBudget) };
  const bundle = certificateBundleOf(settings);
  const registries = parts.use(openRegistryClient(registryClientOptions(settings, bundle === undefined ? undefined : await readFile(bundle, 'utf8'))));
  const upstreams = registryUpstreamsOf(informers, client, registries);
  const bucket = await openRegistryBucket(settings, paths.registry, signal);
  if (bucket !== undefined) parts.use(bucket);
  const registry = await openRegistry({ folder: paths.registry, ...(bucket === undefined ? {} : { blobs: bucket }), authorizer: access, upstreams, rulesOf: (repository) => access.rulesOf(repository), ...budget, log });
  return { registry, collector: registry.collector({ roots: registryRootsOf(client) }) };
}

function openGit(instance: Instance, client: KubeClient, informers: Informers, tokens: readonly AccessToken[], gate: PushGate, log: Logger): Promise<GitHosting> {
  const { paths, settings } = instance;
  return GitHosting.open({
    rootFolder: settings.gitRoot ?? paths.git,
    hooksFolder: paths.hooks,
    socketPath: join(paths.runDir, 'git.sock'),
    client,
    informers,
    gate,
    authenticator: gitAuthenticatorOf(tokens),
    log,
  });
}

function parsePortRange(text: string): { from: number; to: number } {
  const [from = 0, to = 0] = text.split('-').map(Number);
  if (from < 1 || to > 65_535 || from > to) throw new GantryError('invalid', `nodePortRange ${text}: expected FIRST-LAST within 1-65535`);
  return { from, to };
}

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bootstrapImage } from '../builder/mod.ts';
import { Informers, openKubeClient } from '../client/mod.ts';
import { DnsServer, parseResolvConf } from '../cluster/dns/mod.ts';
import { IngressProxy } from '../cluster/ingress/mod.ts';
import { type ExtraRoute, NodeAgent, type PodSockets, type ShutdownGrace } from '../cluster/node/mod.ts';
import { ServiceProxy } from '../cluster/proxy/mod.ts';
import { type Engine, ImageCollector, openDockerApi, openEngine, openImageStore, openScopedSockets } from '../engine/mod.ts';
import { openNftables } from '../host/mod.ts';
import { aborted, GantryError, type Logger, readTextIfExists, runServices, type Service } from '../kernel/mod.ts';
import { bootstrapStoreOf } from './adapters/bootstrap-store.ts';
import { createContainerRuntime } from './adapters/container-runtime.ts';
import { podSockets } from './adapters/pod-sockets.ts';
import { registryRobots } from './adapters/registry-access.ts';
import { openEngineRegistryClient, ownRegistryCredentials, registryClientOptions } from './adapters/registry-client.ts';
import { AgentSocket } from './agent-socket.ts';
import { openBuildServices } from './build-services.ts';
import { containerNetworks } from './container-networks.ts';
import type { Credentials } from './credentials.ts';
import { dockerGroupOf, tcpListeners, userNamespacesOf } from './docker-settings.ts';
import { IdleCollector } from './idle-collector.ts';
import { certificateBundleOf, type Instance } from './instance.ts';
import { proxyVariables, version } from './process-environment.ts';

/** Layers of base images, shared by all instances of the machine. */
const bootstrapCache = '/var/cache/gantry/bootstrap';

/** Composes the node agent from the layers and runs it until the signal aborts; `onReady` is called once the node is registered. */
export async function runAgent(instance: Instance, credentials: Credentials, log: Logger, onReady: () => void, signal: AbortSignal): Promise<void> {
  const { id, paths, record, settings } = instance;
  await using parts = new AsyncDisposableStack();
  const certificateBundle = certificateBundleOf(settings);
  const certificateAuthorities = certificateBundle === undefined ? undefined : await readFile(certificateBundle, 'utf8');
  const nodeRobot = { username: registryRobots.node, password: credentials.registry.node };
  const registry = parts.use(openEngineRegistryClient(registryClientOptions(settings, certificateAuthorities, { port: record.registryPort, credentials: nodeRobot, folders: { registry: join(paths.registry, 'blobs'), images: join(paths.engine, 'images', 'blobs') } })));
  const images = parts.use(await openImageStore({ folder: join(paths.engine, 'images'), registry, log }));
  const networks = containerNetworks(record.containerCidr);
  const engine = parts.use(await openEngine({ instanceId: id, rootFolder: paths.engine, runFolder: join(paths.runDir, 'e'), images, podCidr: record.podCidr, ...networks, publishAddress: settings.publishAddress ?? '127.0.0.1', userNamespaces: await userNamespacesOf(settings), log }, signal));
  const environment = { certificateBundle, proxyVariables: proxyVariables(settings) };
  const scopes = parts.use(await openScopedSockets({ engine, images, folder: join(paths.engine, 'scopes'), socketFolder: paths.scopeSockets, version, log }));
  const examine = async (isRepaired: boolean, stop: AbortSignal) => [...(await engine.examine(isRepaired, stop)), ...(await images.examine(isRepaired))];
  let node: NodeAgent | undefined;
  const shutDown = (grace: ShutdownGrace, stop: AbortSignal): Promise<number> => {
    if (node === undefined) throw new GantryError('unavailable', 'the node agent is still starting');
    return node.shutDown(grace, stop);
  };
  const commands = { scopes, examine, shutDown, bootstrapImage: (name: string, progress: (line: string) => void, stop: AbortSignal) => bootstrapImage(name, bootstrapStoreOf(images), { cacheFolder: bootstrapCache, environment }, progress, stop) };
  const client = parts.use(openKubeClient({ server: `https://127.0.0.1:${record.apiPort}`, ca: credentials.pki.ca.cert, clientCert: credentials.pki.agent.cert, clientKey: credentials.pki.agent.key, userAgent: 'gantry-agent' }));
  const informers = new Informers(client, log);
  const { imageBuilder, imageBuilds, builderApi } = await openBuildServices(instance, credentials, { client, informers, engine, images, environment, parts, log });
  parts.use(await AgentSocket.open(paths.agentSocket, commands, builderApi, log));
  // Whoever reaches this socket is root: images go to the own registry without a login, as they do from this node.
  const docker = await openDockerApi({ engine, images, builder: imageBuilder, registry, temporaryFolder: join(paths.builder, 'contexts'), version, credentialsFor: ownRegistryCredentials(record.registryPort, nodeRobot), log });
  const groupId = dockerGroupOf(settings.dockerGroup, await readFile('/etc/group', 'utf8'));
  parts.use(await docker.listen({ socketPath: paths.dockerSocket, ...(groupId === undefined ? {} : { groupId }) }));
  for (const listener of await tcpListeners(settings)) parts.use(await docker.listen(listener));
  const services = await openNodeServices(instance, credentials, { client, informers, engine, runtime: createContainerRuntime(engine, images), sockets: podSockets(scopes), extraRoutes: [imageBuilds.logRoute], parts, log });
  const ready: Service = { name: 'ready', run: (stop) => (onReady(), aborted(stop)) };
  node = services.node;
  await runServices([[informers], services.network, [services.node, imageBuilds], [new ImageCollector(images, {}, log), new IdleCollector(), ready]], log, signal);
}

interface NodeParts {
  readonly client: ReturnType<typeof openKubeClient>;
  readonly informers: Informers;
  readonly engine: Engine;
  readonly runtime: ReturnType<typeof createContainerRuntime>;
  readonly sockets: PodSockets;
  readonly extraRoutes: readonly ExtraRoute[];
  /** Takes what has to be closed. */
  readonly parts: AsyncDisposableStack;
  readonly log: Logger;
}

/** What makes pods run and reach each other: proxy and name service, then the node agent itself. */
async function openNodeServices(instance: Instance, { pki }: Credentials, { client, informers, engine, runtime, sockets, extraRoutes, parts, log }: NodeParts): Promise<{ network: Service[]; node: NodeAgent }> {
  const { id, paths, record, nodeName, clusterDomain } = instance;
  const pods = engine.networks.get('pods');
  const resolver = parseResolvConf((await readTextIfExists('/etc/resolv.conf')) ?? '');
  const nftables = parts.use(openNftables());
  const proxy = new ServiceProxy(informers, nftables, { nodeName, table: `gantry-${id}-services`, serviceCidr: record.serviceCidr, podBridge: pods.bridgeName }, log);
  const ingress = new IngressProxy(client, informers, { folder: join(paths.runDir, 'h'), addresses: [pods.gateway] }, log);
  const drain = { drained: async (podIp: string, stop: AbortSignal): Promise<void> => void (await Promise.all([proxy.drained(podIp, stop), ingress.drained(podIp, stop)])) };
  const upstreams = resolver.servers.filter((address) => address !== pods.gateway).map((address) => ({ address, port: 53 }));
  const dns = new DnsServer(informers, { address: pods.gateway, port: 53, clusterDomain, upstreams }, log);
  const node = parts.use(
    await NodeAgent.open(
      {
        nodeName,
        nodeIp: pods.gateway,
        podCidr: record.podCidr,
        dataFolder: paths.node,
        runFolder: join(paths.runDir, 'n'),
        claimsFolder: paths.volumes,
        dns: { clusterServers: [pods.gateway], clusterDomain, host: resolver },
        listen: { host: '127.0.0.1', port: record.agentPort, tls: { cert: pki.agentServing.cert, key: pki.agentServing.key, clientCa: pki.ca.cert } },
        extraRoutes,
        // The kinds and their rules are only loaded where there is a manifest.
        staticPods: { folder: paths.staticPods, read: async (text) => (await import('../cluster/apiserver/mod.ts')).readPodManifest(text) },
        runtimeVersion: `gantry-${engine.info.runtimeName}://${engine.info.runtimeVersion}`,
        version,
      },
      { client, informers, runtime, drain, sockets, log },
    ),
  );
  return { network: [proxy, ingress, dns], node };
}

import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { hostname } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { GantryError, parseWith, readTextIfExists, writeFileAtomic } from '../kernel/mod.ts';
import { addressOf, parseCidr } from './cidr.ts';
import { readConfigFile } from './config-file.ts';
import { type InstanceRecord, instanceRecordSchema, type MachineUse, planRecord } from './instance-record.ts';
import { withMachineLock } from './lock.ts';
import { type InstanceLocation, runRoot } from './location.ts';
import type { InstancePaths } from './paths.ts';
import { parseRoutes } from './routes.ts';
import { type Settings, settingsSchema } from './settings.ts';

/** One installation of Gantry: its id, its places, and every setting with its value. */
export interface Instance {
  readonly id: string;
  readonly paths: InstancePaths;
  readonly record: InstanceRecord;
  readonly settings: Settings;
  readonly nodeName: string;
  /** The first address of the service network: the `kubernetes` Service. */
  readonly apiServiceIp: string;
  readonly clusterDomain: string;
}

/**
 * Opens an instance for running it: reads the configuration file, lets `flags` win, chooses what is not chosen yet and records it.
 * Call it only while holding the instance's lock, after `makeInstanceFolders`.
 */
export async function openInstance(location: InstanceLocation, flags: Settings, configFile: string | undefined, signal: AbortSignal): Promise<Instance> {
  const { id, paths } = location;
  const file = resolve(configFile ?? paths.configFile);
  const settings = { ...absolutePaths(await readConfigFile(file, configFile !== undefined), dirname(file)), ...absolutePaths(flags, process.cwd()) };
  checkSettings(settings);
  const record = await withMachineLock('gantry-instances', async () => {
    const previous = await readRecord(paths.record);
    const planned = planRecord(id, paths.dataDir, settings, previous, await machineUse(id, portsToProbe(settings, previous)));
    const text = `${JSON.stringify(planned, undefined, 2)}\n`;
    await writeFileAtomic(paths.record, text);
    // The copy tells other instances of this machine what is taken, also while this one is down.
    await writeFileAtomic(join(paths.runDir, 'instance.json'), text);
    return planned;
  }, signal);
  await writeFileAtomic(join(paths.runDir, 'settings.json'), JSON.stringify(settings));
  return assemble(location, record, settings);
}

/** The instance as it was opened last, for clients and for children of the supervisor. `not-found` when there is none. */
export async function readInstance(location: InstanceLocation): Promise<Instance> {
  const record = await readRecord(location.paths.record);
  if (record === undefined) throw new GantryError('not-found', `there is no Gantry instance in ${location.paths.dataDir}; start one with 'gantry up --data-dir ${location.paths.dataDir}'`);
  const settings = await readTextIfExists(join(location.paths.runDir, 'settings.json'));
  return assemble(location, record, settings === undefined ? {} : parseWith(settingsSchema, JSON.parse(settings), 'the settings of the running instance'));
}

function assemble({ id, paths }: InstanceLocation, record: InstanceRecord, settings: Settings): Instance {
  return { id, paths, record, settings, nodeName: nodeNameOf(hostname()), apiServiceIp: addressOf(parseCidr(record.serviceCidr), 1), clusterDomain: 'cluster.local' };
}

/** A host name as a DNS-1123 subdomain. */
export function nodeNameOf(host: string): string {
  const name = host.toLowerCase().replace(/[^a-z0-9.-]/g, '-').replace(/^[-.]+|[-.]+$/g, '');
  return name === '' ? 'node' : name.slice(0, 63);
}

const noBundle = 'none';
const machineBundle = '/etc/ssl/certs/ca-certificates.crt';

/** The certificate bundle for builds and jobs: what is set, else the machine's own. Undefined when there is none, or none is wanted. */
export function certificateBundleOf({ certificateBundle }: Settings): string | undefined {
  if (certificateBundle === noBundle) return undefined;
  return certificateBundle ?? (existsSync(machineBundle) ? machineBundle : undefined);
}

/** Files that settings name must be there now, and not when the first build fails for want of them. */
function checkSettings(settings: Settings): void {
  const { dockerTls: tls } = settings;
  const files = { 'dockerTls.caCert': tls?.caCert, 'dockerTls.cert': tls?.cert, 'dockerTls.key': tls?.key, '--token-file': settings.tokenFile, '--certificate-bundle': settings.certificateBundle === noBundle ? undefined : settings.certificateBundle };
  for (const [flag, file] of Object.entries(files)) {
    if (file !== undefined && !existsSync(file)) throw new GantryError('not-found', `${flag}: there is no file ${file}`);
  }
}

/** Paths of a file are relative to the file, paths of flags to the working directory. */
function absolutePaths(settings: Settings, folder: string): Settings {
  const isPath = (name: string, value: string | undefined): value is string => value !== undefined && !(name === 'certificateBundle' && value === noBundle);
  const paths = (['tokenFile', 'gitRoot', 'certificateBundle'] as const).flatMap((name) => (isPath(name, settings[name]) ? [[name, resolve(folder, settings[name])]] : []));
  const { dockerTls: tls } = settings;
  const tlsPaths = tls === undefined ? {} : { dockerTls: { caCert: resolve(folder, tls.caCert), cert: resolve(folder, tls.cert), key: resolve(folder, tls.key) } };
  const { registryListen: listen } = settings;
  const listenPaths = listen === undefined ? {} : { registryListen: { ...listen, cert: resolve(folder, listen.cert), key: resolve(folder, listen.key) } };
  const { registryBucket: kept } = settings;
  const bucketPaths = kept === undefined ? {} : { registryBucket: { ...kept, credentialsFile: resolve(folder, kept.credentialsFile) } };
  return { ...settings, ...Object.fromEntries(paths), ...tlsPaths, ...listenPaths, ...bucketPaths };
}

async function readRecord(file: string): Promise<InstanceRecord | undefined> {
  const text = await readTextIfExists(file);
  return text === undefined ? undefined : parseWith(instanceRecordSchema, JSON.parse(text), 'the instance record', file);
}

function portsToProbe(settings: Settings, previous: InstanceRecord | undefined): number[] {
  return [settings, previous ?? {}].flatMap((source: Settings) => [source.apiPort, source.httpPort, source.registryPort, source.agentPort]).filter((port) => port !== undefined);
}

async function machineUse(id: string, ports: readonly number[]): Promise<MachineUse> {
  const others = await otherRecords(id);
  const usedPorts = new Set(others.flatMap((record) => [record.apiPort, record.httpPort, record.registryPort, record.agentPort]));
  const ranges = [6443, 7080, 5000, 10_250].flatMap((first) => Array.from({ length: 40 }, (_, index) => first + index));
  await Promise.all([...new Set([...ports, ...ranges])].map(async (port) => {
    if (!(await canListen(port))) usedPorts.add(port);
  }));
  const routes = parseRoutes((await readTextIfExists('/proc/net/route')) ?? '', `g${id.slice(0, 6)}`);
  const networks = [...routes, ...others.flatMap((record) => [record.serviceCidr, record.podCidr, record.containerCidr].map(parseCidr))];
  return { isPortUsed: (port) => usedPorts.has(port), networks };
}

/** Records of the other instances that this machine knows, without those whose folder is gone. */
async function otherRecords(id: string): Promise<InstanceRecord[]> {
  const records: InstanceRecord[] = [];
  for (const name of await readdir(runRoot).catch(() => [])) {
    if (!name.startsWith('gantry-') || name === `gantry-${id}`) continue;
    const text = await readFile(join(runRoot, name, 'instance.json'), 'utf8').catch(() => undefined);
    if (text === undefined) continue;
    const parsed = instanceRecordSchema.safeParse(JSON.parse(text));
    if (parsed.success && (await readTextIfExists(join(parsed.data.dataDir, 'instance.json'))) !== undefined) records.push(parsed.data);
  }
  return records;
}

function canListen(port: number): Promise<boolean> {
  return new Promise((done) => {
    const server = createServer();
    server.once('error', () => done(false));
    server.listen(port, '127.0.0.1', () => server.close(() => done(true)));
  });
}

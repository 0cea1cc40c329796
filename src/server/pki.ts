import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { readTextIfExists, writeFileAtomic } from '../kernel/mod.ts';
import type * as certificates from './certificates.ts';
import type { CertificateRequest, KeyPair } from './certificates.ts';

type CertificateLibrary = typeof certificates;

/** The certificates of an instance, PEM. All are ECDSA P-256 and signed by the instance's own authority. */
export interface Pki {
  readonly ca: KeyPair;
  /** The API server's listener. */
  readonly server: KeyPair;
  /** People's kubeconfig and the server's own controllers: `O=system:masters`. */
  readonly admin: KeyPair;
  /** The API server towards node agents. */
  readonly nodeClient: KeyPair;
  /** The agent towards the API server: `CN=system:node:<name>, O=system:nodes`. */
  readonly agent: KeyPair;
  /** The agent's listener. */
  readonly agentServing: KeyPair;
}

export interface PkiNames {
  readonly nodeName: string;
  readonly apiServiceIp: string;
  readonly clusterDomain: string;
}

const dayMs = 86_400_000;
const caDays = 3650;
const leafDays = 365;
/** A leaf is made anew when less than this is left of it. */
const renewBeforeDays = 60;

/** What each certificate says. The keys are the file names in the `pki` folder. */
export function certificateRequests({ nodeName, apiServiceIp, clusterDomain }: PkiNames): Record<Exclude<keyof Pki, 'ca'>, CertificateRequest> {
  const kubernetes = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', `kubernetes.default.svc.${clusterDomain}`];
  return {
    server: { commonName: 'gantry-server', usage: 'server', dnsNames: ['localhost', ...kubernetes], ipAddresses: ['127.0.0.1', apiServiceIp] },
    admin: { commonName: 'admin', organization: 'system:masters', usage: 'client' },
    nodeClient: { commonName: 'gantry-server', organization: 'system:masters', usage: 'client' },
    agent: { commonName: `system:node:${nodeName}`, organization: 'system:nodes', usage: 'client' },
    agentServing: { commonName: `system:node:${nodeName}`, organization: 'system:nodes', usage: 'server', dnsNames: ['localhost', nodeName], ipAddresses: ['127.0.0.1'] },
  };
}

/** Reads the certificates of the folder and makes those that are missing, about to expire, or no longer say what they should. */
export async function ensurePki(folder: string, names: PkiNames, now: number = Date.now()): Promise<Pki> {
  const knownCa = await readPair(folder, 'ca');
  const isCaUsable = knownCa !== undefined && remainingMs(knownCa, now) > leafDays * dayMs;
  const ca = isCaUsable ? knownCa : await issueInto(folder, 'ca', async ({ issueAuthority }) => issueAuthority('gantry', now, caDays * dayMs));
  const requests = certificateRequests(names);
  const leaf = async (name: Exclude<keyof Pki, 'ca'>): Promise<KeyPair> => {
    const known = await readPair(folder, name);
    if (known !== undefined && isCaUsable && isCurrent(known, requests[name], ca, now)) return known;
    return issueInto(folder, name, ({ issueCertificate }) => issueCertificate(ca, requests[name], now, leafDays * dayMs));
  };
  return { ca, server: await leaf('server'), admin: await leaf('admin'), nodeClient: await leaf('nodeClient'), agent: await leaf('agent'), agentServing: await leaf('agentServing') };
}

/** Whether the certificate still says what is asked, is signed by `ca` and lasts long enough. */
export function isCurrent(pair: KeyPair, request: CertificateRequest, ca: KeyPair, now: number): boolean {
  const certificate = new X509Certificate(pair.cert);
  if (remainingMs(pair, now) < renewBeforeDays * dayMs || !certificate.verify(new X509Certificate(ca.cert).publicKey)) return false;
  const subject = [request.organization === undefined ? [] : [`O=${request.organization}`], [`CN=${request.commonName}`]].flat().join('\n');
  const names = [...(request.dnsNames ?? []).map((name) => `DNS:${name}`), ...(request.ipAddresses ?? []).map((ip) => `IP Address:${ip}`)].join(', ');
  return certificate.subject === subject && (certificate.subjectAltName ?? '') === names;
}

function remainingMs(pair: KeyPair, now: number): number {
  return new X509Certificate(pair.cert).validToDate.getTime() - now;
}

async function readPair(folder: string, name: string): Promise<KeyPair | undefined> {
  const [cert, key] = await Promise.all([readTextIfExists(join(folder, `${name}.crt`)), readTextIfExists(join(folder, `${name}.key`))]);
  return cert === undefined || key === undefined ? undefined : { cert, key };
}

/** The library that makes certificates is loaded only when one has to be made. */
async function issueInto(folder: string, name: string, issue: (library: CertificateLibrary) => Promise<KeyPair>): Promise<KeyPair> {
  const pair = await issue(await import('./certificates.ts'));
  await writeFileAtomic(join(folder, `${name}.key`), pair.key);
  await writeFileAtomic(join(folder, `${name}.crt`), pair.cert);
  return pair;
}

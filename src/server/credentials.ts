import { join } from 'node:path';
import { writeKubeconfig } from '../client/mod.ts';
import type { Instance } from './instance.ts';
import { ensurePki, type Pki } from './pki.ts';
import { ensureToken } from './token.ts';

export interface Credentials {
  readonly pki: Pki;
  /** The administrator's token for git, the registry, run logs and the API. */
  readonly token: string;
  /** Secrets of the registry's own robots: what this node pulls and pushes with, and what pipelines push with. */
  readonly registry: { readonly node: string; readonly ci: string };
}

/** Makes what is missing of certificates, token and kubeconfig. All are files of mode 0600. */
export async function ensureCredentials(instance: Instance): Promise<Credentials> {
  const { paths, record, nodeName, apiServiceIp, clusterDomain } = instance;
  const pki = await ensurePki(paths.pki, { nodeName, apiServiceIp, clusterDomain });
  const token = await ensureToken(paths.token);
  const registry = { node: await ensureToken(join(paths.pki, 'registry-node.token')), ci: await ensureToken(join(paths.pki, 'registry-ci.token')) };
  const connection = { server: `https://127.0.0.1:${record.apiPort}`, ca: pki.ca.cert, clientCert: pki.admin.cert, clientKey: pki.admin.key };
  await writeKubeconfig(paths.kubeconfig, 'gantry', { connection, namespace: 'default' });
  return { pki, token, registry };
}

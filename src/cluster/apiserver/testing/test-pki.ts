import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../../../kernel/mod.ts';

/** A key with its certificate, as PEM. */
export interface TestIdentity { readonly key: string; readonly cert: string }

/** A throw-away authority for tests that need TLS. Made by the openssl program, in about 50 ms. */
export interface TestPki {
  readonly ca: string;
  /** For 127.0.0.1 and localhost. */
  readonly server: TestIdentity;
  /** CN=admin, O=system:masters. */
  readonly admin: TestIdentity;
  /** A client certificate of another user. */
  issue(name: string, groups: readonly string[]): Promise<TestIdentity>;
}

/** Makes a new authority with a server's and an administrator's certificate, all valid for a day. */
export async function makeTestPki(signal: AbortSignal): Promise<TestPki> {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-pki-'));
  try {
    const caKey = join(folder, 'ca.key');
    const caCert = join(folder, 'ca.crt');
    await openssl(['req', '-x509', ...newKey, '-subj', '/CN=test authority', '-days', '1', '-keyout', caKey, '-out', caCert], signal);
    const authority = { key: await readFile(caKey, 'utf8'), cert: await readFile(caCert, 'utf8') };
    const server = await issue(authority, '/CN=apiserver', 'subjectAltName=IP:127.0.0.1,DNS:localhost', signal);
    const admin = await issue(authority, '/O=system:masters/CN=admin', 'extendedKeyUsage=clientAuth', signal);
    return { ca: authority.cert, server, admin, issue: (name, groups) => issue(authority, `${groups.map((group) => `/O=${group}`).join('')}/CN=${name}`, 'extendedKeyUsage=clientAuth', signal) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

async function issue(authority: TestIdentity, subject: string, extension: string, signal: AbortSignal): Promise<TestIdentity> {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-pki-'));
  try {
    const path = (name: string): string => join(folder, name);
    await writeFile(path('ca.key'), authority.key, { mode: 0o600 });
    await writeFile(path('ca.crt'), authority.cert);
    await openssl(['req', '-x509', ...newKey, '-subj', subject, '-days', '1', '-addext', extension, '-CA', path('ca.crt'), '-CAkey', path('ca.key'), '-keyout', path('key'), '-out', path('crt')], signal);
    return { key: await readFile(path('key'), 'utf8'), cert: await readFile(path('crt'), 'utf8') };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function openssl(args: readonly string[], signal: AbortSignal): Promise<void> {
  await runCommand('openssl', args, {}, signal);
}

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** PEM. */
export interface TestPair { readonly cert: string; readonly key: string }

/** A throw-away authority with one certificate for a node's listener and one for its client, made by openssl. */
export function makeTestTls(nodeName: string): { ca: TestPair; serving: TestPair; client: TestPair } {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-tls-'));
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  const read = (name: string): TestPair => ({ cert: readFileSync(join(folder, `${name}.crt`), 'utf8'), key: readFileSync(join(folder, `${name}.key`), 'utf8') });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  try {
    openssl('req', '-x509', ...newKey, '-keyout', 'ca.key', '-out', 'ca.crt', '-subj', '/CN=test-ca', '-days', '1');
    for (const name of ['serving', 'client']) {
      writeFileSync(join(folder, `${name}.ext`), name === 'serving' ? `subjectAltName=DNS:${nodeName},IP:127.0.0.1` : 'extendedKeyUsage=clientAuth');
      openssl('req', ...newKey, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
      openssl('x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-out', `${name}.crt`, '-days', '1', '-extfile', `${name}.ext`);
    }
    return { ca: read('ca'), serving: read('serving'), client: read('client') };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { k8s } from '../../api/mod.ts';
import type { Certificate } from './model.ts';

/** The certificate of a Secret of type kubernetes.io/tls; a text says what is wrong with it. */
export function certificateOf(secret: k8s.Secret | undefined, key: string, hosts: readonly string[]): Certificate | string {
  const data = (name: string): string | undefined => (secret?.data?.[name] === undefined ? undefined : Buffer.from(secret.data[name], 'base64').toString());
  const [certificate, privateKey] = [data('tls.crt'), data('tls.key')];
  if (secret === undefined) return `secret ${key} does not exist`;
  if (certificate === undefined || privateKey === undefined) return `secret ${key} has no tls.crt and tls.key`;
  try {
    const parsed = new X509Certificate(certificate);
    if (!parsed.checkPrivateKey(createPrivateKey(privateKey))) return `secret ${key}: the key does not belong to the certificate`;
  } catch (error) {
    return `secret ${key}: ${error instanceof Error ? error.message : 'not a certificate'}`;
  }
  return { key, pem: `${certificate.trim()}\n${privateKey.trim()}\n`, hosts };
}

import { isDeepStrictEqual } from 'node:util';
import type { k8s } from '../../../api/mod.ts';
import type { FieldErrors } from '../validation/field-errors.ts';
import type { Strategy } from './kind.ts';

/** What one ConfigMap or Secret may hold, in bytes. */
const maxDataBytes = 1024 * 1024;

/** ConfigMaps. */
export const configMapStrategy: Strategy<k8s.ConfigMap> = {
  validate({ data = {}, binaryData = {} }, errors) {
    validateKeys(Object.keys(data), 'data', errors);
    validateKeys(Object.keys(binaryData), 'binaryData', errors);
    for (const key of Object.keys(data)) if (Object.hasOwn(binaryData, key)) errors.invalid('data', key, 'duplicate of key present in binaryData');
    validateSize([...Object.values(data).map((text) => Buffer.byteLength(text)), ...Object.values(binaryData).map(base64Bytes)], '', errors);
  },
  validateUpdate(map, old, errors) {
    if (old.immutable !== true) return;
    if (map.immutable !== true) errors.forbidden('immutable', 'field is immutable when `immutable` is set');
    for (const field of ['data', 'binaryData'] as const) if (!isDeepStrictEqual(map[field], old[field])) errors.forbidden(field, 'field is immutable when `immutable` is set');
  },
};

/** What each known type of Secret must hold. */
const requiredKeys: Readonly<Record<string, readonly string[]>> = {
  'kubernetes.io/dockercfg': ['.dockercfg'],
  'kubernetes.io/dockerconfigjson': ['.dockerconfigjson'],
  'kubernetes.io/ssh-auth': ['ssh-privatekey'],
  'kubernetes.io/tls': ['tls.crt', 'tls.key'],
};

/** Secrets: `stringData` is folded into `data` and never shown. */
export const secretStrategy: Strategy<k8s.Secret> = {
  defaults(secret) {
    secret.type ||= 'Opaque';
    if (secret.stringData === undefined) return;
    secret.data = { ...secret.data, ...Object.fromEntries(Object.entries(secret.stringData).map(([key, text]) => [key, Buffer.from(text).toString('base64')])) };
    delete secret.stringData;
  },
  validate({ data = {}, type = '', metadata }, errors) {
    validateKeys(Object.keys(data), 'data', errors);
    validateSize(Object.values(data).map(base64Bytes), 'data', errors);
    for (const key of requiredKeys[type] ?? []) if (data[key] === undefined) errors.required(`data[${key}]`);
    if (type === 'kubernetes.io/dockerconfigjson' && data['.dockerconfigjson'] !== undefined && !isJson(data['.dockerconfigjson'])) errors.invalid('data[.dockerconfigjson]', '<secret contents redacted>', 'must be valid JSON');
    if (type === 'kubernetes.io/service-account-token' && (metadata?.annotations?.['kubernetes.io/service-account.name'] ?? '') === '') errors.required('metadata.annotations[kubernetes.io/service-account.name]');
  },
  validateUpdate(secret, old, errors) {
    if (secret.type !== old.type) errors.invalid('type', secret.type, 'field is immutable');
    if (old.immutable !== true) return;
    if (secret.immutable !== true) errors.forbidden('immutable', 'field is immutable when `immutable` is set');
    if (!isDeepStrictEqual(secret.data, old.data)) errors.forbidden('data', 'field is immutable when `immutable` is set');
  },
};

function validateKeys(keys: readonly string[], field: string, errors: FieldErrors): void {
  for (const key of keys) {
    if (key.length > 253) errors.invalid(`${field}[${key}]`, key, 'must be no more than 253 bytes');
    else if (!/^[-._a-zA-Z0-9]+$/.test(key)) errors.invalid(`${field}[${key}]`, key, "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')");
    else if (key === '.' || key.startsWith('..')) errors.invalid(`${field}[${key}]`, key, `must not be '${key}'`);
  }
}

function validateSize(sizes: readonly number[], field: string, errors: FieldErrors): void {
  if (sizes.reduce((sum, size) => sum + size, 0) > maxDataBytes) errors.tooLong(field, maxDataBytes);
}

function base64Bytes(text: string): number {
  return Math.floor((text.length * 3) / 4);
}

function isJson(base64: string): boolean {
  try {
    JSON.parse(Buffer.from(base64, 'base64').toString());
    return true;
  } catch {
    return false;
  }
}

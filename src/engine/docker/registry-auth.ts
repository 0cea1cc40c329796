import { z } from 'zod';
import { GantryError, parseWith } from '../../kernel/mod.ts';
import type { Credentials } from '../ports.ts';

const schema = z.looseObject({ username: z.string().nullish(), password: z.string().nullish(), auth: z.string().nullish(), identitytoken: z.string().nullish(), registrytoken: z.string().nullish() });

/** Credentials of an `X-Registry-Auth` header: base64 of JSON. Undefined when it holds none. Its content never shows in an error. */
export function parseRegistryAuth(header: string | string[] | undefined): Credentials | undefined {
  if (header === undefined || header === '' || Array.isArray(header)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(header, 'base64url').toString() || '{}');
  } catch {
    throw new GantryError('invalid', 'the X-Registry-Auth header is malformed');
  }
  return credentialsOf(parseWith(schema, value, 'X-Registry-Auth'));
}

function credentialsOf({ username, password, auth, identitytoken, registrytoken }: z.output<typeof schema>): Credentials | undefined {
  if (registrytoken != null && registrytoken !== '') return { username: username ?? '', password: '', registryToken: registrytoken };
  if (identitytoken != null && identitytoken !== '') return { username: username ?? '', password: '', identityToken: identitytoken };
  if (username != null && username !== '' && password != null) return { username, password };
  const [, user, secret] = /^([^:]+):(.*)$/s.exec(Buffer.from(auth ?? '', 'base64').toString()) ?? [];
  return user === undefined || secret === undefined ? undefined : { username: user, password: secret };
}

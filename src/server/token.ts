import { randomBytes } from 'node:crypto';
import { readTextIfExists, writeFileAtomic } from '../kernel/mod.ts';

/** The instance's administrator token (256 random bits, base64url), made at the first start and kept in a file of mode 0600. */
export async function ensureToken(file: string): Promise<string> {
  const known = (await readTextIfExists(file))?.trim();
  if (known !== undefined && known !== '') return known;
  const token = randomBytes(32).toString('base64url');
  await writeFileAtomic(file, `${token}\n`);
  return token;
}

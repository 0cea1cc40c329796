import { createHash, randomBytes } from 'node:crypto';

/** `bytes` random bytes as lower-case hex. Container ids use 32. */
export function randomHex(bytes: number): string {
  return randomBytes(bytes).toString('hex');
}

const nameAlphabet = 'bcdfghjklmnpqrstvwxz2456789';

/** The random suffix of generated Kubernetes names: no vowels, so that no words appear. */
export function randomNameSuffix(length = 5): string {
  return Array.from(randomBytes(length), (byte) => nameAlphabet[byte % nameAlphabet.length]).join('');
}

/** The first `length` hex digits of the text's SHA-256: a stable short name for something long. */
export function shortHash(text: string, length = 8): string {
  return createHash('sha256').update(text).digest('hex').slice(0, length);
}

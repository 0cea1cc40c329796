import type { Environment } from '@marcbachmann/cel-js';

const strict = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?$/;

/** A version by the Semantic Versioning specification, 2.0.0. */
export class CelSemver {
  readonly numbers: readonly [major: bigint, minor: bigint, patch: bigint];
  /** The identifiers after the dash. Numeric ones have no leading zeros. */
  readonly prerelease: readonly string[];
  readonly build: string;

  constructor(text: string) {
    const parts = strict.exec(text);
    const prerelease = parts?.[4]?.split('.') ?? [];
    if (parts === null || prerelease.some((part) => /^0\d+$/.test(part))) throw new Error(`semver parse error during conversion from string: ${JSON.stringify(text)}`);
    this.numbers = [BigInt(parts[1] ?? 0), BigInt(parts[2] ?? 0), BigInt(parts[3] ?? 0)];
    this.prerelease = prerelease;
    this.build = parts[5] ?? '';
  }

  /** As people write versions: with a `v`, without minor or patch, with leading zeros. */
  static normalized(text: string): CelSemver {
    const [, core = '', rest = ''] = /^([^-+]*)(.*)$/s.exec(text.replace(/^v/, '')) ?? [];
    const numbers = core.split('.').map((part) => part.replace(/^0+(?=\d)/, ''));
    while (numbers.length < 3) numbers.push('0');
    return new CelSemver(`${numbers.join('.')}${rest}`);
  }

  /** Negative, zero or positive, by precedence (section 11): what stands after the plus does not count. */
  compare(other: CelSemver): number {
    for (const [index, number] of this.numbers.entries()) {
      const theirs = other.numbers[index] ?? 0n;
      if (number !== theirs) return number < theirs ? -1 : 1;
    }
    return comparePrerelease(this.prerelease, other.prerelease);
  }
}

function comparePrerelease(a: readonly string[], b: readonly string[]): number {
  if (a.length === 0 || b.length === 0) return Math.sign(b.length - a.length);
  for (const [index, part] of a.entries()) {
    const other = b[index];
    if (other === undefined) return 1;
    const [isNumber, isOtherNumber] = [/^\d+$/.test(part), /^\d+$/.test(other)];
    if (isNumber !== isOtherNumber) return isNumber ? -1 : 1;
    if (isNumber ? BigInt(part) !== BigInt(other) : part !== other) return (isNumber ? BigInt(part) < BigInt(other) : part < other) ? -1 : 1;
  }
  return a.length - b.length;
}

/** `semver()` and what can be asked of a version (Kubernetes CEL documentation, "Kubernetes semver library"). */
export function registerSemver(env: Environment): void {
  const type = 'kubernetes.Semver';
  const isVersion = (make: () => CelSemver): boolean => {
    try {
      return make() instanceof CelSemver;
    } catch {
      return false;
    }
  };
  const read = (text: string, isNormalized: boolean): CelSemver => (isNormalized ? CelSemver.normalized(text) : new CelSemver(text));
  env.registerType(type, { ctor: CelSemver, fields: {} });
  env.registerFunction(`semver(string): ${type}`, (text: string) => new CelSemver(text));
  env.registerFunction(`semver(string, bool): ${type}`, read);
  env.registerFunction('isSemver(string): bool', (text: string) => isVersion(() => new CelSemver(text)));
  env.registerFunction('isSemver(string, bool): bool', (text: string, isNormalized: boolean) => isVersion(() => read(text, isNormalized)));
  for (const [index, name] of ['major', 'minor', 'patch'].entries()) env.registerFunction(`${type}.${name}(): int`, ({ numbers }: CelSemver) => numbers[index] ?? 0n);
  env.registerFunction(`${type}.isGreaterThan(${type}): bool`, (a: CelSemver, b: CelSemver) => a.compare(b) > 0);
  env.registerFunction(`${type}.isLessThan(${type}): bool`, (a: CelSemver, b: CelSemver) => a.compare(b) < 0);
  env.registerFunction(`${type}.compareTo(${type}): int`, (a: CelSemver, b: CelSemver) => BigInt(Math.sign(a.compare(b))));
  env.registerOperator(`${type} == ${type}`, (a: CelSemver, b: CelSemver) => a.compare(b) === 0);
}

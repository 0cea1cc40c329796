import { createHash, randomBytes } from 'node:crypto';
import { gantryApiVersion, type RegistryAction, type RegistryToken, resources } from '../../api/mod.ts';
import { type ErrorCode, GantryError } from '../../kernel/mod.ts';
import { formatAge, formatTable, print, printJson } from '../output.ts';
import { type InstanceOptions, interruptSignal, openSession } from '../session.ts';

export interface CreateTokenOptions extends InstanceOptions { repository: string[]; verb: string[]; expires?: string; description?: string }

const dayMs = 86_400_000;
const units: Readonly<Record<string, number>> = { h: 3_600_000, d: dayMs, w: 7 * dayMs };

/** Makes a robot and prints its secret, which is kept nowhere: only its hash is. */
export async function createRegistryToken(name: string, options: CreateTokenOptions): Promise<void> {
  const secret = `gtr_${randomBytes(32).toString('base64url')}`;
  const token: RegistryToken = {
    apiVersion: gantryApiVersion,
    kind: 'RegistryToken',
    metadata: { name },
    spec: {
      secretHash: `sha256:${createHash('sha256').update(secret).digest('hex')}`,
      repositories: options.repository,
      verbs: verbsOf(options.verb),
      ...(options.expires === undefined ? {} : { expiresAt: new Date(Date.now() + durationMs(options.expires)).toISOString() }),
      ...(options.description === undefined ? {} : { description: options.description }),
    },
  };
  await using session = await openSession(options);
  await session.client.create(resources.registryTokens, token, interruptSignal());
  print(secret);
}

function verbsOf(texts: readonly string[]): RegistryAction[] {
  const known = ['pull', 'push', 'delete'] as const;
  return texts.flatMap((text) => text.split(',')).map((text) => {
    const verb = known.find((candidate) => candidate === text.trim());
    if (verb === undefined) throw new GantryError('invalid', `--verb ${text}: expected ${known.join(', ')}`);
    return verb;
  });
}

function durationMs(text: string): number {
  const [, count = '', unit = ''] = /^([1-9]\d{0,5})([hdw])$/.exec(text) ?? [];
  const unitMs = units[unit];
  if (unitMs === undefined) throw new GantryError('invalid', `--expires ${text}: expected hours, days or weeks, for example 12h, 90d or 4w`);
  return Number(count) * unitMs;
}

export async function listRegistryTokens(options: InstanceOptions & { json?: boolean }): Promise<void> {
  await using session = await openSession(options);
  const { items } = await session.client.list(resources.registryTokens, {}, interruptSignal());
  if (options.json === true) return printJson(items);
  const rows = items.map(({ metadata, spec }) => [metadata.name, spec?.repositories.join(',') ?? '', spec?.verbs.join(',') ?? '', expiry(spec?.expiresAt), formatAge(metadata.creationTimestamp)]);
  print(formatTable(['NAME', 'REPOSITORIES', 'VERBS', 'EXPIRES', 'AGE'], rows));
}

function expiry(at: string | undefined): string {
  if (at === undefined) return 'never';
  return Date.parse(at) <= Date.now() ? 'expired' : at;
}

/** The robot is out with its next request, whatever tokens it has fetched. */
export async function revokeRegistryToken(name: string, options: InstanceOptions): Promise<void> {
  await using session = await openSession(options);
  const signal = interruptSignal();
  await session.client.get(resources.registryTokens, { name }, signal);
  await session.client.delete(resources.registryTokens, { name }, {}, signal);
  print(`revoked ${name}`);
}

interface CollectionReport {
  items: { kind: string; repository?: string; digest: string; reason: string; sizeBytes: number }[];
  freedBytes: number;
  keptBytes: number;
  budgetBytes?: number;
}

/** Collects what nothing refers to, or tells what would go and why. */
export async function collectRegistry(options: InstanceOptions & { dryRun?: boolean; json?: boolean }): Promise<void> {
  await using session = await openSession(options);
  const { url, token } = session.web;
  const response = await fetch(new URL(`/api/v1/registry/collections?dryRun=${options.dryRun === true}`, url), { method: 'POST', headers: { authorization: `Bearer ${token}` }, signal: interruptSignal() });
  const text = await response.text();
  if (!response.ok) throw new GantryError(({ 401: 'unauthenticated', 403: 'forbidden', 503: 'unavailable' } as Record<number, ErrorCode>)[response.status] ?? 'internal', text.trim());
  const report = JSON.parse(text) as CollectionReport;
  if (options.json === true) return printJson(report);
  const rows = report.items.map(({ kind, repository = '', digest, reason, sizeBytes }) => [kind, repository, digest.startsWith('sha') ? digest.slice(0, 19) : digest, megabytes(sizeBytes), reason]);
  if (rows.length > 0) print(formatTable(['KIND', 'REPOSITORY', 'WHAT', 'SIZE', 'WHY'], rows));
  const budget = report.budgetBytes === undefined ? '' : `, ${Math.round((100 * report.keptBytes) / report.budgetBytes)}% of the budget`;
  print(`${options.dryRun === true ? 'would free' : 'freed'} ${megabytes(report.freedBytes)}; ${megabytes(report.keptBytes)} stay${budget}`);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { errnoOf, errorCodes, GantryError } from '../../kernel/mod.ts';
import type { OpenScope } from '../../server/mod.ts';
import { formatTable, print, printJson } from '../output.ts';
import { shellQuote } from './env.ts';
import { type InstanceOptions, openInstanceOf } from '../session.ts';

export interface CreateScopeOptions extends InstanceOptions {
  lifetime?: string;
  memory?: string;
  cpus?: string;
  pids?: string;
  containers?: string;
  image?: string[];
  label?: string[];
  publish?: string;
  pull?: boolean;
  group?: string;
  policy?: string;
  json?: boolean;
}

/** Opens a scoped Docker socket and prints the variable that points a client at it. */
export async function createScope(name: string, options: CreateScopeOptions): Promise<void> {
  const policy = { ...(options.policy === undefined ? {} : await readPolicy(options.policy)), ...policyOf(options) };
  const body = { name, policy, ...(options.group === undefined ? {} : { groupId: wholeNumber(options.group, '--group') }) };
  const scope = (await ask(options, 'POST', '/scopes', body)) as OpenScope;
  if (options.json === true) return printJson(scope);
  print(`export DOCKER_HOST=${shellQuote(scope.url)}`);
}

/** Scopes with their ends and what they hold. */
export async function listScopes(options: InstanceOptions & { json?: boolean }): Promise<void> {
  const scopes = (await ask(options, 'GET', '/scopes')) as OpenScope[];
  if (options.json === true) return printJson(scopes);
  print(formatTable(['NAME', 'CONTAINERS', 'UNTIL', 'DOCKER_HOST'], scopes.map(({ name, containers, expiresAt, url }) => [name, String(containers), expiresAt, url])));
}

/** Closes a scope and removes everything that was made through it. */
export async function removeScope(name: string, options: InstanceOptions): Promise<void> {
  await ask(options, 'DELETE', `/scopes?name=${encodeURIComponent(name)}`);
}

/** Flags as parts of the policy; the agent's schema has the defaults and the limits. */
function policyOf(options: CreateScopeOptions): Record<string, unknown> {
  const total = {
    memoryBytes: options.memory === undefined ? undefined : bytes(options.memory),
    cpus: options.cpus === undefined ? undefined : Number(options.cpus),
    pids: options.pids === undefined ? undefined : wholeNumber(options.pids, '--pids'),
    containers: options.containers === undefined ? undefined : wholeNumber(options.containers, '--containers'),
  };
  const given = {
    lifetimeSeconds: options.lifetime === undefined ? undefined : seconds(options.lifetime),
    images: options.image,
    labels: options.label === undefined ? undefined : Object.fromEntries(options.label.map(pair)),
    publish: options.publish,
    isPullAllowed: options.pull === false ? false : undefined,
    total: Object.values(total).some((value) => value !== undefined) ? total : undefined,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

async function readPolicy(file: string): Promise<Record<string, unknown>> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
  } catch (error) {
    throw new GantryError('invalid', `--policy ${file}: it cannot be read as JSON`, { cause: error });
  }
}

function seconds(text: string): number {
  const [, count, unit = 's'] = /^(\d+)([smhd]?)$/.exec(text) ?? [];
  const factor = ({ '': 1, s: 1, m: 60, h: 3600, d: 86_400 } as Record<string, number>)[unit];
  if (count === undefined || factor === undefined) throw new GantryError('invalid', `--lifetime ${text}: expected a time as 90s, 30m or 2h`);
  return Number(count) * factor;
}

function bytes(text: string): number {
  const [, count, unit = ''] = /^(\d+)([kmg]?)b?$/i.exec(text) ?? [];
  const factor = ({ '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 } as Record<string, number>)[unit.toLowerCase()];
  if (count === undefined || factor === undefined) throw new GantryError('invalid', `--memory ${text}: expected bytes as 512m or 2g`);
  return Number(count) * factor;
}

function wholeNumber(text: string, flag: string): number {
  if (!/^\d+$/.test(text)) throw new GantryError('invalid', `${flag} ${text}: expected a whole number`);
  return Number(text);
}

function pair(text: string): [string, string] {
  const equals = text.indexOf('=');
  if (equals < 1) throw new GantryError('invalid', `--label ${text}: expected NAME=VALUE`);
  return [text.slice(0, equals), text.slice(equals + 1)];
}

async function ask(options: InstanceOptions, method: string, path: string, body?: unknown): Promise<unknown> {
  const { paths } = await openInstanceOf(options);
  const { status, text } = await new Promise<{ status: number; text: string }>((resolve, reject) => {
    const call = request({ socketPath: paths.agentSocket, method, path }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }));
    });
    call.once('error', (error) => reject(['ENOENT', 'ECONNREFUSED'].includes(errnoOf(error) ?? '') ? new GantryError('unavailable', "the node agent is not running; start it with 'gantry up'", { cause: error }) : error));
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
  const answer = JSON.parse(text) as { code?: string; message?: string };
  if (status < 400) return answer;
  throw new GantryError(errorCodes.find((code) => code === answer.code) ?? 'internal', answer.message ?? 'the agent refused');
}

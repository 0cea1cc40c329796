import { createWriteStream, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { text as readAll } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import type { BuildMessage, BuildReply, ImageFormat } from '../../api/mod.ts';
import { GantryError, runCommand } from '../../kernel/mod.ts';
import { locateInstance } from '../../server/mod.ts';
import { AgentClient, errorCodeOf } from '../agent-client.ts';
import { type CacheOption, type Output, parseBuildArgs, parseCacheOption, parseLabels, parseOutput, parseSecrets, parseSsh, splitOnce } from '../build/build-options.ts';
import { type PipedContext, readPipedContext } from '../build/standard-input.ts';
import { isGitUrl, readIgnoreText, sendFolder, type SentContext } from '../build/client-context.ts';
import { explain, reportChecks } from '../build/explanation.ts';
import { LiveView } from '../build/live-view.ts';
import { type BuildView, PlainView } from '../build/plain-view.ts';
import { readEnvironment, readVariables } from '../environment.ts';
import { interruptSignal } from '../interrupt.ts';
import { print } from '../output.ts';

export interface BuildOptions {
  readonly dataDir?: string;
  readonly file?: string;
  readonly tag?: readonly string[];
  readonly target?: string;
  readonly buildArg?: readonly string[];
  readonly label?: readonly string[];
  readonly secret?: readonly string[];
  readonly ssh?: readonly string[];
  readonly buildContext?: readonly string[];
  readonly cache?: boolean;
  readonly noCacheFilter?: readonly string[];
  readonly pull?: boolean;
  readonly network?: 'default' | 'none' | 'host';
  readonly allow?: readonly ('network.host' | 'security.insecure')[];
  readonly platform?: string;
  readonly cacheFrom?: readonly string[];
  readonly cacheTo?: readonly string[];
  readonly output?: string;
  readonly push?: boolean;
  readonly iidfile?: string;
  readonly metadataFile?: string;
  readonly progress?: 'auto' | 'plain' | 'tty' | 'rawjson';
  readonly check?: boolean;
  readonly why?: boolean;
  readonly quiet?: boolean;
}

/** Builds an image of a folder or a repository by the node's builder. The image's id goes to standard output, progress to standard error. */
export async function build(context: string, options: BuildOptions): Promise<void> {
  const { paths } = await locateInstance(options.dataDir ?? readEnvironment().dataDir);
  const agent = new AgentClient(paths.agentSocket);
  const signal = interruptSignal();
  const output: Output = options.output === undefined ? { type: 'image', names: [], format: undefined } : await parseOutput(options.output);
  using piped = context === '-' ? await readPipedContext(process.stdin, signal) : undefined;
  const message = await toMessage({ context, piped }, options, output, agent, signal);
  const view = openView(options);
  const replies: BuildReply[] = [];
  try {
    for await (const line of agent.lines('POST', '/builder/builds', JSON.stringify(message), signal)) {
      const reply = line as BuildReply;
      if (reply.kind !== 'output') replies.push(reply);
      if (options.check !== true) view.show(reply);
    }
  } finally {
    view.end();
  }
  const failure = replies.find((reply) => reply.kind === 'error');
  if (options.why === true) process.stderr.write(explain(replies));
  if (failure !== undefined) throw new GantryError(errorCodeOf(failure.code), failure.message);
  if (options.check === true) return reportChecks(replies, print);
  const result = replies.find((reply) => reply.kind === 'result');
  if (result?.imageId === undefined) throw new GantryError('unavailable', 'the builder went away before the build was done');
  await deliver(result.imageId, output, message.tags ?? [], { agent, docker: new AgentClient(paths.dockerSocket) }, signal);
  if (options.iidfile !== undefined) writeFileSync(options.iidfile, result.imageId);
  if (options.metadataFile !== undefined) writeFileSync(options.metadataFile, `${JSON.stringify({ 'containerimage.config.digest': result.imageId, ...(result.digest === undefined ? {} : { 'containerimage.digest': result.digest }), 'image.name': (message.tags ?? []).join(',') }, undefined, 2)}\n`);
  if (output.type === 'image' || output.type === 'registry') print(result.imageId);
}

interface GivenContext { readonly context: string; readonly piped: PipedContext | undefined }

/** The Dockerfile and the folder of the main context; undefined folder: a repository, which the builder fetches. */
async function readContext({ context, piped }: GivenContext, file: string | undefined): Promise<{ dockerfile: BuildMessage['dockerfile']; ignore: { text: string; name: string } | undefined }> {
  if (isGitUrl(context)) return { dockerfile: { path: file ?? 'Dockerfile' }, ignore: undefined };
  if (piped === undefined) return readDockerfile(context, file);
  if (file === '-') throw new GantryError('invalid', 'context and Dockerfile cannot both come from standard input');
  if (piped.dockerfile === undefined) return readDockerfile(piped.folder, file === undefined ? undefined : join(piped.folder, file));
  if (file !== undefined) throw new GantryError('invalid', 'standard input is a Dockerfile, and so is what -f names');
  return { dockerfile: { path: 'Dockerfile', text: piped.dockerfile }, ignore: undefined };
}

async function toMessage(given: GivenContext, options: BuildOptions, output: Output, agent: AgentClient, signal: AbortSignal): Promise<BuildMessage> {
  const { context, piped } = given;
  const environment = readVariables();
  const cacheFrom = (options.cacheFrom ?? []).map((text) => parseCacheOption(text, '--cache-from'));
  const cacheTo = (options.cacheTo ?? []).map((text) => parseCacheOption(text, '--cache-to'));
  const { dockerfile, ignore } = await readContext(given, options.file);
  const format = output.type === 'image' || output.type === 'registry' ? output.format : undefined;
  return {
    context: isGitUrl(context) ? { git: context } : options.check === true ? await sendNothing(agent, signal) : await sendFolder(agent, piped?.folder ?? context, ignore, signal, piped === undefined ? undefined : 'standard input'),
    dockerfile,
    contexts: Object.fromEntries(await Promise.all((options.buildContext ?? []).map(async (text) => namedContext(text, agent, signal)))),
    tags: [...(options.tag ?? []), ...('names' in output ? output.names : [])],
    ...(options.target === undefined ? {} : { target: options.target }),
    buildArgs: { ...sourceDateEpoch(environment), ...parseBuildArgs(options.buildArg ?? [], environment) },
    labels: parseLabels(options.label ?? []),
    noCache: options.cache === false,
    noCacheStages: (options.noCacheFilter ?? []).flatMap((text) => text.split(',')),
    pull: options.pull ?? false,
    network: options.network ?? 'default',
    allow: options.allow ?? [],
    ...(options.platform === undefined ? {} : { platform: options.platform }),
    secrets: parseSecrets(options.secret ?? [], environment),
    ssh: parseSsh(options.ssh ?? [], environment),
    cacheFrom: cacheFrom.filter(({ isInline }) => !isInline).map(({ reference }) => reference),
    cacheTo: cacheTo.filter(({ isInline }) => !isInline).map(({ reference, mode }: CacheOption) => ({ reference, mode })),
    inlineCache: cacheTo.some(({ isInline }) => isInline),
    push: options.push === true || output.type === 'registry',
    ...(format === undefined ? {} : { format }),
    check: options.check ?? false,
  };
}

/** As other builders: the variable of the client's environment counts like a build argument. */
function sourceDateEpoch({ SOURCE_DATE_EPOCH }: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return SOURCE_DATE_EPOCH === undefined ? {} : { SOURCE_DATE_EPOCH };
}

async function readDockerfile(context: string, file: string | undefined): Promise<{ dockerfile: BuildMessage['dockerfile']; ignore: { text: string; name: string } | undefined }> {
  if (file === '-') {
    const ignore = readIgnoreText(context, undefined);
    return { dockerfile: { path: 'Dockerfile', text: await readAll(process.stdin), ...(ignore === undefined ? {} : { ignoreText: ignore.text }) }, ignore };
  }
  const path = file === undefined ? join(context, 'Dockerfile') : existsSync(file) ? file : join(context, file);
  if (!existsSync(path)) throw new GantryError('not-found', `there is no ${path}`);
  const ignore = readIgnoreText(context, path);
  const shown = relative(resolve(context), resolve(path));
  return { dockerfile: { path: shown.startsWith('..') ? path : shown, text: readFileSync(path, 'utf8'), ...(ignore === undefined ? {} : { ignoreText: ignore.text }) }, ignore };
}

/** A check needs no file of the context. */
async function sendNothing(agent: AgentClient, signal: AbortSignal): Promise<SentContext> {
  const { id } = (await agent.json('POST', '/builder/contexts?name=check', '[]', signal)) as { id: string };
  return { held: id };
}

async function namedContext(text: string, agent: AgentClient, signal: AbortSignal): Promise<[string, SentContext | { image: string }]> {
  const [name, value] = splitOnce(text, '=');
  if (value === undefined || name === '') throw new GantryError('invalid', `--build-context ${text}: the form is name=folder, name=docker-image://image or name=repository`);
  if (value.startsWith('docker-image://')) return [name, { image: value.slice('docker-image://'.length) }];
  if (isGitUrl(value)) return [name, { git: value }];
  if (/^(?:https?|oci-layout|target|input):/.test(value)) throw new GantryError('unsupported', `--build-context ${text}: only folders, images (docker-image://) and git repositories are supported`);
  return [name, await sendFolder(agent, value, readIgnoreText(value, undefined), signal)];
}

function openView({ progress = 'auto', quiet, why = false }: BuildOptions): BuildView {
  const { stderr } = process;
  if (quiet === true) return { show: () => undefined, end: () => undefined };
  if (progress === 'rawjson') return { show: (reply) => void stderr.write(`${JSON.stringify(reply)}\n`), end: () => undefined };
  if (progress === 'plain' || (progress === 'auto' && !stderr.isTTY)) return new PlainView((text) => void stderr.write(text), { explains: why });
  return new LiveView({ get columns() { return stderr.columns ?? 80; }, get rows() { return stderr.rows ?? 24; }, write: (text) => void stderr.write(text) }, { explains: why });
}

async function deliver(imageId: string, output: Output, tags: readonly string[], { agent, docker }: { agent: AgentClient; docker: AgentClient }, signal: AbortSignal): Promise<void> {
  if (!('dest' in output)) return;
  const tar =
    output.type === 'docker'
      ? await docker.ask('GET', `/images/get?names=${encodeURIComponent(tags[0] ?? imageId)}`, undefined, signal)
      : output.type === 'oci'
        ? await agent.ask('GET', layoutPath(imageId, tags, output.format), undefined, signal)
        : await agent.ask('GET', `/builder/images/${encodeURIComponent(imageId)}/files`, undefined, signal);
  if (output.type === 'local') {
    mkdirSync(output.dest, { recursive: true });
    await runCommand('tar', ['-xpf', '-', '-C', output.dest], { stdin: tar }, signal);
  } else if (output.dest === '-') await pipeline(tar, process.stdout, { signal });
  else await pipeline(tar, createWriteStream(output.dest), { signal });
}

function layoutPath(imageId: string, tags: readonly string[], format: ImageFormat = { compression: 'gzip', isForced: false, mediaTypes: 'oci' }): string {
  return `/builder/images/${encodeURIComponent(imageId)}/layout?${new URLSearchParams([['format', JSON.stringify(format)], ...tags.map((tag): [string, string] => ['tag', tag])]).toString()}`;
}

import { lstatSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import type { BuildReply, Digest, ImageFormat } from '../../api/mod.ts';
import { GantryError } from '../../kernel/mod.ts';
import type { Builder, BuildRequest } from '../builder.ts';
import type { HeldContext } from '../contexts/context-store.ts';
import type { RequestedContext } from '../executor/named-folders.ts';
import type { BuildPlan } from '../plan/build-plan.ts';
import type { BuildRuntime } from '../ports.ts';
import type { ParsedBuildMessage } from './build-message.ts';

export interface RequestParts {
  readonly builder: Builder;
  readonly runtime: BuildRuntime;
  /** The files of a context that was sent whole. */
  readonly contextOf: (id: string) => HeldContext;
}

/** Builds (and pushes) what a message asks for, or only checks it. */
export async function performBuild(message: ParsedBuildMessage, { builder, runtime, contextOf }: RequestParts, say: (reply: BuildReply) => void, signal: AbortSignal): Promise<{ imageId?: Digest; digest?: Digest }> {
  if (message.push && message.tags.length === 0) throw new GantryError('invalid', 'an image that is pushed needs a tag');
  return builder.withMainContext(mainContext(message, contextOf), signal, async (context) => {
    const request = toRequest(message, context, contextOf);
    if (message.check) {
      for (const place of await builder.check(request, signal)) say({ kind: 'warning', place });
      return {};
    }
    const imageId = await builder.build(request, (plan) => (say(planned(plan)), say), signal);
    if (message.format !== undefined) await runtime.packImage(imageId, toFormat(message.format), signal);
    let digest: Digest | undefined;
    for (const tag of message.push ? message.tags : []) {
      say({ kind: 'note', text: `pushing ${tag}` });
      digest = await runtime.pushImage(tag, (text) => say({ kind: 'note', text }), signal);
    }
    return { imageId, ...(digest === undefined ? {} : { digest }) };
  });
}

/** Without keys that are not given. */
export function toFormat({ level, ...format }: NonNullable<ParsedBuildMessage['format']>): ImageFormat {
  return { ...format, ...(level === undefined ? {} : { level }) };
}

function planned({ stages, target }: BuildPlan): BuildReply {
  return { kind: 'planned', target, stages: stages.map(({ index, name, number, steps }) => ({ index, name, stepNumbers: [number, ...steps.map((step) => step.number)] })) };
}

function mainContext({ context }: ParsedBuildMessage, contextOf: RequestParts['contextOf']): RequestedContext {
  return 'git' in context ? { kind: 'git', url: context.git } : folderOf(contextOf(context.held));
}

function folderOf({ folder, version }: HeldContext): RequestedContext & { kind: 'folder' } {
  return { kind: 'folder', folder, version };
}

function toRequest(message: ParsedBuildMessage, context: { folder: string; version?: string }, contextOf: RequestParts['contextOf']): BuildRequest {
  const { dockerfile, contexts, ssh, secrets, target } = message;
  const { text, ignoreText } = dockerfile;
  const named = Object.entries(contexts).map(([name, given]): [string, RequestedContext] => [
    name,
    'image' in given ? { kind: 'image', reference: given.image } : 'git' in given ? { kind: 'git', url: given.git } : folderOf(contextOf(given.held)),
  ]);
  return {
    contextFolder: context.folder,
    ...(context.version === undefined ? {} : { contextVersion: context.version }),
    dockerfilePath: dockerfile.path,
    ...(text === undefined ? {} : { dockerfile: { text, ...(ignoreText === undefined ? {} : { ignoreText }) } }),
    contexts: new Map(named),
    tags: message.tags,
    ...(target === undefined ? {} : { target }),
    buildArgs: message.buildArgs,
    labels: message.labels,
    noCache: message.noCache,
    noCacheStages: new Set(message.noCacheStages),
    pull: message.pull,
    network: message.network,
    allowed: new Set(message.allow),
    ...(message.platform === undefined ? {} : { platform: message.platform }),
    secrets: new Map(Object.entries(secrets).map(([id, value]) => [id, Buffer.from(value, 'base64')])),
    sshSockets: new Map(Object.entries(ssh).map(([id, path]) => [id, checkSocket(path)])),
    cacheFrom: message.cacheFrom,
    cacheTo: message.cacheTo,
    hasInlineCache: message.inlineCache,
  };
}

function checkSocket(path: string): string {
  if (!isAbsolute(path) || lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) throw new GantryError('invalid', `${path} is no socket of an SSH agent`);
  return path;
}

import { apiVersionOf, type ImageBuild, type ImageBuildSpec, keyOf, resources } from '../../api/mod.ts';
import type { Informer, KubeClient } from '../../client/mod.ts';
import { cancelled, GantryError, throwIfAborted } from '../../kernel/mod.ts';
import type { JobImageBuilder, JobRequest } from '../ports.ts';

/** Builds images by ImageBuild resources, which a node takes. */
export class ResourceImageBuilder implements JobImageBuilder {
  readonly #client: KubeClient;
  readonly #builds: Informer<ImageBuild>;

  constructor(client: KubeClient, builds: Informer<ImageBuild>) {
    this.#client = client;
    this.#builds = builds;
  }

  async build(owner: JobRequest['run'], name: string, spec: ImageBuildSpec, log: (text: string) => void, signal: AbortSignal): Promise<{ imageId: string | undefined; digest: string | undefined }> {
    const type = resources.imageBuilds;
    const ref = { namespace: owner.namespace, name };
    // A build of the same name is one that an earlier attempt left.
    await this.#client.delete(type, ref, {}, signal);
    const ownerReferences = [{ apiVersion: 'gantry.dev/v1', kind: 'WorkflowRun', name: owner.name, uid: owner.uid, controller: true, blockOwnerDeletion: true }];
    const { metadata } = await this.#client.create(type, { apiVersion: apiVersionOf(type), kind: type.kind, metadata: { ...ref, ownerReferences }, spec }, signal);
    const stopLog = new AbortController();
    try {
      const started = await this.#waitFor(ref, metadata.uid, ({ phase }) => phase !== undefined && phase !== 'Pending', signal);
      const logging = this.#copyLog(ref, log, AbortSignal.any([signal, stopLog.signal]));
      const { phase, message, imageId, digest } = started.phase === 'Running' ? await this.#waitFor(ref, metadata.uid, isEnded, signal) : started;
      await logging;
      if (phase !== 'Succeeded') throw new GantryError('invalid', message ?? 'the build failed');
      if (spec.push && digest === undefined) throw new GantryError('internal', 'the build has pushed its image and gives no digest');
      return { imageId, digest };
    } catch (error) {
      if (signal.aborted) await this.#client.delete(type, ref, {}, AbortSignal.timeout(10_000));
      throw error;
    } finally {
      stopLog.abort();
    }
  }

  async #waitFor(ref: { namespace: string; name: string }, uid: string, isWanted: (status: NonNullable<ImageBuild['status']>) => boolean, signal: AbortSignal): Promise<NonNullable<ImageBuild['status']>> {
    const settled = Promise.withResolvers<NonNullable<ImageBuild['status']>>();
    const stop = this.#builds.onChange(({ type, object }) => {
      if (keyOf(object) !== keyOf(ref) || object.metadata.uid !== uid) return;
      if (type === 'deleted') settled.reject(new GantryError('cancelled', 'the build was deleted'));
      else if (isWanted(object.status ?? {})) settled.resolve(object.status ?? {});
    });
    const onAbort = (): void => settled.reject(cancelled(signal));
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      throwIfAborted(signal);
      return await settled.promise;
    } finally {
      stop();
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** The log is for people: losing it fails no build. */
  async #copyLog({ namespace, name }: { namespace: string; name: string }, log: (text: string) => void, signal: AbortSignal): Promise<void> {
    try {
      const stream = await this.#client.stream(`/apis/${apiVersionOf(resources.imageBuilds)}/namespaces/${namespace}/imagebuilds/${name}/log?follow=true`, signal);
      let rest = '';
      for await (const chunk of stream.setEncoding('utf8')) {
        const lines = (rest + String(chunk)).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) log(line);
      }
      if (rest !== '') log(rest);
    } catch (error) {
      if (!signal.aborted) log(`[the log of the build cannot be read: ${error instanceof Error ? error.message : String(error)}]`);
    }
  }
}

function isEnded({ phase }: NonNullable<ImageBuild['status']>): boolean {
  return phase === 'Succeeded' || phase === 'Failed';
}

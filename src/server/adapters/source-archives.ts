import { Readable } from 'node:stream';
import type { SourceArchives } from '../../builder/mod.ts';
import { type ErrorCode, GantryError } from '../../kernel/mod.ts';

const codes: Readonly<Record<number, ErrorCode>> = { 401: 'unauthenticated', 403: 'forbidden', 404: 'not-found' };

/** Fetches sources from the git server over HTTP. `token` is the password of any user. */
export function openSourceArchives({ gitUrl, token }: { gitUrl: string; token: string }): SourceArchives {
  const authorization = `Basic ${Buffer.from(`agent:${token}`).toString('base64')}`;
  return {
    open: async ({ namespace, name }, commit, signal) => {
      const path = [namespace, `${name}.git`, 'archive', `${commit}.tar`].map(encodeURIComponent).join('/');
      const response = await fetch(`${gitUrl}/${path}`, { headers: { authorization }, signal }).catch((error: unknown) => {
        throw new GantryError('unavailable', 'the git server does not answer', { cause: error });
      });
      if (response.status !== 200 || response.body === null) {
        await response.body?.cancel();
        throw new GantryError(codes[response.status] ?? 'unavailable', `the source of ${namespace}/${name} at ${commit} cannot be fetched: HTTP ${response.status}`);
      }
      return Readable.fromWeb(response.body);
    },
  };
}

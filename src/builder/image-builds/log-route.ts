import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ImageBuild } from '../../api/mod.ts';
import type { Lister } from '../../client/mod.ts';
import { GantryError } from '../../kernel/mod.ts';
import type { BuildLogs } from './build-logs.ts';

/** A route of the node's listener. */
export interface LogRoute {
  readonly prefix: string;
  handle(request: IncomingMessage, response: ServerResponse, url: URL, signal: AbortSignal): Promise<void>;
}

/** `GET /imageBuildLogs/{namespace}/{name}[?follow=true]`: the log as text. */
export function imageBuildLogRoute(builds: Lister<ImageBuild>, logs: BuildLogs): LogRoute {
  const prefix = '/imageBuildLogs/';
  return {
    prefix,
    handle: async (_request, response, url, signal) => {
      const [namespace = '', name = '', ...rest] = url.pathname.slice(prefix.length).split('/').map(decodeURIComponent);
      const build = rest.length === 0 ? builds.get(`${namespace}/${name}`) : undefined;
      if (build === undefined || !logs.has(build.metadata.uid)) throw new GantryError('not-found', `the node has no log of image build ${namespace}/${name}`);
      response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
      response.flushHeaders();
      await pipeline(Readable.from(logs.read(build.metadata.uid, url.searchParams.get('follow') === 'true', signal)), response, { signal });
    },
  };
}

import { methodNotAllowed, objectNotFound } from '../errors.ts';
import type { Exchange } from '../handlers/exchange.ts';
import { mediaTypes, negotiate } from '../handlers/negotiation.ts';
import { encodeValue, sendValue } from '../handlers/representation.ts';
import { watchFrame } from '../handlers/watch-frame.ts';
import type { VirtualResource } from './virtual.ts';

/**
 * Kinds of which there is none here and none can be made, but which Kubernetes' own scheduler and controllers list before they
 * begin. They can be looked at and are empty; whoever tries to create one is told that it cannot be.
 */
export const emptyKinds: readonly (readonly [group: string, plural: string, kind: string, isNamespaced: boolean])[] = [
  ['', 'replicationcontrollers', 'ReplicationController', true],
  ['storage.k8s.io', 'csinodes', 'CSINode', false],
  ['storage.k8s.io', 'csidrivers', 'CSIDriver', false],
  ['storage.k8s.io', 'csistoragecapacities', 'CSIStorageCapacity', true],
  ['storage.k8s.io', 'volumeattachments', 'VolumeAttachment', false],
];

/** The resources that are always empty. `revision` is the store's. */
export function emptyResources(revision: () => number): VirtualResource[] {
  return emptyKinds.map(([group, plural, kind, isNamespaced]) => ({
    ...{ group, version: 'v1', plural, singular: kind.toLowerCase(), kind, isNamespaced, verbs: ['get', 'list', 'watch'] },
    serve: (exchange) => serveEmpty(exchange, { apiVersion: group === '' ? 'v1' : `${group}/v1`, kind, group, plural }, revision()),
  }));
}

interface EmptyKind { readonly apiVersion: string; readonly kind: string; readonly group: string; readonly plural: string }

async function serveEmpty(exchange: Exchange, empty: EmptyKind, revision: number): Promise<void> {
  const { info } = exchange;
  if (info.subresource !== '' || !['get', 'list', 'watch'].includes(info.verb)) throw methodNotAllowed();
  if (info.verb === 'get') throw objectNotFound(empty, info.name);
  if (info.verb === 'watch') return watchNothing(exchange, empty, revision);
  await sendValue(exchange, 200, { kind: `${empty.kind}List`, apiVersion: empty.apiVersion, metadata: { resourceVersion: String(revision) }, items: [] });
}

/** A watch on which nothing happens but the mark after the initial events, until the client or its time limit ends it. */
async function watchNothing({ request, response, query, protobuf, signal }: Exchange, { apiVersion, kind }: EmptyKind, revision: number): Promise<void> {
  const { encoding } = negotiate(request.headers.accept, { hasProtobuf: protobuf.has(apiVersion, kind), isStream: true });
  response.writeHead(200, { 'content-type': encoding === 'protobuf' ? `${mediaTypes[encoding]};stream=watch` : mediaTypes[encoding] });
  response.flushHeaders();
  if (query.get('sendInitialEvents') === 'true') {
    const mark = { kind, apiVersion, metadata: { resourceVersion: String(revision), annotations: { 'k8s.io/initial-events-end': 'true' } } };
    response.write(watchFrame(encoding)('BOOKMARK', encodeValue(mark, encoding, protobuf)));
  }
  const seconds = Number(query.get('timeoutSeconds') ?? '1800') || 1800;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, Math.min(seconds, 86_400) * 1000);
    const end = (): void => {
      clearTimeout(timer);
      resolve();
    };
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  });
  response.end();
}

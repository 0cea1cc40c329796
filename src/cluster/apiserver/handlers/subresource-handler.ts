import { applyJsonPatch, applyMergePatch, type k8s } from '../../../api/mod.ts';
import { GantryError } from '../../../kernel/mod.ts';
import type { ServiceAccountTokens } from '../access/tokens/service-account-tokens.ts';
import { serveTokenRequest } from '../access/tokens/token-requests.ts';
import { methodNotAllowed, objectNotFound, pathNotFound } from '../errors.ts';
import { type Kind, objectKey, type ScalePaths } from '../kinds/kind.ts';
import type { Machine } from '../operations/machine.ts';
import { evictPod } from '../operations/evict.ts';
import { decodeObject } from '../operations/decode-object.ts';
import { modifyEphemeralContainers } from '../operations/ephemeral-containers.ts';
import { finalizeNamespace } from '../operations/namespace-finalize.ts';
import { patched, patchTypes } from '../operations/patch.ts';
import { bindPod } from '../operations/pod-binding.ts';
import { modifyScale, scaleOf } from '../operations/scale.ts';
import { mediaTypeOf, parseJson, readBody } from '../requests/body.ts';
import type { Exchange } from './exchange.ts';
import { readRequiredValue } from './read-body.ts';
import { sendValue } from './representation.ts';
import { parseWriteOptions, placeOf, serveResource, serveWrite } from './resource-handler.ts';

/** Answers requests about a part of an object that has its own path. */
export async function serveSubresource(machine: Machine, tokens: ServiceAccountTokens, kind: Kind, exchange: Exchange): Promise<void> {
  const { info } = exchange;
  const name = `${kind.type.group === '' ? '' : `${kind.type.group}/`}${kind.type.plural}/${info.subresource}`;
  if (info.subresource === 'status' && kind.hasStatus) return serveStatus(machine, kind, exchange);
  if (info.subresource === 'scale' && kind.scale !== undefined) return serveScale(machine, kind, kind.scale, exchange);
  if (name === 'pods/ephemeralcontainers') return serveEphemeralContainers(machine, kind, exchange);
  if (name === 'pods/eviction') return serveEviction(machine, kind, exchange);
  if (name === 'pods/binding') return serveBinding(machine, kind, exchange);
  if (name === 'serviceaccounts/token') return serveTokenRequest(machine, tokens, exchange);
  if (name === 'namespaces/finalize') {
    if (info.verb !== 'update') throw methodNotAllowed();
    return serveWrite(machine, kind, exchange, 200, async (options) => finalizeNamespace(machine, kind, placeOf(kind, exchange), await readRequiredValue(exchange), options));
  }
  throw pathNotFound();
}

async function serveStatus(machine: Machine, kind: Kind, exchange: Exchange): Promise<void> {
  if (!['get', 'update', 'patch'].includes(exchange.info.verb)) throw methodNotAllowed();
  return serveResource(machine, kind, exchange, 'status');
}

async function serveBinding(machine: Machine, kind: Kind, exchange: Exchange): Promise<void> {
  if (exchange.info.verb !== 'create') throw methodNotAllowed();
  await bindPod(machine, kind, placeOf(kind, exchange), await readRequiredValue(exchange), parseWriteOptions(exchange));
  await sendValue(exchange, 201, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 });
}

async function serveEviction(machine: Machine, kind: Kind, exchange: Exchange): Promise<void> {
  if (exchange.info.verb !== 'create') throw methodNotAllowed();
  await evictPod(machine, kind, placeOf(kind, exchange), await readRequiredValue(exchange), exchange.query, parseWriteOptions(exchange));
  await sendValue(exchange, 201, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 });
}

async function serveEphemeralContainers(machine: Machine, kind: Kind, exchange: Exchange): Promise<void> {
  const { info, request } = exchange;
  if (info.verb === 'get') return serveResource(machine, kind, exchange, 'main');
  return serveWrite(machine, kind, exchange, 200, async (options) => {
    if (info.verb === 'update') {
      const body = await readRequiredValue(exchange);
      return modifyEphemeralContainers(machine, kind, placeOf(kind, exchange), () => decodeObject(kind, structuredClone(body), options), options);
    }
    const type = patchTypes[mediaTypeOf(request.headers['content-type']) as keyof typeof patchTypes];
    if (info.verb !== 'patch' || type === undefined) throw methodNotAllowed();
    const patch = parseJson((await readBody(request)).toString());
    return modifyEphemeralContainers(machine, kind, placeOf(kind, exchange), (pod) => patched(kind, pod, type, patch, options), options);
  });
}

async function serveScale(machine: Machine, kind: Kind, paths: ScalePaths, exchange: Exchange): Promise<void> {
  const { info } = exchange;
  const place = placeOf(kind, exchange);
  const stored = machine.objects.get(objectKey(kind, place.namespace, place.name));
  if (stored === undefined) throw objectNotFound(kind.type, place.name);
  if (info.verb === 'get') return sendValue(exchange, 200, scaleOf(stored.object, paths));
  const change = await scaleChange(exchange);
  const changed = await modifyScale(machine, kind, paths, place, change, parseWriteOptions(exchange));
  await sendValue(exchange, 200, scaleOf(changed.object, paths));
}

async function scaleChange(exchange: Exchange): Promise<(scale: k8s.Scale) => unknown> {
  const { request, info } = exchange;
  if (info.verb === 'update') {
    const body = await readRequiredValue(exchange);
    return () => body;
  }
  if (info.verb !== 'patch') throw methodNotAllowed();
  const patch = parseJson((await readBody(request)).toString());
  const withoutVersion = ({ metadata, ...scale }: k8s.Scale): unknown => ({ ...scale, metadata: { ...metadata, resourceVersion: undefined } });
  switch (mediaTypeOf(request.headers['content-type'])) {
    case 'application/json-patch+json':
      return (scale) => applyJsonPatch(withoutVersion(scale), patch);
    case 'application/merge-patch+json':
    case 'application/strategic-merge-patch+json':
      return (scale) => applyMergePatch(withoutVersion(scale), patch);
    default:
      throw new GantryError('unsupported', 'the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json');
  }
}

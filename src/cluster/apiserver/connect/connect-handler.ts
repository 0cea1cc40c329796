import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { GantryError } from '../../../kernel/mod.ts';
import { badRequest, methodNotAllowed, objectNotFound } from '../errors.ts';
import type { Exchange } from '../handlers/exchange.ts';
import { type Kind, objectKey } from '../kinds/kind.ts';
import type { Machine } from '../operations/machine.ts';
import type { NodeDialer } from '../ports.ts';
import type { RequestInfo } from '../requests/request-info.ts';
import type { ConnectSubresource, ConnectTarget } from './connect-subresource.ts';
import { forwardRequest, tunnelUpgrade } from './node-tunnel.ts';

/** Sends requests about running things to the agents of their nodes. */
export class ConnectHandler {
  readonly #machine: Machine;
  readonly #dialer: NodeDialer | undefined;
  readonly #subresources: readonly ConnectSubresource[];

  constructor(machine: Machine, dialer: NodeDialer | undefined, subresources: readonly ConnectSubresource[]) {
    this.#machine = machine;
    this.#dialer = dialer;
    this.#subresources = subresources;
  }

  /** The subresources of a kind, for discovery. */
  of(group: string, plural: string): readonly ConnectSubresource[] {
    return this.#subresources.filter((candidate) => candidate.group === group && candidate.plural === plural);
  }

  find(info: RequestInfo): ConnectSubresource | undefined {
    return this.#subresources.find(({ group, plural, name }) => group === info.group && plural === info.plural && name === info.subresource);
  }

  /** Answers a plain request: logs. The others need an upgraded connection. */
  async serve(subresource: ConnectSubresource, kind: Kind, { request, response, info, query, signal }: Exchange): Promise<void> {
    if (!subresource.verbs.includes(info.verb)) throw methodNotAllowed();
    const target = this.#target(subresource, kind, info, query);
    if (subresource.verbs.includes('create')) throw badRequest('Upgrade request required');
    await forwardRequest(this.#dial(), target, request, response, signal);
  }

  /** Joins the client's upgraded connection with the agent's. */
  async upgrade(subresource: ConnectSubresource, kind: Kind, info: RequestInfo, query: URLSearchParams, request: IncomingMessage, client: Duplex, head: Buffer, signal: AbortSignal): Promise<void> {
    if (!subresource.verbs.includes(info.verb)) throw methodNotAllowed();
    await tunnelUpgrade(this.#dial(), this.#target(subresource, kind, info, query), request, client, head, signal);
  }

  #target(subresource: ConnectSubresource, kind: Kind, { namespace, name }: RequestInfo, query: URLSearchParams): ConnectTarget {
    const stored = this.#machine.objects.get(objectKey(kind, namespace, name));
    if (stored === undefined) throw objectNotFound(kind.type, name);
    return subresource.target(stored.object, query);
  }

  #dial(): NodeDialer {
    if (this.#dialer === undefined) throw new GantryError('unavailable', 'this API server has no way to reach nodes');
    return this.#dialer;
  }
}

import type { Duplex } from 'node:stream';
import { connect } from 'node:tls';
import type { k8s } from '../../api/mod.ts';
import type { NodeDialer } from '../../cluster/apiserver/mod.ts';
import { listenerHostAnnotation } from '../../cluster/node/mod.ts';
import { cancelled, GantryError, withTimeout } from '../../kernel/mod.ts';

/** How the API server proves itself to node agents. All PEM. */
export interface NodeDialerTls { readonly ca: string; readonly cert: string; readonly key: string }

const connectTimeoutMs = 5_000;

/** Reaches node agents at the address and port that their Node objects name. */
export function createNodeDialer(nodeOf: (name: string) => k8s.Node | undefined, tls: NodeDialerTls): NodeDialer {
  return {
    connect: async (nodeName, signal) => {
      const { metadata, status } = nodeOf(nodeName) ?? {};
      const host = metadata?.annotations?.[listenerHostAnnotation] ?? status?.addresses?.find(({ type }) => type === 'InternalIP')?.address;
      const port = status?.daemonEndpoints?.kubeletEndpoint?.Port;
      if (host === undefined || port === undefined) throw new GantryError('unavailable', `node ${nodeName} has not reported where its agent listens`);
      return connectTls(nodeName, host, port, tls, withTimeout(signal, connectTimeoutMs));
    },
  };
}

function connectTls(nodeName: string, host: string, port: number, { ca, cert, key }: NodeDialerTls, signal: AbortSignal): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    // The agent's certificate carries the node's name, whatever address it is reached at.
    const socket = connect({ host, port, ca, cert, key, servername: nodeName, ALPNProtocols: ['http/1.1'] });
    const onAbort = (): void => {
      socket.destroy();
      reject(cancelled(signal));
    };
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once('error', (error) => {
      signal.removeEventListener('abort', onAbort);
      reject(new GantryError('unavailable', `the agent of node ${nodeName} does not answer`, { cause: error }));
    });
    socket.once('secureConnect', () => {
      signal.removeEventListener('abort', onAbort);
      socket.removeAllListeners('error');
      resolve(socket);
    });
  });
}

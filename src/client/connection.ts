/** Where an API server is and how we prove who we are. Certificates and keys are PEM text, not file names. */
export interface KubeConnection {
  /** `https://host:port` or `http://host:port`, with a path prefix if the server is behind one. */
  readonly server: string;
  /** Trusted authorities. Default: the system's. */
  readonly ca?: string;
  readonly clientCert?: string;
  readonly clientKey?: string;
  /** Sent as bearer token. */
  readonly token?: string;
  /** Accept any server certificate. Only for kubeconfig files that ask for it. */
  readonly isServerUnverified?: boolean;
  /** The name that the server's certificate must carry when it is not the host of `server`. */
  readonly tlsServerName?: string;
  /** Default `gantry`. The server names field managers after the part before `/`. */
  readonly userAgent?: string;
}

/** The TLS options of node:tls for a connection. */
export function tlsOptions(connection: KubeConnection): { ca?: string; cert?: string; key?: string; rejectUnauthorized?: boolean; servername?: string } {
  return {
    ...(connection.ca === undefined ? {} : { ca: connection.ca }),
    ...(connection.clientCert === undefined ? {} : { cert: connection.clientCert }),
    ...(connection.clientKey === undefined ? {} : { key: connection.clientKey }),
    ...(connection.isServerUnverified === true ? { rejectUnauthorized: false } : {}),
    ...(connection.tlsServerName === undefined ? {} : { servername: connection.tlsServerName }),
  };
}

/** The headers that go with every request. */
export function identityHeaders(connection: KubeConnection): Record<string, string> {
  const headers: Record<string, string> = { 'user-agent': connection.userAgent ?? 'gantry' };
  if (connection.token !== undefined) headers['authorization'] = `Bearer ${connection.token}`;
  return headers;
}

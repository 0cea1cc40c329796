import type { k8s } from '../../api/mod.ts';

/** The variables that describe the Services of a namespace (Kubernetes, "Discovering services: environment variables"). */
export function serviceEnvironment(services: readonly k8s.Service[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const { metadata, spec } of services) {
    const [ip, first] = [spec?.clusterIP, spec?.ports?.[0]];
    if (ip === undefined || ip === '' || ip === 'None' || first === undefined || metadata?.name === undefined) continue;
    const prefix = variableName(metadata.name);
    found.set(`${prefix}_SERVICE_HOST`, ip);
    found.set(`${prefix}_SERVICE_PORT`, String(first.port));
    found.set(`${prefix}_PORT`, `${protocolOf(first)}://${ip}:${first.port}`);
    for (const port of spec?.ports ?? []) {
      if (port.name !== undefined && port.name !== '') found.set(`${prefix}_SERVICE_PORT_${variableName(port.name)}`, String(port.port));
      const link = `${prefix}_PORT_${port.port}_${protocolOf(port).toUpperCase()}`;
      found.set(link, `${protocolOf(port)}://${ip}:${port.port}`);
      found.set(`${link}_PROTO`, protocolOf(port));
      found.set(`${link}_PORT`, String(port.port));
      found.set(`${link}_ADDR`, ip);
    }
  }
  return found;
}

function protocolOf(port: k8s.ServicePort): string {
  return (port.protocol ?? 'TCP').toLowerCase();
}

function variableName(name: string): string {
  return name.toUpperCase().replaceAll(/[-.]/g, '_');
}

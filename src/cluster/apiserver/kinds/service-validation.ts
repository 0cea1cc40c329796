import { isIP } from 'node:net';
import type { k8s } from '../../../api/mod.ts';
import type { FieldErrors } from '../validation/field-errors.ts';
import { labelValueProblem, nameProblem, qualifiedNameProblem } from '../validation/names.ts';
import type { ServiceAllocator } from './service-allocator.ts';

export const serviceTypes: readonly string[] = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'];

/** Whether nodes open ports for the Service. */
export function isReachableOutside({ type }: k8s.ServiceSpec): boolean {
  return type === 'NodePort' || type === 'LoadBalancer';
}

/** Checks a Service; taken addresses and ports have been reported by the allocation. */
export function validateService(allocator: ServiceAllocator, { spec }: k8s.Service, errors: FieldErrors): void {
  if (spec === undefined) return errors.required('spec.ports');
  if (!serviceTypes.includes(spec.type ?? '')) errors.unsupported('spec.type', spec.type, serviceTypes);
  if (spec.sessionAffinity !== 'None' && spec.sessionAffinity !== 'ClientIP') errors.unsupported('spec.sessionAffinity', spec.sessionAffinity, ['ClientIP', 'None']);
  for (const field of ['internalTrafficPolicy', 'externalTrafficPolicy'] as const) {
    const policy = spec[field];
    if (policy !== undefined && policy !== '' && policy !== 'Cluster' && policy !== 'Local') errors.unsupported(`spec.${field}`, policy, ['Cluster', 'Local']);
  }
  if (spec.ipFamilies?.some((family) => family !== 'IPv4') === true) errors.invalid('spec.ipFamilies[0]', spec.ipFamilies[0], 'not configured on this cluster');
  if (spec.ipFamilyPolicy === 'RequireDualStack') errors.invalid('spec.ipFamilyPolicy', spec.ipFamilyPolicy, 'this cluster is not configured for dual-stack services');
  for (const [key, value] of Object.entries(spec.selector ?? {})) {
    const problem = qualifiedNameProblem(key) ?? labelValueProblem(value);
    if (problem !== undefined) errors.invalid('spec.selector', key, problem);
  }
  if (spec.type === 'ExternalName') validateExternalName(spec, errors);
  else validateAddress(allocator, spec, errors);
  validatePorts(allocator, spec, errors);
}

function validateExternalName({ externalName, clusterIP }: k8s.ServiceSpec, errors: FieldErrors): void {
  const name = (externalName ?? '').replace(/\.$/, '');
  const problem = name === '' ? undefined : nameProblem('subdomain', name);
  if (name === '') errors.required('spec.externalName');
  else if (problem !== undefined) errors.invalid('spec.externalName', externalName, problem);
  if ((clusterIP ?? '') !== '') errors.forbidden('spec.clusterIPs', 'may not be set when `type` is \'ExternalName\'');
}

function validateAddress(allocator: ServiceAllocator, { clusterIP = '', type }: k8s.ServiceSpec, errors: FieldErrors): void {
  if (clusterIP === 'None') {
    if (type !== 'ClusterIP') errors.invalid('spec.clusterIPs[0]', clusterIP, 'may not be set to \'None\' for NodePort or LoadBalancer services');
  } else if (isIP(clusterIP) === 0) errors.invalid('spec.clusterIPs[0]', [clusterIP], 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)');
  else if (!allocator.hasAddress(clusterIP)) errors.invalid('spec.clusterIPs', [clusterIP], `failed to allocate IP ${clusterIP}: the provided IP (${clusterIP}) is not in the valid range. The range of valid IPs is ${allocator.addressRange}`);
}

function validatePorts(allocator: ServiceAllocator, spec: k8s.ServiceSpec, errors: FieldErrors): void {
  const ports = spec.ports ?? [];
  if (ports.length === 0 && spec.clusterIP !== 'None' && spec.type !== 'ExternalName') errors.required('spec.ports');
  const names = new Set<string>();
  const numbers = new Set<string>();
  for (const [index, port] of ports.entries()) {
    const at = `spec.ports[${index}]`;
    const name = port.name ?? '';
    const problem = name === '' ? undefined : nameProblem('label', name);
    if (name === '' && ports.length > 1) errors.required(`${at}.name`);
    else if (problem !== undefined) errors.invalid(`${at}.name`, name, problem);
    else if (name !== '' && names.has(name)) errors.duplicate(`${at}.name`, name);
    names.add(name);
    if (port.port < 1 || port.port > 65_535) errors.invalid(`${at}.port`, port.port, 'must be between 1 and 65535, inclusive');
    if (!['TCP', 'UDP', 'SCTP'].includes(port.protocol ?? '')) errors.unsupported(`${at}.protocol`, port.protocol, ['SCTP', 'TCP', 'UDP']);
    validateTargetPort(port.targetPort, `${at}.targetPort`, errors);
    if (numbers.has(`${port.protocol}/${port.port}`)) errors.duplicate(at, { port: port.port, protocol: port.protocol });
    numbers.add(`${port.protocol}/${port.port}`);
    const { nodePort = 0 } = port;
    if (nodePort === 0) continue;
    if (!isReachableOutside(spec)) errors.forbidden(`${at}.nodePort`, "may not be used when `type` is 'ClusterIP'");
    else if (!allocator.hasPort(nodePort)) errors.invalid(`${at}.nodePort`, nodePort, `provided port is not in the valid range. The range of valid ports is ${allocator.portRange}`);
  }
}

function validateTargetPort(port: number | string | undefined, at: string, errors: FieldErrors): void {
  if (typeof port === 'number' && (port < 1 || port > 65_535)) errors.invalid(at, port, 'must be between 1 and 65535, inclusive');
  if (typeof port === 'string' && (port.length > 15 || !/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(port) || !/[a-z]/.test(port))) errors.invalid(at, port, 'must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)');
}

import type { k8s } from '../../api/mod.ts';
import { hostnameOf } from './container-spec.ts';
import type { SandboxSpec } from './ports.ts';
import { toPodCgroup } from './resources.ts';

/** The cluster's name service as pods see it, and the host's own for pods that ask for that. */
export interface DnsSettings {
  readonly clusterServers: readonly string[];
  /** Without a dot at the end, for example `cluster.local`. */
  readonly clusterDomain: string;
  readonly host: { servers: readonly string[]; searches: readonly string[]; options: readonly string[] };
}

/** The label that puts a pod into the lower cgroup of CI work. */
export const workloadLabel = 'gantry.dev/workload';

/** The engine's sandbox for a pod. */
export function toSandboxSpec(pod: k8s.Pod, dns: DnsSettings): SandboxSpec {
  const spec = pod.spec ?? { containers: [] };
  const { name = '', namespace = 'default', uid = '', labels = {} } = pod.metadata ?? {};
  const hostname = hostnameOf(pod);
  const fullName = spec.subdomain === undefined || spec.subdomain === '' ? undefined : `${hostname}.${spec.subdomain}.${namespace}.svc.${dns.clusterDomain}`;
  return {
    podUid: uid,
    namespace,
    name,
    hostname: spec.setHostnameAsFQDN === true && fullName !== undefined ? fullName : hostname,
    labels,
    hostNetwork: spec.hostNetwork === true,
    hostUsers: spec.hostUsers !== false,
    dns: toPodDns(spec, namespace, dns),
    extraHosts: (spec.hostAliases ?? []).map(({ ip, hostnames }) => ({ ip, names: hostnames ?? [] })),
    portMappings: spec.hostNetwork === true ? [] : portMappings(spec),
    sysctls: Object.fromEntries((spec.securityContext?.sysctls ?? []).map((sysctl) => [sysctl.name, sysctl.value])),
    cgroup: toPodCgroup(spec, labels[workloadLabel] === 'job' ? 'job' : 'application'),
  };
}

/** Kubernetes, "Pod's DNS Policy" and "Pod's DNS Config". */
export function toPodDns(spec: k8s.PodSpec, namespace: string, dns: DnsSettings): SandboxSpec['dns'] {
  const policy = spec.dnsPolicy ?? 'ClusterFirst';
  const usesCluster = policy === 'ClusterFirstWithHostNet' || (policy === 'ClusterFirst' && spec.hostNetwork !== true);
  const base = policy === 'None' ? { servers: [], searches: [], options: [] } : usesCluster ? clusterDns(namespace, dns) : dns.host;
  const own = spec.dnsConfig ?? {};
  const options = new Map(base.options.map((option): [string, string] => [option.split(':')[0] ?? option, option]));
  for (const { name = '', value } of own.options ?? []) options.set(name, value === undefined || value === '' ? name : `${name}:${value}`);
  return {
    servers: [...new Set([...base.servers, ...(own.nameservers ?? [])])],
    searches: [...new Set([...base.searches, ...(own.searches ?? [])])],
    options: [...options.values()],
  };
}

function clusterDns(namespace: string, { clusterServers, clusterDomain, host }: DnsSettings): DnsSettings['host'] {
  const searches = [`${namespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain, ...host.searches];
  return { servers: clusterServers, searches, options: ['ndots:5'] };
}

function portMappings(spec: k8s.PodSpec): SandboxSpec['portMappings'] {
  const sidecarsToo = [...(spec.initContainers ?? []), ...spec.containers];
  return sidecarsToo.flatMap(({ ports }) =>
    (ports ?? []).flatMap(({ hostPort, hostIP, containerPort, protocol }) =>
      hostPort === undefined || hostPort === 0
        ? []
        : [{ hostIp: hostIP ?? '0.0.0.0', hostPort, containerPort, protocol: protocol === 'UDP' ? ('udp' as const) : ('tcp' as const) }],
    ),
  );
}

import { canonicalQuantity, type k8s } from '../../api/mod.ts';
import type { Machine } from './machine.ts';
import { toSeconds } from './container-status.ts';

/** How the node presents itself. */
export interface NodeIdentity {
  readonly name: string;
  /** The address other nodes and pods reach it at. */
  readonly ip: string;
  /** Where its HTTPS listener for logs, exec and statistics is. */
  readonly listenerHost: string;
  readonly listenerPort: number;
  readonly maxPods: number;
  /** For the machine's own work; pods cannot ask for it. */
  readonly reservedMemoryBytes: number;
  readonly podCidr: string;
  readonly runtimeVersion: string;
  readonly version: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** The annotation that says at which address the agent listens when that is not the node's own, for example only on loopback. */
export const listenerHostAnnotation = 'gantry.dev/agent-host';

/** What pods can have of the node. */
export function allocatableOf(machine: Machine, reservedMemoryBytes: number): { cpuMilli: number; memoryBytes: number; ephemeralStorageBytes: number } {
  return { cpuMilli: machine.cpuMilli, memoryBytes: Math.max(0, machine.memoryBytes - reservedMemoryBytes), ephemeralStorageBytes: Math.floor(machine.diskBytes * 0.9) };
}

/** The Node object without its status (Kubernetes, "Well-Known Labels"). */
export function toNode(identity: NodeIdentity, machine: Machine): k8s.Node {
  return {
    metadata: {
      name: identity.name,
      labels: {
        'kubernetes.io/hostname': identity.name,
        'kubernetes.io/os': 'linux',
        'kubernetes.io/arch': machine.info.architecture,
        'beta.kubernetes.io/os': 'linux',
        'beta.kubernetes.io/arch': machine.info.architecture,
        ...identity.labels,
      },
      ...(identity.listenerHost === identity.ip ? {} : { annotations: { [listenerHostAnnotation]: identity.listenerHost } }),
    },
    spec: { podCIDR: identity.podCidr, podCIDRs: [identity.podCidr] },
  };
}

/** The node's status; conditions keep their transition time while their status stays. */
export function toNodeStatus(identity: NodeIdentity, machine: Machine, known: k8s.NodeStatus | undefined, nowMs: number, isShuttingDown = false): k8s.NodeStatus {
  const { cpuMilli, memoryBytes, ephemeralStorageBytes } = allocatableOf(machine, identity.reservedMemoryBytes);
  const now = toSeconds(new Date(nowMs).toISOString());
  const condition = (type: string, status: 'True' | 'False', reason: string, message: string): k8s.NodeCondition => {
    const before = known?.conditions?.find((one) => one.type === type);
    return { type, status, reason, message, lastHeartbeatTime: now, lastTransitionTime: before?.status === status ? before.lastTransitionTime : now };
  };
  return {
    capacity: quantities(machine.cpuMilli, machine.memoryBytes, machine.diskBytes, identity.maxPods),
    allocatable: quantities(cpuMilli, memoryBytes, ephemeralStorageBytes, identity.maxPods),
    addresses: [
      { type: 'InternalIP', address: identity.ip },
      { type: 'Hostname', address: machine.hostname },
    ],
    daemonEndpoints: { kubeletEndpoint: { Port: identity.listenerPort } },
    conditions: [
      condition('MemoryPressure', 'False', 'KubeletHasSufficientMemory', 'the node has sufficient memory available'),
      condition('DiskPressure', 'False', 'KubeletHasNoDiskPressure', 'the node has no disk pressure'),
      condition('PIDPressure', 'False', 'KubeletHasSufficientPID', 'the node has sufficient PID available'),
      isShuttingDown ? condition('Ready', 'False', 'KubeletNotReady', 'node is shutting down') : condition('Ready', 'True', 'KubeletReady', 'the node agent is running'),
    ],
    nodeInfo: {
      ...machine.info,
      containerRuntimeVersion: identity.runtimeVersion,
      kubeletVersion: identity.version,
      kubeProxyVersion: '',
    },
  };
}

function quantities(cpuMilli: number, memoryBytes: number, diskBytes: number, pods: number): Record<string, string> {
  return {
    cpu: canonicalQuantity(`${cpuMilli}m`),
    memory: `${Math.floor(memoryBytes / 1024)}Ki`,
    'ephemeral-storage': `${Math.floor(diskBytes / 1024)}Ki`,
    pods: String(pods),
  };
}

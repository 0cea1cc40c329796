import type { k8s } from '../../../api/mod.ts';
import type { Filter } from './filter.ts';

interface HostPort { readonly ip: string; readonly port: number; readonly protocol: string }

/** Host ports that another pod of the node already holds. */
export const portsFilter: Filter = {
  name: 'ports',
  isHelpedByEviction: true,
  prepare: (pod) => {
    const wanted = hostPortsOf(pod);
    if (wanted.length === 0) return undefined;
    return ({ pods }) => {
      const isTaken = [...pods.values()].flatMap(hostPortsOf).some((held) => wanted.some((port) => isSame(port, held)));
      return isTaken ? "node(s) didn't have free ports for the requested pod ports" : undefined;
    };
  },
};

function hostPortsOf({ spec }: k8s.Pod): HostPort[] {
  return (spec?.containers ?? []).flatMap(({ ports }) => ports ?? []).flatMap(({ hostPort, hostIP, protocol, containerPort }) => {
    const port = hostPort ?? (spec?.hostNetwork === true ? containerPort : undefined);
    return port === undefined || port === 0 ? [] : [{ ip: hostIP ?? '0.0.0.0', port, protocol: protocol ?? 'TCP' }];
  });
}

function isSame(a: HostPort, b: HostPort): boolean {
  return a.port === b.port && a.protocol === b.protocol && (a.ip === b.ip || a.ip === '0.0.0.0' || b.ip === '0.0.0.0');
}

import { isIP } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import type { k8s } from '../../../api/mod.ts';
import type { Strategy } from './kind.ts';

/** Nodes. */
export const nodeStrategy: Strategy<k8s.Node> = {
  defaults(node) {
    node.spec ??= {};
    if (node.status !== undefined && node.status.allocatable === undefined && node.status.capacity !== undefined) node.status.allocatable = { ...node.status.capacity };
  },
  validate({ spec }, errors) {
    const seen = new Set<string>();
    for (const [index, { key, effect }] of (spec?.taints ?? []).entries()) {
      const effects = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'];
      if (!effects.includes(effect)) errors.unsupported(`spec.taints[${index}].effect`, effect, effects);
      if (seen.has(`${key}:${effect}`)) errors.duplicate(`spec.taints[${index}]`, { key, effect });
      seen.add(`${key}:${effect}`);
    }
  },
  validateUpdate({ spec }, { spec: old }, errors) {
    if (old?.providerID !== undefined && old.providerID !== spec?.providerID) errors.forbidden('spec.providerID', 'node updates may only change labels, taints, or capacity (or configSource, if the DynamicKubeletConfig feature gate is enabled)');
  },
};

/** EndpointSlices. */
export const endpointSliceStrategy: Strategy<k8s.EndpointSlice> = {
  defaults({ ports }) {
    for (const port of ports ?? []) {
      port.name ??= '';
      port.protocol ??= 'TCP';
    }
  },
  validate({ addressType, endpoints }, errors) {
    const types = ['FQDN', 'IPv4', 'IPv6'];
    if (!types.includes(addressType)) errors.unsupported('addressType', addressType, types);
    if ((endpoints?.length ?? 0) > 1000) errors.tooMany('endpoints', endpoints?.length ?? 0, 1000);
    for (const [index, { addresses }] of (endpoints ?? []).entries()) {
      if (addresses.length === 0) errors.required(`endpoints[${index}].addresses`, 'must contain at least 1 address');
      const family = addressType === 'IPv4' ? 4 : 6;
      if (addressType === 'FQDN') continue;
      for (const [place, address] of addresses.entries()) if (isIP(address) !== family) errors.invalid(`endpoints[${index}].addresses[${place}]`, address, `must be a valid ${addressType} address`);
    }
  },
  validateUpdate({ addressType }, old, errors) {
    if (addressType !== old.addressType) errors.invalid('addressType', addressType, 'field is immutable');
  },
};

/** Leases. */
export const leaseStrategy: Strategy<k8s.Lease> = {
  validate({ spec }, errors) {
    if (spec?.leaseDurationSeconds !== undefined && spec.leaseDurationSeconds <= 0) errors.invalid('spec.leaseDurationSeconds', spec.leaseDurationSeconds, 'must be greater than 0');
    if (spec?.leaseTransitions !== undefined && spec.leaseTransitions < 0) errors.invalid('spec.leaseTransitions', spec.leaseTransitions, 'must be greater than or equal to 0');
  },
};

/** ControllerRevisions never change but for their number. */
export const controllerRevisionStrategy: Strategy<k8s.ControllerRevision> = {
  validate({ revision, data }, errors) {
    if (data === undefined) errors.required('data', 'data is mandatory');
    if (revision < 0) errors.invalid('revision', revision, 'must be greater than or equal to 0');
  },
  validateUpdate({ data }, old, errors) {
    if (!isDeepStrictEqual(data, old.data)) errors.invalid('data', '…', 'field is immutable');
  },
};

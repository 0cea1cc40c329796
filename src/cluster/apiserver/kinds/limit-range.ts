import { formatQuantity, parseQuantity, resources, type k8s } from '../../../api/mod.ts';
import { GantryError } from '../../../kernel/mod.ts';
import type { PrepareContext, Strategy } from './kind.ts';

const types = ['Container', 'Pod', 'PersistentVolumeClaim'];

/** LimitRanges: what containers and pods of a namespace get unasked, and may ask for. */
export const limitRangeStrategy: Strategy<k8s.LimitRange> = {
  defaults({ spec }) {
    for (const limit of spec?.limits ?? []) {
      if (limit.type !== 'Container') continue;
      // As in Kubernetes: a maximum is the default limit, and the default limit the default request.
      const defaults = { ...limit.max, ...limit.default };
      const requests = { ...limit.min, ...defaults, ...limit.defaultRequest };
      if (Object.keys(defaults).length > 0) limit.default = defaults;
      if (Object.keys(requests).length > 0) limit.defaultRequest = requests;
    }
  },
  validate({ spec }, errors) {
    for (const [index, limit] of (spec?.limits ?? []).entries()) {
      const at = `spec.limits[${index}]`;
      if (!types.includes(limit.type)) errors.unsupported(`${at}.type`, limit.type, types);
      if (limit.type === 'Pod' && limit.default !== undefined) errors.forbidden(`${at}.default`, "may not be specified when `type` is 'Pod'");
      if (limit.type === 'Pod' && limit.defaultRequest !== undefined) errors.forbidden(`${at}.defaultRequest`, "may not be specified when `type` is 'Pod'");
      for (const [name, min] of Object.entries(limit.min ?? {})) if (exceeds(min, limit.max?.[name])) errors.invalid(`${at}.min[${name}]`, min, `min value ${min} is greater than max value ${limit.max?.[name] ?? ''}`);
      for (const [name, value] of Object.entries(limit.default ?? {})) if (exceeds(value, limit.max?.[name])) errors.invalid(`${at}.default[${name}]`, value, `default value ${value} is greater than max value ${limit.max?.[name] ?? ''}`);
      for (const [name, value] of Object.entries(limit.defaultRequest ?? {})) if (exceeds(value, limit.default?.[name])) errors.invalid(`${at}.defaultRequest[${name}]`, value, `default request value ${value} is greater than default limit value ${limit.default?.[name] ?? ''}`);
    }
  },
};

function exceeds(value: string, limit: string | undefined): boolean {
  return limit !== undefined && parseQuantity(value).nano > parseQuantity(limit).nano;
}

/** Fills in and checks a new pod's resources by the LimitRanges of its namespace. `forbidden` names every breach. */
export function applyLimitRanges(pod: k8s.Pod, context: PrepareContext): void {
  const { spec, metadata } = pod;
  if (spec === undefined) return;
  const limits = ([...context.list(resources.limitRanges, metadata?.namespace)] as k8s.LimitRange[]).flatMap((range) => range.spec?.limits ?? []);
  if (limits.length === 0) return;
  const containers = [...(spec.initContainers ?? []), ...spec.containers];
  for (const limit of limits.filter(({ type }) => type === 'Container')) for (const container of containers) fillIn(container, limit);
  const breaches = limits.flatMap((limit) => (limit.type === 'Container' ? containers.flatMap(({ resources = {} }) => breachesOf(limit, resources)) : limit.type === 'Pod' ? breachesOf(limit, totalOf(spec)) : []));
  if (breaches.length > 0) throw new GantryError('forbidden', `pods ${JSON.stringify(metadata?.name ?? '')} is forbidden: ${breaches.length === 1 ? (breaches[0] ?? '') : `[${breaches.join(', ')}]`}`, { details: { name: metadata?.name ?? '', kind: 'pods' } });
}

function fillIn(container: k8s.Container, limit: k8s.LimitRangeItem): void {
  const given = (container.resources ??= {});
  const limits = { ...limit.default, ...given.limits };
  // A limit without a request is a request of that size.
  const requests = { ...limit.defaultRequest, ...given.limits, ...given.requests };
  if (Object.keys(limits).length > 0) given.limits = limits;
  if (Object.keys(requests).length > 0) given.requests = requests;
}

function breachesOf({ type, min = {}, max = {}, maxLimitRequestRatio = {} }: k8s.LimitRangeItem, { requests = {}, limits = {} }: k8s.ResourceRequirements): string[] {
  const breaches: string[] = [];
  for (const [name, least] of Object.entries(min)) {
    const asked = requests[name];
    if (asked === undefined) breaches.push(`minimum ${name} usage per ${type} is ${least}.  No request is specified`);
    else if (exceeds(least, asked)) breaches.push(`minimum ${name} usage per ${type} is ${least}, but request is ${asked}`);
  }
  for (const [name, most] of Object.entries(max)) {
    const limit = limits[name];
    if (limit === undefined) breaches.push(`maximum ${name} usage per ${type} is ${most}.  No limit is specified`);
    else if (exceeds(limit, most)) breaches.push(`maximum ${name} usage per ${type} is ${most}, but limit is ${limit}`);
  }
  for (const [name, ratio] of Object.entries(maxLimitRequestRatio)) {
    const [request, limit] = [requests[name], limits[name]];
    if (request === undefined || limit === undefined || parseQuantity(request).nano === 0n) continue;
    const isOver = parseQuantity(limit).nano * 1_000_000_000n > parseQuantity(request).nano * parseQuantity(ratio).nano;
    if (isOver) breaches.push(`${name} max limit to request ratio per ${type} is ${ratio}, but provided ratio is ${Number(parseQuantity(limit).nano) / Number(parseQuantity(request).nano)}`);
  }
  return breaches;
}

/** What all containers of a pod ask for together. */
function totalOf(spec: k8s.PodSpec): k8s.ResourceRequirements {
  const total = { requests: {} as Record<string, string>, limits: {} as Record<string, string> };
  for (const { resources = {} } of spec.containers) {
    for (const field of ['requests', 'limits'] as const) {
      for (const [name, amount] of Object.entries(resources[field] ?? {})) total[field][name] = sum(total[field][name] ?? '0', amount);
    }
  }
  return total;
}

function sum(a: string, b: string): string {
  const [left, right] = [parseQuantity(a), parseQuantity(b)];
  return formatQuantity({ nano: left.nano + right.nano, format: right.format });
}

import { formatQuantity, parseQuantity, resources, type k8s } from '../../../api/mod.ts';
import { GantryError } from '../../../kernel/mod.ts';
import { podAmounts } from '../quota/quota-usage.ts';
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
      if (spec?.limits.findIndex(({ type }) => type === limit.type) !== index) errors.duplicate(`${at}.type`, limit.type);
      if (limit.type === 'PersistentVolumeClaim' && limit.min?.['storage'] === undefined && limit.max?.['storage'] === undefined) errors.required(at, 'either minimum or maximum storage value is required, but neither was provided');
      if (limit.type === 'Pod' && limit.default !== undefined) errors.forbidden(`${at}.default`, "may not be specified when `type` is 'Pod'");
      if (limit.type === 'Pod' && limit.defaultRequest !== undefined) errors.forbidden(`${at}.defaultRequest`, "may not be specified when `type` is 'Pod'");
      for (const [name, min] of Object.entries(limit.min ?? {})) if (exceeds(min, limit.max?.[name])) errors.invalid(`${at}.min[${name}]`, min, `min value ${min} is greater than max value ${limit.max?.[name] ?? ''}`);
      for (const [name, value] of Object.entries(limit.default ?? {})) if (exceeds(value, limit.max?.[name])) errors.invalid(`${at}.default[${name}]`, value, `default value ${value} is greater than max value ${limit.max?.[name] ?? ''}`);
      for (const [name, value] of Object.entries(limit.defaultRequest ?? {})) if (exceeds(value, limit.default?.[name])) errors.invalid(`${at}.defaultRequest[${name}]`, value, `default request value ${value} is greater than default limit value ${limit.default?.[name] ?? ''}`);
      for (const [name, ratio] of Object.entries(limit.maxLimitRequestRatio ?? {})) if (nanoOf(ratio) < nanosPerUnit) errors.invalid(`${at}.maxLimitRequestRatio[${name}]`, ratio, `ratio ${ratio} is less than 1`);
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
  refuse('pods', metadata?.name ?? '', breaches);
}

function fillIn(container: k8s.Container, limit: k8s.LimitRangeItem): void {
  const given = (container.resources ??= {});
  const limits = { ...limit.default, ...given.limits };
  // A limit without a request is a request of that size.
  const requests = { ...limit.defaultRequest, ...given.limits, ...given.requests };
  if (Object.keys(limits).length > 0) given.limits = limits;
  if (Object.keys(requests).length > 0) given.requests = requests;
}

/** Checks a new claim's size by the LimitRanges of its namespace. */
export function checkClaimLimits({ metadata, spec }: k8s.PersistentVolumeClaim, context: PrepareContext): void {
  const limits = ([...context.list(resources.limitRanges, metadata?.namespace)] as k8s.LimitRange[]).flatMap((range) => range.spec?.limits ?? []).filter(({ type }) => type === 'PersistentVolumeClaim');
  // Of a claim only what it requests is bounded.
  const breaches = limits.flatMap(({ type, min = {}, max = {} }) => [...minBreaches(type, min, spec?.resources?.requests ?? {}, {}), ...maxBreaches(type, max, spec?.resources?.requests ?? {}, 'request')]);
  refuse('persistentvolumeclaims', metadata?.name ?? '', breaches);
}

function refuse(plural: string, name: string, breaches: readonly string[]): void {
  if (breaches.length === 0) return;
  throw new GantryError('forbidden', `${plural} ${JSON.stringify(name)} is forbidden: ${breaches.length === 1 ? (breaches[0] ?? '') : `[${breaches.join(', ')}]`}`, { details: { name, kind: plural } });
}

type Amounts = Readonly<Record<string, string>>;

function breachesOf({ type, min = {}, max = {}, maxLimitRequestRatio = {} }: k8s.LimitRangeItem, { requests = {}, limits = {} }: k8s.ResourceRequirements): string[] {
  const high = Object.keys(max).filter((name) => limits[name] !== undefined && !exceeds(limits[name], max[name]));
  const highRequests = maxBreaches(type, Object.fromEntries(high.map((name) => [name, max[name] ?? ''])), Object.fromEntries(high.flatMap((name) => (requests[name] === undefined ? [] : [[name, requests[name]]]))), 'request', true);
  return [...minBreaches(type, min, requests, limits), ...maxBreaches(type, max, limits, 'limit'), ...highRequests, ...ratioBreaches(type, maxLimitRequestRatio, requests, limits)];
}

function minBreaches(type: string, min: Amounts, requests: Amounts, limits: Amounts): string[] {
  return Object.entries(min).flatMap(([name, least]) => {
    const told = `minimum ${name} usage per ${type} is ${least}`;
    const [request, limit] = [requests[name], limits[name]];
    if (request === undefined) return [`${told}.  No request is specified`];
    if (exceeds(least, request)) return [`${told}, but request is ${request}`];
    return limit !== undefined && exceeds(least, limit) ? [`${told}, but limit is ${limit}`] : [];
  });
}

function maxBreaches(type: string, max: Amounts, given: Amounts, what: 'limit' | 'request', isOptional = false): string[] {
  return Object.entries(max).flatMap(([name, most]) => {
    const amount = given[name];
    if (amount === undefined) return isOptional ? [] : [`maximum ${name} usage per ${type} is ${most}.  No ${what} is specified`];
    return exceeds(amount, most) ? [`maximum ${name} usage per ${type} is ${most}, but ${what} is ${amount}`] : [];
  });
}

function ratioBreaches(type: string, ratios: Amounts, requests: Amounts, limits: Amounts): string[] {
  return Object.entries(ratios).flatMap(([name, ratio]) => {
    const told = `${name} max limit to request ratio per ${type} is ${ratio}, but `;
    const [request, limit] = [nanoOf(requests[name]), nanoOf(limits[name])];
    if (request === 0n) return [`${told}no request is specified or request is 0`];
    if (limit === 0n) return [`${told}no limit is specified or limit is 0`];
    return limit * nanosPerUnit > request * nanoOf(ratio) ? [`${told}provided ratio is ${(Number(limit) / Number(request)).toFixed(6)}`] : [];
  });
}

const nanosPerUnit = 1_000_000_000n;

function nanoOf(amount: string | undefined): bigint {
  return amount === undefined ? 0n : parseQuantity(amount).nano;
}

/** What a pod asks for as a whole: its containers together, or what starting it needs when that is more. */
function totalOf(spec: k8s.PodSpec): k8s.ResourceRequirements {
  const shown = (field: 'requests' | 'limits'): Record<string, string> => {
    const samples = new Map([...(spec.initContainers ?? []), ...spec.containers].flatMap(({ resources: { [field]: amounts = {} } = {} }) => Object.entries(amounts)));
    return Object.fromEntries([...podAmounts(spec, field)].map(([name, nano]) => [name, formatQuantity({ nano, format: parseQuantity(samples.get(name) ?? '0').format })]));
  };
  return { requests: shown('requests'), limits: shown('limits') };
}

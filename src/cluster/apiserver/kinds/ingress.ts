import { controllerAnnotations, proxyController, resources, type k8s } from '../../../api/mod.ts';
import type { FieldErrors } from '../validation/field-errors.ts';
import { nameProblem } from '../validation/names.ts';
import type { PrepareContext, Strategy } from './kind.ts';

/** The name of the class that is there from the start. */
const haproxyClass = 'haproxy';
const defaultClassAnnotation = 'ingressclass.kubernetes.io/is-default-class';
const pathTypes = ['Exact', 'ImplementationSpecific', 'Prefix'];

/** Ingresses. One that names no class gets the default one. */
export const ingressStrategy: Strategy<k8s.Ingress> = {
  prepareCreate(ingress, context) {
    const legacy = ingress.metadata?.annotations?.['kubernetes.io/ingress.class'];
    const chosen = ingress.spec?.ingressClassName ?? legacy ?? defaultClass(context);
    if (ingress.spec !== undefined && chosen !== undefined) ingress.spec.ingressClassName = chosen;
    ingress.status = { loadBalancer: {} };
  },
  validate({ spec }, errors) {
    if (spec === undefined) return errors.required('spec');
    if (spec.defaultBackend === undefined && (spec.rules ?? []).length === 0) errors.invalid('spec', '', 'either `defaultBackend` or `rules` must be specified');
    if (spec.defaultBackend !== undefined) validateBackend(spec.defaultBackend, 'spec.defaultBackend', errors);
    for (const [index, rule] of (spec.rules ?? []).entries()) validateRule(rule, `spec.rules[${index}]`, errors);
    for (const [index, { hosts }] of (spec.tls ?? []).entries()) for (const [place, host] of (hosts ?? []).entries()) validateHost(host, `spec.tls[${index}].hosts[${place}]`, errors);
  },
  warnings: ({ metadata, spec }) => (spec?.ingressClassName === haproxyClass ? controllerAnnotations(metadata).map((key) => `metadata.annotations[${key}]: has no effect in class ${haproxyClass}`) : []),
};

/** IngressClasses. */
export const ingressClassStrategy: Strategy<k8s.IngressClass> = {
  validate({ spec }, errors) {
    if (spec?.controller === proxyController && spec.parameters !== undefined) errors.forbidden('spec.parameters', `${proxyController} has no parameters`);
  },
  validateUpdate({ spec }, old, errors) {
    if (spec?.controller !== old.spec?.controller) errors.invalid('spec.controller', spec?.controller ?? '', 'field is immutable');
  },
  warnings: ({ spec }) => (spec?.controller === proxyController ? [] : [`spec.controller: nothing in this cluster serves ${JSON.stringify(spec?.controller ?? '')}; its Ingresses wait for you to run it`]),
};

function validateRule({ host, http }: k8s.IngressRule, at: string, errors: FieldErrors): void {
  if (host !== undefined && host !== '') validateHost(host, `${at}.host`, errors);
  if (http !== undefined && http.paths.length === 0) errors.required(`${at}.http.paths`);
  for (const [index, { path = '', pathType, backend }] of (http?.paths ?? []).entries()) {
    const place = `${at}.http.paths[${index}]`;
    if (!pathTypes.includes(pathType)) errors.unsupported(`${place}.pathType`, pathType, pathTypes);
    if (pathType !== 'ImplementationSpecific' && !path.startsWith('/')) errors.invalid(`${place}.path`, path, 'must be an absolute path');
    else if (/\/\/|\/\.\.?(\/|$)|%2f/i.test(path)) errors.invalid(`${place}.path`, path, "must not contain '//', '/./', '/../' or '%2f'");
    else if (path !== '' && !/^[\x21-\x7e]+$/.test(path)) errors.invalid(`${place}.path`, path, 'must consist of printable characters without blanks');
    validateBackend(backend, `${place}.backend`, errors);
  }
}

function validateHost(host: string, at: string, errors: FieldErrors): void {
  const problem = nameProblem('subdomain', host.startsWith('*.') ? host.slice(2) : host);
  if (problem !== undefined) errors.invalid(at, host, problem);
  if (/^\d+\.\d+\.\d+\.\d+$/.test(host)) errors.invalid(at, host, 'must be a DNS name, not an IP address');
}

function validateBackend({ service, resource }: k8s.IngressBackend, at: string, errors: FieldErrors): void {
  // A resource is refused by the table of fields that nobody here acts on.
  if (resource !== undefined) return;
  if (service === undefined) return errors.required(`${at}.service`);
  if (service.name === '') errors.required(`${at}.service.name`);
  if (service.port?.name === undefined && service.port?.number === undefined) errors.required(`${at}.service.port`, 'port name or number is required');
  else if (service.port.name !== undefined && service.port.number !== undefined) errors.invalid(`${at}.service.port`, service.port, 'cannot set both port name & port number');
}

function defaultClass(context: PrepareContext): string | undefined {
  return [...context.list(resources.ingressClasses)].filter(({ metadata }) => metadata.annotations?.[defaultClassAnnotation] === 'true').toSorted((a, b) => (a.metadata.creationTimestamp > b.metadata.creationTimestamp ? -1 : 1))[0]?.metadata.name;
}

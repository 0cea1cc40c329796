import { posix } from 'node:path';
import type { k8s } from '../../../api/mod.ts';
import type { FieldErrors } from '../validation/field-errors.ts';
import { nameProblem } from '../validation/names.ts';
import { validateResources } from './resources-validation.ts';

/** What a container stands in. */
interface ContainerContext { readonly volumes: ReadonlySet<string>; readonly isInit: boolean }

/** Checks one container at `at`. */
export function validateContainer(container: k8s.Container, at: string, { volumes, isInit }: ContainerContext, errors: FieldErrors): void {
  const problem = nameProblem('label', container.name);
  if (container.name === '') errors.required(`${at}.name`);
  else if (problem !== undefined) errors.invalid(`${at}.name`, container.name, problem);
  if ((container.image ?? '') === '') errors.required(`${at}.image`);
  else if (container.image !== container.image?.trim()) errors.invalid(`${at}.image`, container.image, 'must not have leading or trailing whitespace');
  if (!['Always', 'IfNotPresent', 'Never'].includes(container.imagePullPolicy ?? '')) errors.unsupported(`${at}.imagePullPolicy`, container.imagePullPolicy, ['Always', 'IfNotPresent', 'Never']);
  if (!['File', 'FallbackToLogsOnError'].includes(container.terminationMessagePolicy ?? '')) errors.unsupported(`${at}.terminationMessagePolicy`, container.terminationMessagePolicy, ['FallbackToLogsOnError', 'File']);
  validatePorts(container.ports ?? [], `${at}.ports`, errors);
  validateEnv(container.env ?? [], `${at}.env`, errors);
  validateMounts(container.volumeMounts ?? [], `${at}.volumeMounts`, volumes, errors);
  validateResources(container.resources, `${at}.resources`, errors);
  validateProbes(container, at, isInit && container.restartPolicy !== 'Always', errors);
  if (container.restartPolicy !== undefined && (!isInit || container.restartPolicy !== 'Always')) errors.unsupported(`${at}.restartPolicy`, container.restartPolicy, isInit ? ['Always'] : []);
  const security = container.securityContext;
  if (security?.privileged === true && security.allowPrivilegeEscalation === false) errors.invalid(`${at}.securityContext`, security, 'cannot set `allowPrivilegeEscalation` to false and `privileged` to true');
}

function validatePorts(ports: readonly k8s.ContainerPort[], at: string, errors: FieldErrors): void {
  const names = new Set<string>();
  for (const [index, port] of ports.entries()) {
    if (port.name !== undefined && port.name !== '') {
      if (!/^[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$/.test(port.name) || !/[a-z]/.test(port.name) || port.name.includes('--')) {
        errors.invalid(`${at}[${index}].name`, port.name, port.name.length > 15 ? 'must be no more than 15 characters' : 'must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-), and at least one letter');
      } else if (names.has(port.name)) errors.duplicate(`${at}[${index}].name`, port.name);
      names.add(port.name);
    }
    if (port.containerPort === 0) errors.required(`${at}[${index}].containerPort`);
    for (const field of ['containerPort', 'hostPort'] as const) {
      const number = port[field];
      if (number !== undefined && number !== 0 && (number < 1 || number > 65_535)) errors.invalid(`${at}[${index}].${field}`, number, 'must be between 1 and 65535, inclusive');
    }
    if (!['TCP', 'UDP', 'SCTP'].includes(port.protocol ?? '')) errors.unsupported(`${at}[${index}].protocol`, port.protocol, ['SCTP', 'TCP', 'UDP']);
  }
}

function validateEnv(env: readonly k8s.EnvVar[], at: string, errors: FieldErrors): void {
  for (const [index, { name, value, valueFrom }] of env.entries()) {
    if (name === '') errors.required(`${at}[${index}].name`);
    else if (!/^[ -<>-~]+$/.test(name)) errors.invalid(`${at}[${index}].name`, name, 'a valid environment variable name must consist only of printable ASCII characters other than \'=\'');
    if (valueFrom === undefined) continue;
    const sources = Object.keys(valueFrom);
    if (sources.length === 0) errors.invalid(`${at}[${index}].valueFrom`, '', 'must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`');
    else if (sources.length > 1) errors.invalid(`${at}[${index}].valueFrom`, '', 'may not have more than one field specified at a time');
    if (value !== undefined && value !== '') errors.invalid(`${at}[${index}].valueFrom`, '', 'may not be specified when `value` is not empty');
  }
}

function validateMounts(mounts: readonly k8s.VolumeMount[], at: string, volumes: ReadonlySet<string>, errors: FieldErrors): void {
  const paths = new Set<string>();
  for (const [index, mount] of mounts.entries()) {
    if (mount.name === '') errors.required(`${at}[${index}].name`);
    else if (!volumes.has(mount.name)) errors.notFound(`${at}[${index}].name`, mount.name);
    if (mount.mountPath === '') errors.required(`${at}[${index}].mountPath`);
    else if (paths.has(mount.mountPath)) errors.invalid(`${at}[${index}].mountPath`, mount.mountPath, 'must be unique');
    paths.add(mount.mountPath);
    for (const field of ['subPath', 'subPathExpr'] as const) {
      const path = mount[field];
      if (path === undefined || path === '') continue;
      if (posix.isAbsolute(path)) errors.invalid(`${at}[${index}].${field}`, path, 'must be a relative path');
      else if (path.split('/').includes('..')) errors.invalid(`${at}[${index}].${field}`, path, "must not contain '..'");
    }
  }
}

function validateProbes(container: k8s.Container, at: string, isPlainInit: boolean, errors: FieldErrors): void {
  for (const field of ['livenessProbe', 'readinessProbe', 'startupProbe'] as const) {
    const probe = container[field];
    if (probe === undefined) continue;
    if (isPlainInit) errors.forbidden(`${at}.${field}`, 'may not be set for init containers without restartPolicy=Always');
    const handlers = (['exec', 'httpGet', 'tcpSocket', 'grpc'] as const).filter((name) => probe[name] !== undefined);
    if (handlers.length === 0) errors.required(`${at}.${field}`, 'must specify a handler type');
    for (const extra of handlers.slice(1)) errors.forbidden(`${at}.${field}.${extra}`, 'may not specify more than 1 handler type');
    if (probe.exec !== undefined && (probe.exec.command?.length ?? 0) === 0) errors.required(`${at}.${field}.exec.command`);
    for (const name of ['initialDelaySeconds', 'timeoutSeconds', 'periodSeconds', 'successThreshold', 'failureThreshold'] as const) {
      if ((probe[name] ?? 0) < 0) errors.invalid(`${at}.${field}.${name}`, probe[name], 'must be greater than or equal to 0');
    }
    if (field !== 'readinessProbe' && probe.successThreshold !== 1) errors.invalid(`${at}.${field}.successThreshold`, probe.successThreshold, 'must be 1');
  }
}

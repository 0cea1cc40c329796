import type { k8s } from '../../../api/mod.ts';
import type { FieldErrors } from '../validation/field-errors.ts';
import { nameProblem } from '../validation/names.ts';

/** Checks the volumes of a pod at `at` and returns their names. */
export function validateVolumes(volumes: readonly k8s.Volume[], at: string, errors: FieldErrors): ReadonlySet<string> {
  const names = new Set<string>();
  for (const [index, volume] of volumes.entries()) {
    const place = `${at}[${index}]`;
    const problem = nameProblem('label', volume.name);
    if (volume.name === '') errors.required(`${place}.name`);
    else if (problem !== undefined) errors.invalid(`${place}.name`, volume.name, problem);
    if (names.has(volume.name)) errors.duplicate(`${place}.name`, volume.name);
    names.add(volume.name);
    validateSource(volume, place, errors);
  }
  return names;
}

function validateSource(volume: k8s.Volume, at: string, errors: FieldErrors): void {
  const sources = Object.keys(volume).filter((field) => field !== 'name');
  if (sources.length === 0) errors.required(at, 'must specify a volume type');
  for (const extra of sources.slice(1)) errors.forbidden(`${at}.${extra}`, 'may not specify more than 1 volume type');
  if (volume.secret !== undefined && (volume.secret.secretName ?? '') === '') errors.required(`${at}.secret.secretName`);
  if (volume.configMap !== undefined && (volume.configMap.name ?? '') === '') errors.required(`${at}.configMap.name`);
  if (volume.hostPath !== undefined) validateHostPath(volume.hostPath, `${at}.hostPath`, errors);
  if (volume.persistentVolumeClaim !== undefined && volume.persistentVolumeClaim.claimName === '') errors.required(`${at}.persistentVolumeClaim.claimName`);
  for (const [field, items] of [['secret', volume.secret?.items], ['configMap', volume.configMap?.items]] as const) {
    for (const [index, item] of (items ?? []).entries()) {
      if (item.key === '') errors.required(`${at}.${field}.items[${index}].key`);
      validateRelative(item.path, `${at}.${field}.items[${index}].path`, errors);
    }
  }
}

function validateHostPath(hostPath: k8s.HostPathVolumeSource, at: string, errors: FieldErrors): void {
  if (hostPath.path === '') errors.required(`${at}.path`);
  else if (hostPath.path.split('/').includes('..')) errors.invalid(`${at}.path`, hostPath.path, "must not contain '..'");
  const types = ['', 'DirectoryOrCreate', 'Directory', 'FileOrCreate', 'File', 'Socket', 'CharDevice', 'BlockDevice'];
  if (!types.includes(hostPath.type ?? '')) errors.unsupported(`${at}.type`, hostPath.type, types);
}

function validateRelative(path: string, at: string, errors: FieldErrors): void {
  if (path === '') errors.required(at);
  else if (path.startsWith('/')) errors.invalid(at, path, 'must be a relative path');
  else if (path.split('/').includes('..')) errors.invalid(at, path, "must not contain '..'");
}

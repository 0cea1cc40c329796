import { BuiltinSchemas, isFields, type k8s } from '../../../api/mod.ts';
import { GantryError } from '../../../kernel/mod.ts';
import { checkObject } from '../operations/check-object.ts';
import { decodeObject } from '../operations/decode-object.ts';
import { parseYaml } from '../requests/body.ts';
import { FieldErrors } from '../validation/field-errors.ts';
import { builtinKinds } from './builtin.ts';
import { parseIpv4Range } from './service-address.ts';
import { ServiceAllocator } from './service-allocator.ts';

/**
 * A file with one Pod (YAML or JSON) as the API server would take it: strict about fields, with defaults, validated.
 * `invalid` says what is wrong with it. For pods that a node runs from files, also while no API server answers.
 */
export function readPodManifest(text: string): k8s.Pod {
  const value = parseYaml(text);
  if (!isFields(value) || value['kind'] !== 'Pod' || value['apiVersion'] !== 'v1') throw new GantryError('invalid', 'the file is not one Pod of v1');
  const kind = builtinKinds(BuiltinSchemas.load(), new ServiceAllocator(parseIpv4Range('10.96.0.0/16'), { from: 30_000, to: 32_767 })).find(({ type }) => type.group === '' && type.plural === 'pods');
  if (kind === undefined) throw new GantryError('internal', 'there is no kind Pod');
  const warnings: string[] = [];
  const pod = decodeObject(kind, value, { fieldValidation: 'Strict', warnings });
  pod.metadata.namespace ??= 'default';
  delete pod.status;
  checkObject(kind, pod, { isUpdateChecked: false, problems: new FieldErrors() }, { warnings });
  return pod as k8s.Pod;
}

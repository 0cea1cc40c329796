import { BuiltinSchemas, type SchemaNode } from '../src/api/mod.ts';
import { type UnhonouredField, unhonouredFields } from '../src/cluster/apiserver/fields/unhonoured-fields.ts';
import { builtinKinds } from '../src/cluster/apiserver/kinds/builtin.ts';
import { emptyKinds } from '../src/cluster/apiserver/kinds/empty-resources.ts';
import { apiVersionOfKind, type Kind } from '../src/cluster/apiserver/kinds/kind.ts';
import { parseIpv4Range } from '../src/cluster/apiserver/kinds/service-address.ts';
import { ServiceAllocator } from '../src/cluster/apiserver/kinds/service-allocator.ts';

/** The generated tables of docs/compatibility-kubernetes.md: the kinds from the table the server serves by, the refused fields from the table it refuses by. */
export function kubernetesTables(): { kinds: string; refused: string } {
  const kinds = builtinKinds(BuiltinSchemas.load(), new ServiceAllocator(parseIpv4Range('10.96.0.0/16'), { from: 30_000, to: 32_767 }));
  const rows = kinds.map((kind) => {
    const subresources = [...(kind.hasStatus ? ['status'] : []), ...(kind.scale === undefined ? [] : ['scale']), ...kind.subresources.map(({ name }) => name)];
    return row(`\`${apiVersionOfKind(kind)}\``, kind.type.kind, kind.shortNames.join(', '), kind.type.isNamespaced ? 'namespace' : 'cluster', [...new Set(subresources)].join(', '), Object.keys(kind.selectableFields).map((field) => `\`${field}\``).join(' '));
  });
  const empty = emptyKinds.map(([group, , kind]) => `${kind} (\`${group === '' ? 'v1' : `${group}/v1`}\`)`).join(', ');
  const places = placesOf(kinds);
  const refused = groupFields(unhonouredFields).map(({ type, fields, entry }) => row(places.get(type) ?? '', `\`${type}\``, fields.map((field) => `\`${field}\``).join(' '), whenText(entry), entry.treatment, entry.why));
  return {
    kinds: [row('API', 'kind', 'short names', 'scope', 'subresources', 'selectable fields'), '|---|---|---|---|---|---|', ...rows, '', `Can be listed and watched, are always empty and cannot be created: ${empty}. Kubernetes' own scheduler asks for them before it begins.`].join('\n'),
    refused: [row('of', 'type', 'fields', 'when', 'then', 'because'), '|---|---|---|---|---|---|', ...refused].join('\n'),
  };
}

/** Neighbours in the table that are treated alike, as one row. */
function groupFields(entries: readonly UnhonouredField[]): { type: string; fields: string[]; entry: UnhonouredField }[] {
  const groups: { type: string; fields: string[]; entry: UnhonouredField }[] = [];
  for (const entry of entries) {
    const [type = '', field = ''] = entry.field.split('.');
    const last = groups.at(-1);
    if (last !== undefined && last.type === type && last.entry.treatment === entry.treatment && last.entry.why === entry.why && whenText(last.entry) === whenText(entry)) last.fields.push(field);
    else groups.push({ type, fields: [field], entry });
  }
  return groups;
}

function whenText({ only, except }: UnhonouredField): string {
  const shown = (values: readonly unknown[]): string => values.map((value) => `\`${String(value)}\``).join(', ');
  if (only !== undefined) return shown(only);
  return except === undefined ? 'it is set' : `it is other than ${shown(except)}`;
}

/** Which kinds hold each type: the names of a few, or that all with a pod template do. */
function placesOf(kinds: readonly Kind[]): Map<string, string> {
  const closed = new Set(unhonouredFields.filter(({ only, except }) => only === undefined && except === undefined).map(({ field }) => field));
  const found = new Map<string, Set<string>>();
  for (const { node, type } of kinds) {
    const seen = new Set<SchemaNode>();
    const walk = (inner: SchemaNode): void => {
      if (seen.has(inner)) return;
      seen.add(inner);
      if (inner.name !== '') found.set(inner.name, (found.get(inner.name) ?? new Set()).add(type.kind));
      for (const child of [inner.items, inner.values]) if (child !== undefined) walk(child);
      // What is below a refused field cannot be set there.
      for (const [field, child] of inner.properties ?? []) if (!closed.has(`${inner.name}.${field}`)) walk(child);
    };
    walk(node);
  }
  return new Map([...found].map(([type, names]) => [type, names.has('Deployment') ? 'Pod, pod templates' : [...names].join(', ')]));
}

function row(...cells: string[]): string {
  return `| ${cells.join(' | ')} |`;
}

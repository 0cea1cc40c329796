import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Makes src/wire/kubernetes-fields.gen.json: the protobuf field numbers of Kubernetes' API types, read from the struct tags of
 * types.go (`*` pointer, `!` zero value shown, `[]` list, `{}` map; s string, i integer, B boolean, d double, b bytes, @ special) in k8s.io/api, k8s.io/apimachinery and k8s.io/apiextensions-apiserver (Apache-2.0).
 * Usage: node scripts/generate-kubernetes-protobuf.ts FOLDER, with the three modules checked out in FOLDER.
 */
const folder = process.argv[2] ?? '';
const target = join(import.meta.dirname, '../src/wire/kubernetes-fields.gen.json');

/** Go package → its file, and the name its messages get in the table. */
const packages: Readonly<Record<string, readonly [file: string, name: string]>> = {
  'k8s.io/apimachinery/pkg/apis/meta/v1': ['apimachinery/pkg/apis/meta/v1/types.go', 'meta/v1'],
  'k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1': ['apiextensions-apiserver/pkg/apis/apiextensions/v1/types.go', 'apiextensions.k8s.io/v1'],
  ...Object.fromEntries(
    (
      [
        ['core/v1', 'v1'],
        ['apps/v1', 'apps/v1'],
        ['batch/v1', 'batch/v1'],
        ['autoscaling/v1', 'autoscaling/v1'],
        ['autoscaling/v2', 'autoscaling/v2'],
        ['discovery/v1', 'discovery.k8s.io/v1'],
        ['coordination/v1', 'coordination.k8s.io/v1'],
        ['policy/v1', 'policy/v1'],
        ['networking/v1', 'networking.k8s.io/v1'],
        ['rbac/v1', 'rbac.authorization.k8s.io/v1'],
        ['scheduling/v1', 'scheduling.k8s.io/v1'],
        ['storage/v1', 'storage.k8s.io/v1'],
        ['authorization/v1', 'authorization.k8s.io/v1'],
        ['authentication/v1', 'authentication.k8s.io/v1'],
        ['events/v1', 'events.k8s.io/v1'],
      ] as const
    ).map(([path, name]) => [`k8s.io/api/${path}`, [`api/${path}/types.go`, name] as const]),
  ),
};

/** Types whose JSON form is not that of their fields; wire/kubernetes-protobuf.ts knows each. */
const special: Readonly<Record<string, string>> = {
  'k8s.io/apimachinery/pkg/api/resource.Quantity': '@Quantity',
  'k8s.io/apimachinery/pkg/util/intstr.IntOrString': '@IntOrString',
  'k8s.io/apimachinery/pkg/runtime.RawExtension': '@Raw',
  'k8s.io/apimachinery/pkg/apis/meta/v1.Time': '@Time',
  'k8s.io/apimachinery/pkg/apis/meta/v1.MicroTime': '@MicroTime',
  'k8s.io/apimachinery/pkg/apis/meta/v1.Duration': '@Duration',
  'k8s.io/apimachinery/pkg/apis/meta/v1.FieldsV1': '@Raw',
  'k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSON': '@Raw',
  'k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaPropsOrBool': '@SchemaOrBool',
  'k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaPropsOrArray': '@SchemaOrArray',
  'k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaPropsOrStringArray': '@SchemaOrStrings',
};

const scalars: Readonly<Record<string, string>> = { string: 's', bool: 'B', int: 'i', int8: 'i', int32: 'i', int64: 'i', uint32: 'i', uint64: 'i', float64: 'd', '[]byte': 'b', byte: 'i' };

interface Source { imports: Map<string, string>; structs: Map<string, string[]>; aliases: Map<string, string> }

const sources = new Map<string, Source>();
for (const [path, [file]] of Object.entries(packages)) {
  const files = [file, file.replace('types.go', 'types_jsonschema.go')].filter((name) => existsSync(join(folder, name)));
  const texts = await Promise.all(files.map((name) => readFile(join(folder, name), 'utf8')));
  sources.set(path, parse(texts.join('\n')));
}

const table: Record<string, string> = {};
for (const [path, source] of sources) for (const name of source.structs.keys()) message(path, name);
await writeFile(target, `${JSON.stringify(Object.fromEntries(Object.entries(table).toSorted(([a], [b]) => (a < b ? -1 : 1))), undefined, 0).replaceAll('","', '",\n"')}\n`);

function parse(text: string): Source {
  const imports = new Map<string, string>();
  for (const [, alias, path = ''] of text.matchAll(/^\s*(?:(\w+)\s+)?"(k8s\.io\/[^"]+)"/gm)) imports.set(alias ?? path.split('/').at(-1) ?? '', path);
  const structs = new Map([...text.matchAll(/^type (\w+) struct ?\{(?:\}|\n([\s\S]*?)^\})/gm)].map(([, name = '', body = '']) => [name, body.split('\n').filter((line) => line.includes('json:"') && !line.trim().startsWith('//'))]));
  const aliases = new Map([...text.matchAll(/^type (\w+) =?\s*([\w.[\]*]+)$/gm)].map(([, name = '', type = '']) => [name, type]));
  return { imports, structs, aliases };
}

/** `json name,number,type` for each field, joined by spaces. An empty JSON name: the message's fields are its parent's in JSON. */
function message(path: string, name: string): string {
  const id = `${packages[path]?.[1] ?? ''}.${name}`;
  if (table[id] !== undefined) return id;
  table[id] = '';
  table[id] = (sources.get(path)?.structs.get(name) ?? []).flatMap((line) => field(path, line)).join(' ');
  return id;
}

function field(path: string, line: string): string[] {
  const json = /json:"([^"]*)"/.exec(line)?.[1] ?? '';
  const tag = /protobuf:"([^"]*)"/.exec(line)?.[1];
  const [, first = '', second] = /^\s*(\S+)(?:\s+([^`\s]+))?\s*`/.exec(line.replace(/\s+\/\/.*$/, '')) ?? [];
  const goType = (second ?? first).replace(/^\*/, '');
  if (tag === undefined || json === '-') {
    // TypeMeta is in the envelope; a union's branches are written by hand.
    return [];
  }
  const number = tag.split(',')[1] ?? '';
  const [name = ''] = json.split(',');
  // `*`: absent and zero differ. `!`: JSON shows the zero value too.
  const mark = (second ?? first).startsWith('*') ? '*' : json.includes('omitempty') || json.includes(',inline') ? '' : '!';
  return [`${json.includes(',inline') ? '' : name},${number},${mark}${typeOf(path, goType)}`];
}

function typeOf(path: string, goType: string): string {
  if (scalars[goType] !== undefined) return scalars[goType];
  if (goType.startsWith('*')) return typeOf(path, goType.slice(1));
  if (goType.startsWith('[]')) return `[]${typeOf(path, goType.slice(2))}`;
  const map = /^map\[\w+(?:\.\w+)?\](.*)$/.exec(goType);
  if (map !== null) return `{}${typeOf(path, map[1] ?? '')}`;
  const [qualifier, local] = goType.includes('.') ? (goType.split('.') as [string, string]) : [undefined, goType];
  const target = qualifier === undefined ? path : (sources.get(path)?.imports.get(qualifier) ?? (qualifier === 'types' ? 'types' : qualifier));
  const known = special[`${target}.${local}`];
  if (known !== undefined) return known;
  const source = sources.get(target);
  if (source?.structs.has(local) === true) return message(target, local);
  const alias = source?.aliases.get(local);
  // A named list (ExtraValue, Verbs) is a message with one repeated field `items`; a named map stands for itself.
  if (alias?.startsWith('[]') === true) return `@List:${typeOf(target, alias.slice(2))}`;
  if (alias !== undefined) return typeOf(target, alias);
  if (target.endsWith('/types') || target === 'types') return 's';
  // Types of alpha packages belong to features that are not served.
  if (/v\d+(?:alpha|beta)\d+$/.test(target)) return '@Skip';
  throw new Error(`${path}: unknown type ${goType}`);
}

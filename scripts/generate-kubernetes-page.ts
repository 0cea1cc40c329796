import { BuiltinSchemas } from '../src/api/mod.ts';
import { builtinKinds } from '../src/cluster/apiserver/kinds/builtin.ts';
import { emptyKinds } from '../src/cluster/apiserver/kinds/empty-resources.ts';
import { apiVersionOfKind } from '../src/cluster/apiserver/kinds/kind.ts';
import { parseIpv4Range } from '../src/cluster/apiserver/kinds/service-address.ts';
import { ServiceAllocator } from '../src/cluster/apiserver/kinds/service-allocator.ts';
import { unsupportedPodFields } from '../src/cluster/apiserver/kinds/unsupported-pod-fields.ts';

/** The generated tables of docs/compatibility-kubernetes.md: the kinds from the table the server serves by, the refused fields from the table it refuses by. */
export function kubernetesTables(): { kinds: string; refused: string } {
  const kinds = builtinKinds(BuiltinSchemas.load(), new ServiceAllocator(parseIpv4Range('10.96.0.0/16'), { from: 30_000, to: 32_767 }));
  const rows = kinds.map((kind) => {
    const subresources = [...(kind.hasStatus ? ['status'] : []), ...(kind.scale === undefined ? [] : ['scale']), ...kind.subresources.map(({ name }) => name)];
    return row(`\`${apiVersionOfKind(kind)}\``, kind.type.kind, kind.shortNames.join(', '), kind.type.isNamespaced ? 'namespace' : 'cluster', [...new Set(subresources)].join(', '), Object.keys(kind.selectableFields).map((field) => `\`${field}\``).join(' '));
  });
  const empty = emptyKinds.map(([group, , kind]) => `${kind} (\`${group === '' ? 'v1' : `${group}/v1`}\`)`).join(', ');
  const refused = unsupportedPodFields.map(([path, values]) => row(`\`${path}\``, values === undefined ? 'whenever it is set' : values.map((value) => `\`${String(value)}\``).join(', ')));
  return {
    kinds: [row('API', 'kind', 'short names', 'scope', 'subresources', 'selectable fields'), '|---|---|---|---|---|---|', ...rows, '', `Can be listed and watched, are always empty and cannot be created: ${empty}. Kubernetes' own scheduler asks for them before it begins.`].join('\n'),
    refused: [row('field of a pod, or of a pod template', 'refused'), '|---|---|', ...refused].join('\n'),
  };
}

function row(...cells: string[]): string {
  return `| ${cells.join(' | ')} |`;
}

import { formatLabelSelector, requirementsOf, type k8s } from '../../../api/mod.ts';

/** A list for a table cell, shortened the way kubectl does. */
export function joined(items: readonly string[] | undefined, max = Infinity): string {
  if (items === undefined || items.length === 0) return '<none>';
  return items.length > max ? `${items.slice(0, max).join(',')} + ${items.length - max} more...` : items.join(',');
}

/** A map of labels as `a=b,c=d`. */
export function labelsText(labels: Readonly<Record<string, string>> | undefined): string {
  return joined(Object.entries(labels ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => `${key}=${value}`));
}

/** A LabelSelector as text. */
export function selectorText(selector: k8s.LabelSelector | undefined): string {
  return formatLabelSelector(requirementsOf(selector) ?? []) || '<none>';
}

/** Names and images of a template's containers. */
export function containerColumns<T extends { spec?: { template?: k8s.PodTemplateSpec } }>(): { name: string; type: 'string'; priority: number; description: string; cell(object: T): string }[] {
  const containers = ({ spec }: T): k8s.Container[] => spec?.template?.spec?.containers ?? [];
  return [
    { name: 'Containers', type: 'string', priority: 1, description: 'Names of each container in the template.', cell: (object) => containers(object).map(({ name }) => name).join(',') },
    { name: 'Images', type: 'string', priority: 1, description: 'Images referenced by each container in the template.', cell: (object) => containers(object).map(({ image }) => image ?? '').join(',') },
  ];
}

import { type k8s, resources } from '../../../api/mod.ts';
import { badRequest } from '../errors.ts';
import type { ApiObject } from '../kinds/kind.ts';
import type { ConnectSubresource, ConnectTarget } from './connect-subresource.ts';

const { group, plural } = resources.pods;

/** The annotation that names the container people mean when they name none. */
const defaultContainerAnnotation = 'kubectl.kubernetes.io/default-container';

/** The subresources of pods that a node's agent answers (the kubelet's paths). */
export const podConnects: readonly ConnectSubresource[] = [
  { group, plural, name: 'log', optionsKind: 'Pod', verbs: ['get'], target: (object, query) => containerTarget(object, query, 'containerLogs') },
  { group, plural, name: 'exec', optionsKind: 'PodExecOptions', verbs: ['create', 'get'], target: (object, query) => containerTarget(object, query, 'exec') },
  { group, plural, name: 'attach', optionsKind: 'PodAttachOptions', verbs: ['create', 'get'], target: (object, query) => containerTarget(object, query, 'attach') },
  { group, plural, name: 'portforward', optionsKind: 'PodPortForwardOptions', verbs: ['create', 'get'], target: portForwardTarget },
];

function containerTarget(object: ApiObject, query: URLSearchParams, route: string): ConnectTarget {
  const pod = object as k8s.Pod;
  const container = containerOf(pod, query.get('container') ?? '');
  const rest = new URLSearchParams(query);
  rest.delete('container');
  return { nodeName: nodeOf(pod), path: agentPath(route, object, container, rest) };
}

function portForwardTarget(object: ApiObject, query: URLSearchParams): ConnectTarget {
  return { nodeName: nodeOf(object as k8s.Pod), path: agentPath('portForward', object, undefined, query) };
}

function agentPath(route: string, { metadata }: ApiObject, container: string | undefined, query: URLSearchParams): string {
  const segments = [route, metadata.namespace ?? '', metadata.name, ...(container === undefined ? [] : [container])];
  const text = query.toString();
  return `/${segments.map(encodeURIComponent).join('/')}${text === '' ? '' : `?${text}`}`;
}

function nodeOf({ metadata, spec }: k8s.Pod): string {
  const node = spec?.nodeName ?? '';
  if (node === '') throw badRequest(`pod ${metadata?.name ?? ''} does not have a host assigned`);
  return node;
}

/** The container that is meant: the one named, the only one, or the one the pod's annotation names. */
function containerOf({ metadata, spec }: k8s.Pod, named: string): string {
  const main = (spec?.containers ?? []).map(({ name }) => name);
  const init = (spec?.initContainers ?? []).map(({ name }) => name);
  const others = [...init, ...(spec?.ephemeralContainers ?? []).map(({ name }) => name)];
  const pod = metadata?.name ?? '';
  if (named !== '') {
    if (main.includes(named) || others.includes(named)) return named;
    throw badRequest(`container ${named} is not valid for pod ${pod}`);
  }
  const annotated = metadata?.annotations?.[defaultContainerAnnotation];
  if (annotated !== undefined && main.includes(annotated)) return annotated;
  if (main.length === 1 && main[0] !== undefined) return main[0];
  const further = init.length === 0 ? '' : ` or one of the init containers: [${init.join(' ')}]`;
  throw badRequest(`a container name must be specified for pod ${pod}, choose one of: [${main.join(' ')}]${further}`);
}

import { type k8s, proxyController } from '../../../api/mod.ts';
import type { ObjectCache } from '../objects/object-cache.ts';
import type { AccessRequest, AccessRules, Authorizer, Decision } from './authorizer.ts';
import { nodeOf } from './node-user.ts';
import type { User } from './user.ts';

const gateway = 'gateway.networking.k8s.io';

/** Resources whose state an agent needs, and that it may read all of. Their subresources are not among it: `exec` and `log` are reads too. */
const readable = new Set([
  ...['/pods', '/services', '/endpoints', '/nodes', '/namespaces', '/configmaps', '/secrets', '/serviceaccounts', '/persistentvolumes', '/persistentvolumeclaims'],
  ...['storage.k8s.io/storageclasses', 'networking.k8s.io/ingresses', 'networking.k8s.io/ingressclasses', `${gateway}/gatewayclasses`, `${gateway}/gateways`, `${gateway}/httproutes`, `${gateway}/referencegrants`],
  ...['discovery.k8s.io/endpointslices', 'coordination.k8s.io/leases', 'gantry.dev/imagebuilds', 'gantry.dev/repositories', 'metrics.k8s.io/nodes'],
]);

const change = ['patch', 'update'];

/** What an agent may write: `resource` or `resource/subresource` → the verbs, and of which objects. Creations have no name yet: what is in them is node-restriction.ts's business. */
const writable: Readonly<Record<string, { readonly verbs: readonly string[]; readonly of: 'own-node' | 'own-pods' | 'own-accounts' | 'own-volumes' | 'own-builds' | 'own-routes' | 'any' }>> = {
  '/nodes': { verbs: ['create', ...change], of: 'own-node' },
  '/nodes/status': { verbs: change, of: 'own-node' },
  '/pods': { verbs: ['create', 'delete'], of: 'own-pods' },
  '/pods/status': { verbs: change, of: 'own-pods' },
  '/pods/eviction': { verbs: ['create'], of: 'own-pods' },
  '/serviceaccounts/token': { verbs: ['create'], of: 'own-accounts' },
  '/events': { verbs: ['create', ...change], of: 'any' },
  'events.k8s.io/events': { verbs: ['create', ...change], of: 'any' },
  '/namespaces': { verbs: ['create'], of: 'own-node' },
  'coordination.k8s.io/leases': { verbs: ['create', ...change], of: 'own-node' },
  '/persistentvolumes': { verbs: ['create', 'delete'], of: 'own-volumes' },
  'networking.k8s.io/ingresses/status': { verbs: change, of: 'own-routes' },
  [`${gateway}/gatewayclasses/status`]: { verbs: change, of: 'own-routes' },
  [`${gateway}/gateways/status`]: { verbs: change, of: 'own-routes' },
  [`${gateway}/httproutes/status`]: { verbs: change, of: 'own-routes' },
  'gantry.dev/imagebuilds': { verbs: change, of: 'own-builds' },
  'gantry.dev/imagebuilds/status': { verbs: change, of: 'own-builds' },
  'authorization.k8s.io/selfsubjectaccessreviews': { verbs: ['create'], of: 'any' },
  'authentication.k8s.io/selfsubjectreviews': { verbs: ['create'], of: 'any' },
  'authentication.k8s.io/tokenreviews': { verbs: ['create'], of: 'any' },
};

/** An agent writes its own Node and Lease, its own pods' status, its own volumes and builds, the status of what its proxy serves, tokens for pods on its node, and events; nothing else. */
export class NodeAuthorizer implements Authorizer {
  readonly #objects: ObjectCache;

  constructor(objects: ObjectCache) {
    this.#objects = objects;
  }

  authorize(user: User, request: AccessRequest): Decision {
    const node = nodeOf(user);
    if (node === undefined) return { isAllowed: false, reason: '' };
    const isAllowed = request.isResource ? this.#mayUse(node, request) : request.verb === 'get';
    return isAllowed ? { isAllowed, reason: `node ${node}` } : { isAllowed, reason: `node ${JSON.stringify(node)} may only change what is its own` };
  }

  rulesOf(): AccessRules {
    return { resourceRules: [], nonResourceRules: [] };
  }

  #mayUse(node: string, request: AccessRequest): boolean {
    const { verb, group, plural, subresource, namespace, name } = request;
    const resource = `${group}/${plural}`;
    if (['get', 'list', 'watch'].includes(verb)) return readable.has(resource) && (subresource === '' || subresource === 'status');
    const rule = writable[subresource === '' ? resource : `${resource}/${subresource}`];
    if (rule === undefined || !rule.verbs.includes(verb)) return false;
    // A creation names nothing; anything else without a name would be about all of them.
    if (name === '') return verb === 'create' && subresource === '';
    switch (rule.of) {
      case 'own-node':
        return name === node && (plural !== 'leases' || namespace === 'kube-node-lease');
      case 'own-pods':
        return this.#isOn(node, namespace, name);
      case 'own-accounts':
        return this.#runsAs(node, namespace, name);
      case 'own-volumes':
        return this.#isVolumeOf(node, name);
      case 'own-builds':
        return this.#isBuildOf(node, namespace, name);
      case 'own-routes':
        return this.#isServed(group, plural, namespace, name);
      case 'any':
        return true;
    }
  }

  #isOn(node: string, namespace: string, name: string): boolean {
    const pod = this.#objects.get(`/core/pods/${namespace}/${name}`)?.object as k8s.Pod | undefined;
    // A pod that is gone: the answer will be NotFound, whoever asks.
    return pod === undefined || pod.spec?.nodeName === node;
  }

  #runsAs(node: string, namespace: string, account: string): boolean {
    for (const { object } of this.#objects.list(`/core/pods/${namespace}/`)) {
      const { spec } = object as k8s.Pod;
      if (spec?.nodeName === node && spec.serviceAccountName === account) return true;
    }
    return false;
  }

  /** A volume that a node's agent made is on that node. */
  #isVolumeOf(node: string, name: string): boolean {
    const volume = this.#objects.get(`/core/persistentvolumes/${name}`)?.object as k8s.PersistentVolume | undefined;
    return volume === undefined || isVolumeOn(volume, node);
  }

  /** A build that no node has taken yet may be taken. */
  #isBuildOf(node: string, namespace: string, name: string): boolean {
    const build = this.#objects.get(`/gantry.dev/imagebuilds/${namespace}/${name}`)?.object as { spec?: { nodeName?: string } } | undefined;
    return build === undefined || build.spec?.nodeName === undefined || build.spec.nodeName === node;
  }

  /** Whether the proxy on nodes serves it; what is gone will be NotFound. What another controller serves is not a node's to report about. */
  #isServed(group: string, plural: string, namespace: string, name: string): boolean {
    const found = this.#spec(group, plural, namespace === '' ? name : `${namespace}/${name}`);
    if (found === undefined) return true;
    switch (plural) {
      case 'ingresses':
        return this.#spec('networking.k8s.io', 'ingressclasses', found.ingressClassName ?? '')?.controller === proxyController;
      case 'gatewayclasses':
        return found.controllerName === proxyController;
      case 'gateways':
        return this.#spec(gateway, 'gatewayclasses', found.gatewayClassName ?? '')?.controllerName === proxyController;
      default: {
        return (found.parentRefs ?? []).some((parent) => (parent.kind ?? 'Gateway') === 'Gateway' && this.#spec(gateway, 'gateways', `${parent.namespace ?? namespace}/${parent.name}`) !== undefined && this.#isServed(gateway, 'gateways', parent.namespace ?? namespace, parent.name));
      }
    }
  }

  #spec(group: string, plural: string, key: string): RouteSpec | undefined {
    return this.#objects.get(`/${group}/${plural}/${key}`)?.object.spec as RouteSpec | undefined;
  }
}

/** What classes, Ingresses, Gateways and routes say of who serves them. */
interface RouteSpec {
  readonly controller?: string;
  readonly controllerName?: string;
  readonly ingressClassName?: string;
  readonly gatewayClassName?: string;
  readonly parentRefs?: readonly { kind?: string; namespace?: string; name: string }[];
}

/** Whether all that the volume may be used on is this node. */
export function isVolumeOn({ spec }: k8s.PersistentVolume, node: string): boolean {
  const terms = spec?.nodeAffinity?.required?.nodeSelectorTerms ?? [];
  return terms.length > 0 && terms.every(({ matchExpressions = [] }) => matchExpressions.some(({ key, operator, values = [] }) => key === 'kubernetes.io/hostname' && operator === 'In' && values.length === 1 && values[0] === node));
}

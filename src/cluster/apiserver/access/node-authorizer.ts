import { type k8s, resources } from '../../../api/mod.ts';
import type { ObjectCache } from '../objects/object-cache.ts';
import type { AccessRequest, AccessRules, Authorizer, Decision } from './authorizer.ts';
import type { User } from './user.ts';

const nodePrefix = 'system:node:';
const nodesGroup = 'system:nodes';

/** The node an agent speaks for; undefined for everybody else. */
export function nodeNameOf(user: User | undefined): string | undefined {
  if (user === undefined || !user.groups.includes(nodesGroup) || !user.name.startsWith(nodePrefix)) return undefined;
  return user.name.slice(nodePrefix.length);
}

/** Resources whose state an agent needs, and that it may read all of. */
const readable = new Set(['/pods', '/services', '/endpoints', '/nodes', '/namespaces', '/configmaps', '/secrets', '/serviceaccounts', '/persistentvolumes', '/persistentvolumeclaims', 'storage.k8s.io/storageclasses', 'networking.k8s.io/ingresses', 'networking.k8s.io/ingressclasses', ...['gatewayclasses', 'gateways', 'httproutes', 'referencegrants'].map((plural) => `gateway.networking.k8s.io/${plural}`), 'discovery.k8s.io/endpointslices', 'coordination.k8s.io/leases', 'gantry.dev/imagebuilds', 'gantry.dev/repositories']);

/** An agent writes its own Node and Lease, its own pods' status, its own builds, tokens for pods on its node, and events; nothing else. */
export class NodeAuthorizer implements Authorizer {
  readonly #objects: ObjectCache;

  constructor(objects: ObjectCache) {
    this.#objects = objects;
  }

  authorize(user: User, request: AccessRequest): Decision {
    const node = nodeNameOf(user);
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
    if (['get', 'list', 'watch'].includes(verb)) return readable.has(resource) || resource === 'metrics.k8s.io/nodes';
    switch (resource) {
      case '/nodes':
        return name === node || (verb === 'create' && name === '');
      case '/pods':
        // Which pods it may create, admission knows: mirrors of its own static pods.
        if (verb === 'create' && subresource === '') return true;
        return verb === 'create' ? subresource === 'eviction' && this.#isOn(node, namespace, name) : this.#isOn(node, namespace, name) && (subresource === 'status' || subresource === '');
      case '/serviceaccounts':
        return verb === 'create' && subresource === 'token' && this.#runsAs(node, namespace, name);
      case '/events':
      case 'events.k8s.io/events':
        return verb === 'create' || verb === 'patch' || verb === 'update';
      case '/namespaces':
        return verb === 'create' && name === '';
      case 'coordination.k8s.io/leases':
        return namespace === 'kube-node-lease' && (name === node || (verb === 'create' && name === ''));
      case 'networking.k8s.io/ingresses':
      case 'gateway.networking.k8s.io/gatewayclasses':
      case 'gateway.networking.k8s.io/gateways':
      case 'gateway.networking.k8s.io/httproutes':
        return subresource === 'status' && (verb === 'patch' || verb === 'update');
      case '/persistentvolumes':
        return (verb === 'create' && name === '') || (verb === 'delete' && this.#isVolumeOf(node, name));
      case 'gantry.dev/imagebuilds':
        return (verb === 'update' || verb === 'patch') && this.#isBuildOf(node, namespace, name);
      default:
        return ['authorization.k8s.io/selfsubjectaccessreviews', 'authentication.k8s.io/selfsubjectreviews', 'authentication.k8s.io/tokenreviews'].includes(resource) && verb === 'create';
    }
  }

  #isOn(node: string, namespace: string, name: string): boolean {
    const pod = this.#objects.get(`/core/pods/${namespace}/${name}`)?.object as k8s.Pod | undefined;
    // A pod that is gone: the answer will be NotFound, whoever asks.
    return pod === undefined || pod.spec?.nodeName === node;
  }

  #runsAs(node: string, namespace: string, account: string): boolean {
    const { plural } = resources.pods;
    for (const { object } of this.#objects.list(`/core/${plural}/${namespace}/`)) {
      const { spec } = object as k8s.Pod;
      if (spec?.nodeName === node && spec.serviceAccountName === account) return true;
    }
    return false;
  }

  /** A volume that a node's agent made is on that node. */
  #isVolumeOf(node: string, name: string): boolean {
    const volume = this.#objects.get(`/core/persistentvolumes/${name}`)?.object as k8s.PersistentVolume | undefined;
    return volume === undefined || volume.spec?.nodeAffinity?.required?.nodeSelectorTerms.some(({ matchExpressions }) => matchExpressions?.some(({ values }) => values?.includes(node) === true) === true) === true;
  }

  /** A build that no node has taken yet may be taken. */
  #isBuildOf(node: string, namespace: string, name: string): boolean {
    const build = this.#objects.get(`/gantry.dev/imagebuilds/${namespace}/${name}`)?.object as { spec?: { nodeName?: string } } | undefined;
    return build === undefined || build.spec?.nodeName === undefined || build.spec.nodeName === node;
  }
}

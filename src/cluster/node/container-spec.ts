import type { k8s } from '../../api/mod.ts';
import { GantryError } from '../../kernel/mod.ts';
import type { PodFacts } from './downward.ts';
import { expand } from './expansion.ts';
import { backoffLabel } from './pod-view.ts';
import type { ImageSummary, PodContainerSpec } from './ports.ts';
import { toContainerResources } from './resources.ts';

/** What the start of one attempt was prepared with. */
export interface ContainerInputs {
  readonly facts: PodFacts;
  readonly container: k8s.Container;
  readonly sandboxId: string;
  readonly attempt: number;
  readonly backoffSeconds: number;
  readonly image: ImageSummary;
  readonly environment: ReadonlyMap<string, string>;
  readonly mounts: PodContainerSpec['mounts'];
  readonly limits: { nodeMemoryBytes: number; podPidsLimit: number };
  /** The container whose processes an ephemeral container shares. */
  readonly targetContainerId?: string;
}

/** The engine's container for one attempt: image and pod merged. `invalid` when they do not fit together. */
export function toContainerSpec(inputs: ContainerInputs): PodContainerSpec {
  const { facts, container, image, attempt } = inputs;
  const { metadata, spec } = facts.pod;
  const podSpec = spec ?? { containers: [] };
  const environment = new Map(image.env.map(splitVariable));
  environment.set('HOSTNAME', hostnameOf(facts.pod));
  for (const [name, value] of inputs.environment) environment.set(name, value);
  return {
    sandboxId: inputs.sandboxId,
    podUid: metadata?.uid ?? '',
    name: container.name,
    attempt,
    imageId: image.id,
    imageReference: container.image ?? '',
    args: argvOf(container, image, inputs.environment),
    env: [...environment].map(([name, value]) => ({ name, value })),
    workingDir: container.workingDir ?? image.workingDir,
    user: userOf(podSpec, container, image),
    supplementalGroups: groupsOf(podSpec),
    mounts: inputs.mounts,
    tmpfs: [],
    stdin: container.stdin === true,
    stdinOnce: container.stdinOnce === true,
    tty: container.tty === true,
    resources: toContainerResources(podSpec, container, inputs.limits),
    security: securityOf(podSpec, container),
    namespaces: {
      pid: inputs.targetContainerId !== undefined ? { mode: 'container', id: inputs.targetContainerId } : { mode: podSpec.hostPID === true ? 'host' : 'private' },
      ipc: podSpec.hostIPC === true ? 'host' : 'sandbox',
    },
    labels: labelsOf(facts.pod, container, inputs),
    ...(container.lifecycle?.stopSignal === undefined ? {} : { stopSignal: container.lifecycle.stopSignal }),
  };
}

/** The pod's host name: its own, or its name (Kubernetes, "Pod's hostname and subdomain fields"). */
export function hostnameOf(pod: k8s.Pod): string {
  return (pod.spec?.hostname ?? pod.metadata?.name ?? '').slice(0, 63).replace(/[-.]+$/, '');
}

function argvOf(container: k8s.Container, image: ImageSummary, environment: ReadonlyMap<string, string>): string[] {
  const command = container.command ?? [];
  // A command of the pod also replaces the image's arguments (Kubernetes, "Define a Command and Arguments for a Container").
  const head = command.length > 0 ? command : image.entrypoint;
  const tail = container.args !== undefined && container.args.length > 0 ? container.args : command.length > 0 ? [] : image.command;
  const argv = [...head.map((part) => (command.length > 0 ? expand(part, environment) : part)), ...tail.map((part) => (container.args === undefined ? part : expand(part, environment)))];
  if (argv.length === 0) throw new GantryError('invalid', 'no command specified: neither the container nor its image has one');
  return argv;
}

function userOf(pod: k8s.PodSpec, container: k8s.Container, image: ImageSummary): string {
  const own = container.securityContext;
  const shared = pod.securityContext;
  const uid = own?.runAsUser ?? shared?.runAsUser;
  const gid = own?.runAsGroup ?? shared?.runAsGroup;
  const [imageUser = '', imageGroup] = image.user.split(':');
  if ((own?.runAsNonRoot ?? shared?.runAsNonRoot) === true) refuseRoot(uid, imageUser);
  const user = uid === undefined ? imageUser : String(uid);
  const group = gid === undefined ? (uid === undefined ? imageGroup : undefined) : String(gid);
  if (group === undefined) return user;
  return `${user === '' ? '0' : user}:${group}`;
}

function refuseRoot(uid: number | undefined, imageUser: string): void {
  if (uid === 0) throw new GantryError('invalid', "container's runAsUser breaks non-root policy");
  if (uid !== undefined) return;
  if (imageUser === '' || imageUser === '0' || imageUser === 'root') throw new GantryError('invalid', 'container has runAsNonRoot and image will run as root');
  if (!/^\d+$/.test(imageUser)) throw new GantryError('invalid', `container has runAsNonRoot and image has non-numeric user (${imageUser}), cannot verify user is non-root`);
}

function groupsOf(pod: k8s.PodSpec): number[] {
  const { supplementalGroups, fsGroup } = pod.securityContext ?? {};
  return [...new Set([...(supplementalGroups ?? []), ...(fsGroup === undefined ? [] : [fsGroup])])];
}

function securityOf(pod: k8s.PodSpec, container: k8s.Container): PodContainerSpec['security'] {
  const own = container.securityContext ?? {};
  const profile = own.seccompProfile ?? pod.securityContext?.seccompProfile;
  const isPrivileged = own.privileged === true;
  return {
    isPrivileged,
    isReadOnlyRoot: own.readOnlyRootFilesystem === true,
    allowPrivilegeEscalation: own.allowPrivilegeEscalation ?? true,
    addCapabilities: own.capabilities?.add ?? [],
    dropCapabilities: own.capabilities?.drop ?? [],
    seccomp: profile?.type === 'Unconfined' || isPrivileged ? 'unconfined' : 'default',
  };
}

function labelsOf(pod: k8s.Pod, container: k8s.Container, inputs: ContainerInputs): Record<string, string> {
  return {
    'io.kubernetes.pod.name': pod.metadata?.name ?? '',
    'io.kubernetes.pod.namespace': pod.metadata?.namespace ?? '',
    'io.kubernetes.pod.uid': pod.metadata?.uid ?? '',
    'io.kubernetes.container.name': container.name,
    ...(inputs.backoffSeconds > 0 ? { [backoffLabel]: String(inputs.backoffSeconds) } : {}),
  };
}

function splitVariable(text: string): [string, string] {
  const equals = text.indexOf('=');
  return equals < 0 ? [text, ''] : [text.slice(0, equals), text.slice(equals + 1)];
}

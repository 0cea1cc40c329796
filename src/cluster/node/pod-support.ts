import type { k8s } from '../../api/mod.ts';
import type { ErrorPlace } from '../../kernel/mod.ts';

type Check = readonly [field: string, isUsed: boolean, message: string];

/** Volume sources this node can mount. */
const volumeSources = ['emptyDir', 'configMap', 'secret', 'projected', 'downwardAPI', 'hostPath', 'persistentVolumeClaim', 'csi'];

/** Every field of the pod that this node does not honour. A pod with any of them is refused: nothing is ignored silently. */
export function unsupportedFields(spec: k8s.PodSpec): ErrorPlace[] {
  const checks: Check[] = [
    ['spec.shareProcessNamespace', spec.shareProcessNamespace === true, 'a process namespace shared by the pod is not supported'],
    ['spec.hostUsers', spec.hostUsers === false && (spec.hostNetwork === true || spec.hostPID === true || spec.hostIPC === true), 'a pod with a user namespace of its own cannot have namespaces of the host'],
    ['spec.os.name', spec.os !== undefined && spec.os.name !== 'linux', 'only linux is supported'],
    ['spec.runtimeClassName', isSet(spec.runtimeClassName), 'runtime classes are not supported'],
    ['spec.overhead', isSet(spec.overhead), 'pod overhead is not supported'],
    ['spec.resourceClaims', isSet(spec.resourceClaims), 'dynamic resources are not supported'],
    ['spec.resources', isSet(spec.resources), 'resources of the whole pod are not supported; set them on containers'],
    ['spec.hostnameOverride', isSet(spec.hostnameOverride), 'hostnameOverride is not supported'],
    ...securityChecks('spec.securityContext', spec.securityContext),
    ['spec.securityContext.supplementalGroupsPolicy', spec.securityContext?.supplementalGroupsPolicy === 'Strict', 'only Merge is supported'],
  ];
  const containers: [string, readonly k8s.Container[]][] = [
    ['spec.initContainers', spec.initContainers ?? []],
    ['spec.containers', spec.containers],
    ['spec.ephemeralContainers', spec.ephemeralContainers ?? []],
  ];
  for (const [path, list] of containers) list.forEach((container, index) => checks.push(...containerChecks(`${path}[${index}]`, container)));
  (spec.volumes ?? []).forEach((volume, index) => checks.push(...volumeChecks(`spec.volumes[${index}]`, volume)));
  return checks.filter(([, isUsed]) => isUsed).map(([field, , message]) => ({ field, message }));
}

function containerChecks(path: string, container: k8s.Container): Check[] {
  const probes = (['startupProbe', 'readinessProbe', 'livenessProbe'] as const).flatMap((name) => {
    const probe = container[name];
    const kinds = [probe?.exec, probe?.httpGet, probe?.tcpSocket, probe?.grpc].filter((kind) => kind !== undefined);
    return [[`${path}.${name}`, probe !== undefined && kinds.length !== 1, 'exactly one of exec, httpGet, tcpSocket and grpc is needed'] as const];
  });
  return [
    ...probes,
    [`${path}.volumeDevices`, isSet(container.volumeDevices), 'block devices are not supported'],
    [`${path}.restartPolicyRules`, isSet(container.restartPolicyRules), 'restart rules are not supported'],
    [`${path}.resources.claims`, isSet(container.resources?.claims), 'dynamic resources are not supported'],
    ...unknownResources(`${path}.resources`, container.resources),
    [`${path}.ports`, (container.ports ?? []).some(({ protocol }) => protocol === 'SCTP'), 'SCTP is not supported'],
    ...securityChecks(`${path}.securityContext`, container.securityContext),
    [`${path}.securityContext.procMount`, container.securityContext?.procMount === 'Unmasked', 'only the Default proc mount is supported'],
    ...(container.volumeMounts ?? []).map(
      (mount, index): Check => [`${path}.volumeMounts[${index}].recursiveReadOnly`, mount.recursiveReadOnly === 'Enabled', 'recursive read-only mounts are not supported'],
    ),
    ...(container.env ?? []).map(({ valueFrom }, index): Check => [`${path}.env[${index}].valueFrom.fileKeyRef`, valueFrom?.fileKeyRef !== undefined, 'variables from files are not supported']),
  ];
}

function unknownResources(path: string, resources: k8s.ResourceRequirements | undefined): Check[] {
  const names = new Set([...Object.keys(resources?.limits ?? {}), ...Object.keys(resources?.requests ?? {})]);
  return [...names].filter((name) => !['cpu', 'memory', 'ephemeral-storage'].includes(name)).map((name): Check => [path, true, `the resource ${name} is not offered by this node`]);
}

function securityChecks(path: string, context: k8s.SecurityContext | k8s.PodSecurityContext | undefined): Check[] {
  return [
    [`${path}.seccompProfile.type`, context?.seccompProfile?.type === 'Localhost', 'only RuntimeDefault and Unconfined are supported'],
    [`${path}.appArmorProfile`, context?.appArmorProfile !== undefined && context.appArmorProfile.type !== 'Unconfined', 'AppArmor profiles are not supported'],
    [`${path}.seLinuxOptions`, isSet(context?.seLinuxOptions), 'SELinux is not supported'],
    [`${path}.windowsOptions`, isSet(context?.windowsOptions), 'Windows is not supported'],
  ];
}

function volumeChecks(path: string, volume: k8s.Volume): Check[] {
  const source = Object.keys(volume).find((key) => key !== 'name' && Reflect.get(volume, key) !== undefined);
  return [
    [`${path}.${source ?? ''}`, source !== undefined && !volumeSources.includes(source), 'this kind of volume is not supported'],
    [`${path}.emptyDir.medium`, !['', 'Memory', undefined].includes(volume.emptyDir?.medium), 'only the default medium and Memory are supported'],
    ...(volume.projected?.sources ?? []).flatMap((projection, index): Check[] => [
      [`${path}.projected.sources[${index}].clusterTrustBundle`, projection.clusterTrustBundle !== undefined, 'trust bundles are not supported'],
      [`${path}.projected.sources[${index}].podCertificate`, projection.podCertificate !== undefined, 'pod certificates are not supported'],
    ]),
  ];
}

function isSet(value: unknown): boolean {
  if (value === undefined || value === null || value === '') return false;
  return typeof value !== 'object' || Object.keys(value).length > 0;
}

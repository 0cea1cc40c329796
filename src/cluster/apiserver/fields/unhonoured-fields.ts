/** A field that nothing in this cluster acts on, and what becomes of an object that sets it. */
export interface UnhonouredField {
  /** `Type.field`, the type being the schema's, so that it holds wherever the type stands. */
  readonly field: string;
  /** Refused: 422 at the field. Warned: stored, and the client is told. */
  readonly treatment: 'refused' | 'warned';
  /** Only these values. Absent: any value that is not empty. */
  readonly only?: readonly unknown[];
  /** Any value but these and empty ones. */
  readonly except?: readonly unknown[];
  /** Why, for the documentation. */
  readonly why: string;
}

type Options = Pick<UnhonouredField, 'only' | 'except'>;

function refused(type: string, fields: readonly string[], why: string, options: Options = {}): UnhonouredField[] {
  return fields.map((field) => ({ field: `${type}.${field}`, treatment: 'refused', why, ...options }));
}

function warned(type: string, fields: readonly string[], why: string, options: Options = {}): UnhonouredField[] {
  return fields.map((field) => ({ field: `${type}.${field}`, treatment: 'warned', why, ...options }));
}

const network = 'volumes are folders of the node: emptyDir, hostPath, claims, and what the API holds';
const networkSources = ['awsElasticBlockStore', 'azureDisk', 'azureFile', 'cephfs', 'cinder', 'fc', 'flexVolume', 'flocker', 'gcePersistentDisk', 'glusterfs', 'iscsi', 'nfs', 'photonPersistentDisk', 'portworxVolume', 'quobyte', 'rbd', 'scaleIO', 'storageos', 'vsphereVolume'];
const linux = 'nodes run Linux containers by runc or crun, without SELinux and AppArmor profiles';
const claims = 'there are no dynamic resources';
const wholePod = 'resources are given to containers, not to pods';
const folders = 'volumes are folders of the node';

const securityContexts = ['PodSecurityContext', 'SecurityContext'];
const containers = ['Container', 'EphemeralContainer'];

/**
 * Every field of a built-in kind that this cluster does not honour, in one table: what is not in it works. The server refuses and
 * warns by it, docs/compatibility-kubernetes.md is generated from it, and a test walks all schemas for fields that are in no table.
 */
export const unhonouredFields: readonly UnhonouredField[] = [
  ...refused('PodSpec', ['resources', 'overhead'], wholePod),
  ...refused('CSIVolumeSource', ['driver'], 'the one driver is docker.gantry.dev: a Docker socket limited to the pod', { except: ['docker.gantry.dev'] }),
  ...refused('CSIVolumeSource', ['fsType', 'nodePublishSecretRef', 'readOnly', 'volumeAttributes'], 'the driver docker.gantry.dev has no options'),
  ...refused('PodSpec', ['resourceClaims'], claims),
  ...refused('PodSpec', ['schedulingGroup'], 'pods are scheduled one by one'),
  ...refused('PodSpec', ['runtimeClassName'], 'there is one OCI runtime'),
  ...refused('PodSpec', ['shareProcessNamespace'], 'each container has its own process namespace', { only: [true] }),
  ...refused('PodSpec', ['hostnameOverride'], 'the host name follows from hostname and subdomain'),
  ...warned('PodSpec', ['automountServiceAccountToken'], 'tokens are mounted by projected volumes that the pod names itself', { only: [true] }),
  ...warned('ServiceAccount', ['automountServiceAccountToken'], 'tokens are mounted by projected volumes that the pod names itself', { only: [true] }),
  ...refused('PodOS', ['name'], linux, { only: ['windows'] }),
  ...securityContexts.flatMap((type) => refused(type, ['seLinuxOptions', 'windowsOptions'], linux)),
  ...refused('PodSecurityContext', ['seLinuxChangePolicy'], linux),
  ...refused('PodSecurityContext', ['supplementalGroupsPolicy'], 'groups of the image are merged', { only: ['Strict'] }),
  ...refused('SecurityContext', ['procMount'], 'parts of /proc stay masked', { only: ['Unmasked'] }),
  ...refused('AppArmorProfile', ['type'], linux, { only: ['RuntimeDefault', 'Localhost'] }),
  ...refused('AppArmorProfile', ['localhostProfile'], linux),
  ...refused('SeccompProfile', ['type'], 'profiles are RuntimeDefault or Unconfined', { only: ['Localhost'] }),
  ...refused('SeccompProfile', ['localhostProfile'], 'profiles are RuntimeDefault or Unconfined'),
  ...containers.flatMap((type) => [
    ...refused(type, ['restartPolicyRules'], 'containers restart by their restartPolicy alone'),
    ...refused(type, ['volumeDevices'], 'there are no block volumes'),
    ...warned(type, ['resizePolicy'], 'pods cannot be resized in place'),
  ]),
  ...refused('ResourceRequirements', ['claims'], claims),
  ...refused('ContainerPort', ['protocol'], 'the service proxy knows TCP and UDP', { only: ['SCTP'] }),
  ...refused('EnvVarSource', ['fileKeyRef'], 'variables come from the API, not from files'),
  ...refused('VolumeMount', ['recursiveReadOnly'], 'mounts under a read-only mount keep their own mode', { only: ['Enabled'] }),
  ...refused('Volume', [...networkSources, 'gitRepo'], network),
  ...refused('Volume', ['ephemeral'], 'a claim lives on its own, not with the pod'),
  ...refused('Volume', ['image'], 'an image is mounted only as a container’s root'),
  ...refused('EmptyDirVolumeSource', ['medium'], 'huge pages are not offered', { except: ['Memory'] }),
  ...refused('VolumeProjection', ['clusterTrustBundle', 'podCertificate'], 'the cluster issues service account tokens only'),

  ...refused('PersistentVolumeClaimSpec', ['dataSource', 'dataSourceRef', 'volumeAttributesClassName'], folders),
  ...refused('PersistentVolumeClaimSpec', ['volumeMode'], 'there are no block volumes', { only: ['Block'] }),
  ...warned('VolumeResourceRequirements', ['limits'], 'the size of a volume is not limited'),
  ...refused('PersistentVolumeSpec', networkSources.filter((source) => source !== 'csi'), folders),
  ...refused('PersistentVolumeSpec', ['csi', 'mountOptions', 'volumeAttributesClassName'], folders),
  ...refused('PersistentVolumeSpec', ['volumeMode'], 'there are no block volumes', { only: ['Block'] }),
  ...refused('LocalVolumeSource', ['fsType'], folders),
  ...refused('StorageClass', ['allowedTopologies'], 'a volume is on the node where it is first used'),

  ...refused('ServiceSpec', ['loadBalancerSourceRanges'], 'host ports take clients from everywhere'),
  ...refused('ServiceSpec', ['healthCheckNodePort'], 'no balancer outside asks for it'),
  ...warned('ServiceSpec', ['loadBalancerIP'], 'the addresses are those of the nodes'),
  ...warned('ServiceSpec', ['trafficDistribution'], 'endpoints are equally near'),
  ...refused('ServicePort', ['protocol'], 'the service proxy knows TCP and UDP', { only: ['SCTP'] }),
  ...warned('EndpointSlice', ['addressType'], 'Services have IPv4 addresses only', { only: ['IPv6', 'FQDN'] }),
  ...warned('Endpoint', ['hints'], 'endpoints are equally near'),
  ...warned('Endpoint', ['deprecatedTopology'], 'nodeName and zone say it'),
  ...refused('IngressBackend', ['resource'], 'Ingresses lead to Services only'),

  ...refused('JobSpec', ['managedBy'], 'Jobs have one controller', { except: ['kubernetes.io/job-controller'] }),
  ...refused('MetricSpec', ['external'], 'there is no source of metrics outside the cluster'),
  ...refused('LeaseSpec', ['strategy', 'preferredHolder'], 'elections are the holders’ own business'),
  ...refused('NodeSpec', ['configSource'], 'agents are configured on their machine'),
  ...warned('NodeSpec', ['externalID'], 'nothing reads it'),
  ...refused('CustomResourceConversion', ['webhook'], 'versions of a kind share one schema'),
];

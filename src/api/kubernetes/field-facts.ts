/**
 * What the generated schemas do not say of Kubernetes' own types: how lists merge, which structures are replaced whole,
 * and which strings are quantities or base64. From the tags and markers in k8s.io/api's types.go.
 */

/** Lists of objects that merge by keys: `Type.field` → the keys. The first is strategic merge patch's. All other lists are atomic. */
export const mergedLists: Readonly<Record<string, readonly string[]>> = {
  'ObjectMeta.ownerReferences': ['uid'],
  'PodSpec.volumes': ['name'],
  'PodSpec.initContainers': ['name'],
  'PodSpec.containers': ['name'],
  'PodSpec.ephemeralContainers': ['name'],
  'PodSpec.imagePullSecrets': ['name'],
  'PodSpec.hostAliases': ['ip'],
  'PodSpec.topologySpreadConstraints': ['topologyKey', 'whenUnsatisfiable'],
  'PodSpec.schedulingGates': ['name'],
  'PodSpec.resourceClaims': ['name'],
  'Container.ports': ['containerPort', 'protocol'],
  'Container.env': ['name'],
  'Container.volumeMounts': ['mountPath'],
  'Container.volumeDevices': ['devicePath'],
  'EphemeralContainer.ports': ['containerPort', 'protocol'],
  'EphemeralContainer.env': ['name'],
  'EphemeralContainer.volumeMounts': ['mountPath'],
  'EphemeralContainer.volumeDevices': ['devicePath'],
  'ResourceRequirements.claims': ['name'],
  'ContainerStatus.volumeMounts': ['mountPath'],
  'ContainerStatus.allocatedResourcesStatus': ['name'],
  'PodStatus.conditions': ['type'],
  'PodStatus.podIPs': ['ip'],
  'PodStatus.resourceClaimStatuses': ['name'],
  'NodeStatus.conditions': ['type'],
  'NodeStatus.addresses': ['type'],
  'NamespaceStatus.conditions': ['type'],
  'ServiceSpec.ports': ['port', 'protocol'],
  'ServiceStatus.conditions': ['type'],
  'ServiceAccount.secrets': ['name'],
  'PersistentVolumeClaimStatus.conditions': ['type'],
  'ReplicationControllerStatus.conditions': ['type'],
  'DaemonSetStatus.conditions': ['type'],
  'DeploymentStatus.conditions': ['type'],
  'ReplicaSetStatus.conditions': ['type'],
  'StatefulSetStatus.conditions': ['type'],
  'JobStatus.conditions': ['type'],
  'HorizontalPodAutoscalerStatus.conditions': ['type'],
  'PodDisruptionBudgetStatus.conditions': ['type'],
  'CustomResourceDefinitionStatus.conditions': ['type'],
};

/** Lists of scalars that are sets: `Type.field`. */
export const setLists: ReadonlySet<string> = new Set([
  'ObjectMeta.finalizers',
  'NodeSpec.podCIDRs',
  'UncountedTerminatedPods.succeeded',
  'UncountedTerminatedPods.failed',
  'PodFailurePolicyOnExitCodesRequirement.values',
  'ContainerRestartRuleOnExitCodes.values',
  'Endpoint.addresses',
]);

/** Merged by strategic merge patch, but owned as one value by server-side apply. */
export const atomicForApply: ReadonlySet<string> = new Set(['JobStatus.conditions']);

/** Where strategic merge patch honours `$retainKeys`. */
export const retainKeys: ReadonlySet<string> = new Set(['PodSpec.volumes', 'PodSpec.resourceClaims', 'PodStatus.resourceClaimStatuses', 'DeploymentSpec.strategy']);

/** Structures and maps that server-side apply owns as one value. */
export const atomicTypes: ReadonlySet<string> = new Set([
  ...['OwnerReference', 'LabelSelector', 'SecretReference', 'FileKeySelector', 'ObjectFieldSelector', 'ResourceFieldSelector', 'ConfigMapKeySelector'],
  ...['SecretKeySelector', 'NodeSelector', 'NodeSelectorTerm', 'TopologySelectorTerm', 'EndpointAddress', 'CoreEndpointPort', 'ObjectReference'],
  ...['LocalObjectReference', 'TypedLocalObjectReference', 'ScopeSelector', 'CrossVersionObjectReference', 'CrossVersionObjectReferenceV1', 'EndpointPort', 'ServiceBackendPort', 'RbacSubject', 'RoleRef'],
]);

/** Maps that server-side apply owns as one value. */
export const atomicMaps: ReadonlySet<string> = new Set(['PodSpec.nodeSelector', 'ReplicationControllerSpec.selector', 'ServiceSpec.selector']);

/** Fields that are quantities, or maps of quantities. */
export const quantityFields: ReadonlySet<string> = new Set([
  ...['PersistentVolumeSpec.capacity', 'PersistentVolumeClaimStatus.capacity', 'PersistentVolumeClaimStatus.allocatedResources', 'EmptyDirVolumeSource.sizeLimit'],
  ...['ResourceFieldSelector.divisor', 'ResourceRequirements.limits', 'ResourceRequirements.requests', 'VolumeResourceRequirements.limits'],
  ...['VolumeResourceRequirements.requests', 'ContainerStatus.allocatedResources', 'PodSpec.overhead', 'PodStatus.allocatedResources', 'NodeStatus.capacity'],
  ...['NodeStatus.allocatable', 'LimitRangeItem.max', 'LimitRangeItem.min', 'LimitRangeItem._default', 'LimitRangeItem.default', 'LimitRangeItem.defaultRequest'],
  ...['LimitRangeItem.maxLimitRequestRatio', 'ResourceQuotaSpec.hard', 'ResourceQuotaStatus.hard', 'ResourceQuotaStatus.used', 'HPAScalingRules.tolerance'],
  ...['MetricTarget.value', 'MetricTarget.averageValue', 'MetricValueStatus.value', 'MetricValueStatus.averageValue'],
]);

/** Fields that are base64, or maps of base64. */
export const bytesFields: ReadonlySet<string> = new Set(['Secret.data', 'ConfigMap.binaryData', 'WebhookClientConfig.caBundle']);

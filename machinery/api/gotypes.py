"""How upstream's decoder names fields and types in its error texts.

A client that sends a number where a string belongs is told ``json: cannot unmarshal number into Go struct field
ServicePort.spec.ports.protocol of type v1.Protocol``. The schema knows the struct and the path; what it cannot know is
which strings have a named type and which fields sit in an embedded struct, whose name then appears in the path. Both
are listed here, by struct and field. A field that is not listed has the plain type of its schema.
"""

from __future__ import annotations

from machinery.api.schema import SchemaNode

_NAMES = "LocalObjectReference"

#: struct -> (embedded struct names, fields outside of them).
_EMBEDDED_EXCEPT: dict[str, tuple[tuple[str, ...], frozenset[str]]] = {
    "Volume": (("VolumeSource",), frozenset({"name"})),
    "Probe": (
        ("ProbeHandler",),
        frozenset({
            "initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold",
            "terminationGracePeriodSeconds",
        }),
    ),
    "PersistentVolumeSpec": (
        ("PersistentVolumeSource",),
        frozenset({
            "accessModes", "capacity", "claimRef", "mountOptions", "nodeAffinity", "persistentVolumeReclaimPolicy",
            "storageClassName", "volumeAttributesClassName", "volumeMode",
        }),
    ),
    "EphemeralContainer": (("EphemeralContainerCommon",), frozenset({"targetContainerName"})),
    "IngressRule": (("IngressRuleValue",), frozenset({"host"})),
    "RuleWithOperations": (("Rule",), frozenset({"operations"})),
    "DeviceClassConfiguration": (("DeviceConfiguration",), frozenset()),
    "DeviceClaimConfiguration": (("DeviceConfiguration",), frozenset({"requests"})),
    "DeviceAllocationConfiguration": (("DeviceConfiguration",), frozenset({"source", "requests"})),
    "ConfigMapEnvSource": ((_NAMES,), frozenset({"optional"})),
    "ConfigMapKeySelector": ((_NAMES,), frozenset({"key", "optional"})),
    "SecretEnvSource": ((_NAMES,), frozenset({"optional"})),
    "SecretKeySelector": ((_NAMES,), frozenset({"key", "optional"})),
    "ConfigMapVolumeSource": ((_NAMES,), frozenset({"items", "defaultMode", "optional"})),
    "ConfigMapProjection": ((_NAMES,), frozenset({"items", "optional"})),
    "SecretProjection": ((_NAMES,), frozenset({"items", "optional"})),
}  # fmt: skip


def embedding(struct: str, field: str) -> tuple[str, ...]:
    """Names of the embedded structs between ``struct`` and its ``field``."""
    if struct == "NamedRuleWithOperations":
        if field == "resourceNames":
            return ()
        return ("RuleWithOperations",) if field == "operations" else ("RuleWithOperations", "Rule")
    names, direct = _EMBEDDED_EXCEPT.get(struct, ((), frozenset()))
    return () if field in direct else names


#: named type -> the fields that have it, "Struct.field" each.
_FIELDS_OF_TYPE = {
    "v1.AzureDataDiskCachingMode": "AzureDiskVolumeSource.cachingMode",
    "v1.AzureDataDiskKind": "AzureDiskVolumeSource.kind",
    "v1.CompletionMode": "JobSpec.completionMode",
    "v1.ConcurrencyPolicy": "CronJobSpec.concurrencyPolicy",
    "v1.ConditionStatus": "NodeCondition.status PodCondition.status Condition.status JobCondition.status "
    "DeploymentCondition.status ReplicaSetCondition.status StatefulSetCondition.status DaemonSetCondition.status "
    "NamespaceCondition.status ReplicationControllerCondition.status CertificateSigningRequestCondition.status "
    "PersistentVolumeClaimCondition.status PodFailurePolicyOnPodConditionsPattern.status ComponentCondition.status "
    "CustomResourceDefinitionCondition.status APIServiceCondition.status FlowSchemaCondition.status "
    "PriorityLevelConfigurationCondition.status HorizontalPodAutoscalerCondition.status",
    "v1.ContainerRestartPolicy": "Container.restartPolicy EphemeralContainer.restartPolicy",
    "v1.ContainerRestartRuleAction": "ContainerRestartRule.action",
    "v1.ConversionStrategyType": "CustomResourceConversion.strategy",
    "v1.DNSPolicy": "PodSpec.dnsPolicy",
    "v1.DaemonSetUpdateStrategyType": "DaemonSetUpdateStrategy.type",
    "v1.DeploymentStrategyType": "DeploymentStrategy.type",
    "v1.DeviceAllocationMode": "ExactDeviceRequest.allocationMode DeviceSubRequest.allocationMode",
    "v1.DeviceTaintEffect": "DeviceTaint.effect DeviceToleration.effect",
    "v1.DeviceTolerationOperator": "DeviceToleration.operator",
    "v1.FSGroupPolicy": "CSIDriverSpec.fsGroupPolicy",
    "v1.FailurePolicyType": "MutatingWebhook.failurePolicy ValidatingWebhook.failurePolicy "
    "ValidatingAdmissionPolicySpec.failurePolicy MutatingAdmissionPolicySpec.failurePolicy",
    "v1.FinalizerName": "NamespaceSpec.finalizers",
    "v1.FlowDistinguisherMethodType": "FlowDistinguisherMethod.type",
    "v1.HostPathType": "HostPathVolumeSource.type",
    "v1.IPFamily": "ServiceSpec.ipFamilies",
    "v1.IPFamilyPolicy": "ServiceSpec.ipFamilyPolicy",
    "v1.JSONSchemaURL": "JSONSchemaProps.$schema",
    "v1.JobConditionType": "JobCondition.type",
    "v1.KeyUsage": "CertificateSigningRequestSpec.usages",
    "v1.LabelSelectorOperator": "LabelSelectorRequirement.operator",
    "v1.LimitResponseType": "LimitResponse.type",
    "v1.LimitType": "LimitRangeItem.type",
    "v1.LoadBalancerIPMode": "LoadBalancerIngress.ipMode",
    "v1.ManagedFieldsOperationType": "ManagedFieldsEntry.operation",
    "v1.MatchPolicyType": "MutatingWebhook.matchPolicy ValidatingWebhook.matchPolicy MatchResources.matchPolicy",
    "v1.MountPropagationMode": "VolumeMount.mountPropagation",
    "v1.NamespacePhase": "NamespaceStatus.phase",
    "v1.NodeInclusionPolicy": "TopologySpreadConstraint.nodeAffinityPolicy TopologySpreadConstraint.nodeTaintsPolicy",
    "v1.NodeSelectorOperator": "NodeSelectorRequirement.operator",
    "v1.OperationType": "RuleWithOperations.operations NamedRuleWithOperations.operations",
    "v1.OSName": "PodOS.name",
    "v1.ParameterNotFoundActionType": "ParamRef.parameterNotFoundAction",
    "v1.PatchType": "Mutation.patchType",
    "v1.PathType": "HTTPIngressPath.pathType",
    "v1.PersistentVolumeAccessMode": "PersistentVolumeClaimSpec.accessModes PersistentVolumeSpec.accessModes",
    "v1.PersistentVolumeClaimRetentionPolicyType": "StatefulSetPersistentVolumeClaimRetentionPolicy.whenScaled "
    "StatefulSetPersistentVolumeClaimRetentionPolicy.whenDeleted",
    "v1.PersistentVolumeMode": "PersistentVolumeClaimSpec.volumeMode PersistentVolumeSpec.volumeMode",
    "v1.PersistentVolumeReclaimPolicy": "PersistentVolumeSpec.persistentVolumeReclaimPolicy StorageClass.reclaimPolicy",
    "v1.PodConditionType": "PodCondition.type PodReadinessGate.conditionType "
    "PodFailurePolicyOnPodConditionsPattern.type",
    "v1.PodFSGroupChangePolicy": "PodSecurityContext.fsGroupChangePolicy",
    "v1.PodFailurePolicyAction": "PodFailurePolicyRule.action",
    "v1.PodFailurePolicyOnExitCodesOperator": "PodFailurePolicyOnExitCodesRequirement.operator",
    "v1.PodManagementPolicyType": "StatefulSetSpec.podManagementPolicy",
    "v1.PodPhase": "PodStatus.phase",
    "v1.PodReplacementPolicy": "JobSpec.podReplacementPolicy",
    "v1.PodSELinuxChangePolicy": "PodSecurityContext.seLinuxChangePolicy",
    "v1.PolicyType": "NetworkPolicySpec.policyTypes",
    "v1.PreemptionPolicy": "PriorityClass.preemptionPolicy PodSpec.preemptionPolicy",
    "v1.PriorityLevelEnablement": "PriorityLevelConfigurationSpec.type",
    "v1.ProcMountType": "SecurityContext.procMount",
    "v1.Protocol": "ContainerPort.protocol NetworkPolicyPort.protocol ServicePort.protocol EndpointPort.protocol "
    "PortStatus.protocol",
    "v1.PullPolicy": "Container.imagePullPolicy EphemeralContainer.imagePullPolicy ImageVolumeSource.pullPolicy",
    "v1.RecursiveReadOnlyMode": "VolumeMount.recursiveReadOnly",
    "v1.ReinvocationPolicyType": "MutatingWebhook.reinvocationPolicy MutatingAdmissionPolicySpec.reinvocationPolicy",
    "v1.ResourceName": "ContainerResizePolicy.resourceName",
    "v1.ResourceQuotaScope": "ResourceQuotaSpec.scopes ScopedResourceSelectorRequirement.scopeName",
    "v1.ResourceResizeRestartPolicy": "ContainerResizePolicy.restartPolicy",
    "v1.ResourceScope": "CustomResourceDefinitionSpec.scope",
    "v1.RestartPolicy": "PodSpec.restartPolicy",
    "v1.ScopeSelectorOperator": "ScopedResourceSelectorRequirement.operator",
    "v1.ScopeType": "RuleWithOperations.scope NamedRuleWithOperations.scope Rule.scope",
    "v1.SeccompProfileType": "SeccompProfile.type",
    "v1.AppArmorProfileType": "AppArmorProfile.type",
    "v1.SecretType": "Secret.type",
    "v1.ServiceAffinity": "ServiceSpec.sessionAffinity",
    "v1.ServiceExternalTrafficPolicy": "ServiceSpec.externalTrafficPolicy",
    "v1.ServiceInternalTrafficPolicy": "ServiceSpec.internalTrafficPolicy",
    "v1.ServiceType": "ServiceSpec.type",
    "v1.SideEffectClass": "ValidatingWebhook.sideEffects MutatingWebhook.sideEffects",
    "v1.Signal": "Lifecycle.stopSignal",
    "v1.StatefulSetUpdateStrategyType": "StatefulSetUpdateStrategy.type",
    "v1.StatusReason": "Validation.reason",
    "v1.StorageMedium": "EmptyDirVolumeSource.medium",
    "v1.SupplementalGroupsPolicy": "PodSecurityContext.supplementalGroupsPolicy",
    "v1.TaintEffect": "Toleration.effect Taint.effect",
    "v1.TerminationMessagePolicy": "Container.terminationMessagePolicy EphemeralContainer.terminationMessagePolicy",
    "v1.TolerationOperator": "Toleration.operator",
    "v1.URIScheme": "HTTPGetAction.scheme",
    "v1.UnhealthyPodEvictionPolicyType": "PodDisruptionBudgetSpec.unhealthyPodEvictionPolicy",
    "v1.UnsatisfiableConstraintAction": "TopologySpreadConstraint.whenUnsatisfiable",
    "v1.ValidationAction": "ValidatingAdmissionPolicyBindingSpec.validationActions",
    "v1.VolumeBindingMode": "StorageClass.volumeBindingMode",
    "v1.VolumeLifecycleMode": "CSIDriverSpec.volumeLifecycleModes",
    "v1.AddressType": "EndpointSlice.addressType",
    "v1.NodeAddressType": "NodeAddress.type",
    "v1.NodeConditionType": "NodeCondition.type",
    "v1.CoordinatedLeaseStrategy": "LeaseSpec.strategy",
    "v1.RequestConditionType": "CertificateSigningRequestCondition.type",
    "v2.MetricSourceType": "MetricSpec.type MetricStatus.type",
    "v2.MetricTargetType": "MetricTarget.type",
    "v2.HPAScalingPolicyType": "HPAScalingPolicy.type",
    "v2.ScalingPolicySelect": "HPAScalingRules.selectPolicy",
    "types.UID": "ObjectMeta.uid OwnerReference.uid ObjectReference.uid Preconditions.uid StatusDetails.uid",
    "v1.ResourceList": "LimitRangeItem.default LimitRangeItem.defaultRequest LimitRangeItem.max LimitRangeItem.min "
    "LimitRangeItem.maxLimitRequestRatio Overhead.podFixed PersistentVolumeSpec.capacity ResourceQuotaSpec.hard "
    "ResourceQuotaStatus.hard ResourceQuotaStatus.used ResourceRequirements.limits ResourceRequirements.requests "
    "VolumeResourceRequirements.limits VolumeResourceRequirements.requests NodeStatus.capacity NodeStatus.allocatable "
    "PodSpec.overhead PersistentVolumeClaimStatus.capacity PersistentVolumeClaimStatus.allocatedResources "
    "ContainerStatus.allocatedResources PodStatus.allocatedResources",
    "v1.ValidationRules": "JSONSchemaProps.x-kubernetes-validations",
}
_NAMED: dict[str, str] = {
    field: type_ for type_, fields in _FIELDS_OF_TYPE.items() for field in fields.split()
}  # fmt: skip


def named_type(struct: str, field: str) -> str | None:
    """The named string type of a field, if it has one."""
    return _NAMED.get(f"{struct}.{field}")


#: Maps whose keys have a named type.
_QUALIFIED_KEYS = frozenset({"Device.attributes", "Device.capacity", "CapacityRequirements.requests"})

_PLAIN = {"string": "string", "boolean": "bool", "number": "float64"}


def go_type(node: SchemaNode, struct: str, field: str, *, element: bool = False) -> str:
    """The type of ``struct.field`` as errors print it; ``element`` for one item of a list or one value of a map."""
    named = _NAMED.get(f"{struct}.{field}")
    if node.type == "array":
        if field == "x-kubernetes-validations" and named:
            return named
        inner = node.items or SchemaNode()
        return "[]" + go_type(inner, struct, field, element=True)
    if node.type == "int-or-string":
        return "int32"
    if node.go_type:
        return node.go_type
    if node.type == "object":
        if named and not element:
            return named
        key = "v1.QualifiedName" if f"{struct}.{field}" in _QUALIFIED_KEYS else "string"
        values = node.additional_properties
        return f"map[{key}]" + (go_type(values, "", "", element=True) if values else "interface {}")
    if node.type == "string":
        if node.format == "byte":
            return "[]uint8"
        return named or "string"
    if node.type == "integer":
        return node.format or "int64"
    return _PLAIN.get(node.type, "interface {}")


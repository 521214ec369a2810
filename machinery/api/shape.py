"""The shape in which upstream prints an object: which zero values vanish and which absent fields appear.

Upstream keeps structs. A plain field at its zero value is not printed (``hostNetwork: false``, ``nodeName: ""``,
``args: []``), a pointer is (``replicas: 0``, ``storageClassName: ""``); structs that are no pointers are always there
(``resources: {}``), and fields without ``omitempty`` are printed even when nobody set them (``rules: null``,
``eventTime: null``). Clients see all of that, server-side apply owns fields by it, and a write that changes only
such a spelling is no change. The schema knows the required fields; the rest are the tables below.

:func:`complete` is idempotent, and every object that upstream answered is a fixed point of it: the tests replay that.
"""

from __future__ import annotations

from typing import Any

from machinery.api.schema import SchemaNode

Object = dict[str, Any]

#: Booleans that are plain values: false is not printed. ``readOnly`` of volume sources is listed by exception below.
_PLAIN_BOOLS = frozenset({
    "APIServiceSpec.insecureSkipTLSVerify", "Container.stdin", "Container.stdinOnce", "Container.tty",
    "CustomResourceDefinitionSpec.preserveUnknownFields", "CustomResourceDefinitionVersion.deprecated",
    "DeploymentSpec.paused", "EphemeralContainer.stdin", "EphemeralContainer.stdinOnce",
    "EphemeralContainer.tty", "ISCSIPersistentVolumeSource.chapAuthDiscovery",
    "ISCSIPersistentVolumeSource.chapAuthSession", "ISCSIVolumeSource.chapAuthDiscovery",
    "ISCSIVolumeSource.chapAuthSession", "JSONSchemaProps.exclusiveMaximum", "JSONSchemaProps.exclusiveMinimum",
    "JSONSchemaProps.nullable", "JSONSchemaProps.uniqueItems", "JSONSchemaProps.x-kubernetes-embedded-resource",
    "JSONSchemaProps.x-kubernetes-int-or-string", "NodeSpec.unschedulable", "PodSpec.hostIPC",
    "PodSpec.hostNetwork", "PodSpec.hostPID", "PriorityClass.globalDefault", "ResourcePolicyRule.clusterScope",
    "ScaleIOPersistentVolumeSource.sslEnabled", "ScaleIOVolumeSource.sslEnabled",
    "ServiceSpec.publishNotReadyAddresses", "SubjectAccessReviewStatus.denied",
    "TokenReviewStatus.authenticated", "VolumeMount.readOnly", "VolumeMountStatus.readOnly",
})  # fmt: skip
_POINTER_READ_ONLY = frozenset({"AzureDiskVolumeSource", "CSIVolumeSource"})

#: Integers that are plain values.
_PLAIN_INTS = frozenset({
    "AWSElasticBlockStoreVolumeSource.partition", "Condition.observedGeneration", "ContainerImage.sizeBytes",
    "ContainerPort.hostPort", "ContainerStateTerminated.signal", "CustomResourceColumnDefinition.priority",
    "CustomResourceDefinitionCondition.observedGeneration", "CustomResourceDefinitionStatus.observedGeneration",
    "DaemonSetSpec.minReadySeconds", "DaemonSetStatus.numberAvailable", "DaemonSetStatus.numberUnavailable",
    "DaemonSetStatus.observedGeneration", "DaemonSetStatus.updatedNumberScheduled",
    "DeploymentSpec.minReadySeconds", "DeploymentStatus.availableReplicas",
    "DeploymentStatus.observedGeneration", "DeploymentStatus.readyReplicas", "DeploymentStatus.replicas",
    "DeploymentStatus.unavailableReplicas", "DeploymentStatus.updatedReplicas", "Event.count",
    "Event.deprecatedCount", "EventSeries.count", "GCEPersistentDiskVolumeSource.partition",
    "HorizontalPodAutoscalerStatus.currentReplicas", "JobStatus.active", "JobStatus.failed",
    "JobStatus.succeeded", "ObjectMeta.generation", "PodCondition.observedGeneration",
    "PodDisruptionBudgetStatus.observedGeneration", "PodStatus.observedGeneration", "Probe.failureThreshold",
    "Probe.initialDelaySeconds", "Probe.periodSeconds", "Probe.successThreshold", "Probe.timeoutSeconds",
    "ReplicaSetSpec.minReadySeconds", "ReplicaSetStatus.availableReplicas",
    "ReplicaSetStatus.fullyLabeledReplicas", "ReplicaSetStatus.observedGeneration",
    "ReplicaSetStatus.readyReplicas", "ReplicationControllerSpec.minReadySeconds",
    "ReplicationControllerStatus.availableReplicas", "ReplicationControllerStatus.fullyLabeledReplicas",
    "ReplicationControllerStatus.observedGeneration", "ReplicationControllerStatus.readyReplicas",
    "ServiceBackendPort.number", "ServicePort.nodePort", "ServiceSpec.healthCheckNodePort",
    "StatefulSetSpec.minReadySeconds", "StatefulSetStatus.currentReplicas",
    "StatefulSetStatus.observedGeneration", "StatefulSetStatus.readyReplicas",
    "StatefulSetStatus.updatedReplicas", "ValidatingAdmissionPolicyStatus.observedGeneration",
})  # fmt: skip

#: Strings that are pointers: an empty one is kept.
_POINTER_STRINGS = frozenset({
    "AppArmorProfile.localhostProfile", "AzureDiskVolumeSource.cachingMode", "AzureDiskVolumeSource.fsType",
    "AzureDiskVolumeSource.kind", "AzureFilePersistentVolumeSource.secretNamespace",
    "CSIDriverSpec.fsGroupPolicy", "CSIVolumeSource.fsType", "ClusterTrustBundleProjection.name",
    "ClusterTrustBundleProjection.signerName", "Container.restartPolicy", "CronJobSpec.timeZone",
    "CustomResourceDefinitionVersion.deprecationWarning", "CustomResourceSubresourceScale.labelSelectorPath",
    "Device.nodeName", "DeviceAttribute.string", "DeviceAttribute.version", "Endpoint.hostname",
    "Endpoint.nodeName", "Endpoint.zone", "EndpointAddress.nodeName", "EndpointPort.appProtocol",
    "EphemeralContainer.restartPolicy", "GRPCAction.service", "HPAScalingRules.selectPolicy",
    "HTTPIngressPath.pathType", "HostPathVolumeSource.type", "IngressClassParametersReference.apiGroup",
    "IngressClassParametersReference.namespace", "IngressClassParametersReference.scope",
    "IngressSpec.ingressClassName", "JSONSchemaProps.$ref", "JSONSchemaProps.x-kubernetes-list-type",
    "JSONSchemaProps.x-kubernetes-map-type", "JobSpec.completionMode", "JobSpec.managedBy",
    "JobSpec.podReplacementPolicy", "JobStatus.failedIndexes", "LeaseSpec.holderIdentity",
    "LeaseSpec.preferredHolder", "LeaseSpec.strategy", "Lifecycle.stopSignal", "LoadBalancerIngress.ipMode",
    "LocalVolumeSource.fsType", "MatchResources.matchPolicy", "MutatingAdmissionPolicySpec.failurePolicy",
    "MutatingWebhook.failurePolicy", "MutatingWebhook.matchPolicy", "MutatingWebhook.reinvocationPolicy",
    "NamedRuleWithOperations.scope", "NetworkPolicyPort.protocol", "ParamRef.parameterNotFoundAction",
    "PersistentVolumeClaimSpec.storageClassName", "PersistentVolumeClaimSpec.volumeAttributesClassName",
    "PersistentVolumeClaimSpec.volumeMode", "PersistentVolumeClaimStatus.currentVolumeAttributesClassName",
    "PersistentVolumeSpec.volumeAttributesClassName", "PersistentVolumeSpec.volumeMode",
    "PodDNSConfigOption.value", "PodDisruptionBudgetSpec.unhealthyPodEvictionPolicy",
    "PodFailurePolicyOnExitCodesRequirement.containerName", "PodResourceClaim.resourceClaimName",
    "PodResourceClaim.resourceClaimTemplateName", "PodResourceClaimStatus.resourceClaimName",
    "PodSecurityContext.fsGroupChangePolicy", "PodSecurityContext.seLinuxChangePolicy",
    "PodSecurityContext.supplementalGroupsPolicy", "PodSpec.hostnameOverride", "PodSpec.preemptionPolicy",
    "PodSpec.runtimeClassName", "PriorityClass.preemptionPolicy", "ReplicationControllerSpec.selector",
    "ResourceSliceSpec.nodeName", "RuleWithOperations.scope", "SeccompProfile.localhostProfile",
    "SecurityContext.procMount", "ServicePort.appProtocol", "ServiceReference.path",
    "ServiceSpec.internalTrafficPolicy", "ServiceSpec.ipFamilyPolicy", "ServiceSpec.loadBalancerClass",
    "ServiceSpec.trafficDistribution", "SlicePort.appProtocol", "SlicePort.name", "SlicePort.protocol",
    "StorageClass.reclaimPolicy", "StorageClass.volumeBindingMode", "SuccessPolicyRule.succeededIndexes",
    "TopologySpreadConstraint.nodeAffinityPolicy", "TopologySpreadConstraint.nodeTaintsPolicy",
    "TypedLocalObjectReference.apiGroup", "TypedObjectReference.apiGroup", "TypedObjectReference.namespace",
    "ValidatingAdmissionPolicySpec.failurePolicy", "ValidatingWebhook.failurePolicy",
    "ValidatingWebhook.matchPolicy", "Validation.reason", "ValidationRule.reason",
    "VolumeAttachmentSource.persistentVolumeName", "VolumeMount.mountPropagation",
    "VolumeMount.recursiveReadOnly", "VolumeMountStatus.recursiveReadOnly", "WebhookClientConfig.url",
    "WindowsSecurityContextOptions.gmsaCredentialSpec", "WindowsSecurityContextOptions.gmsaCredentialSpecName",
    "WindowsSecurityContextOptions.runAsUserName",
})  # fmt: skip

#: Structs that are no pointers although the schema does not require them (``metadata``, ``spec`` and ``status`` too).
_ALWAYS_STRUCTS = frozenset({
    "AllocationResult.devices", "Container.resources", "ContainerStatus.lastState", "ContainerStatus.state",
    "CustomResourceDefinitionStatus.acceptedNames", "DaemonSetSpec.updateStrategy", "DeploymentSpec.strategy",
    "Endpoint.conditions", "EphemeralContainer.resources", "Event.deprecatedSource", "Event.regarding",
    "Event.source", "IngressServiceBackend.port", "IngressStatus.loadBalancer",
    "LimitedPriorityLevelConfiguration.limitResponse", "NetworkPolicySpec.podSelector",
    "NodeDaemonEndpoints.kubeletEndpoint", "NodeStatus.daemonEndpoints", "NodeStatus.nodeInfo",
    "PersistentVolumeClaimSpec.resources", "PodTemplate.template", "ReplicaSetSpec.template",
    "ResourceClaimSpec.devices", "SelfSubjectReviewStatus.userInfo", "ServiceStatus.loadBalancer",
    "StatefulSetSpec.updateStrategy", "TokenReviewStatus.user",
})  # fmt: skip
_STRUCT_NAMES = ("metadata", "spec", "status")
#: Pointers all the same: absent is not the same as empty, and validation tells them apart.
_POINTER_STRUCTS = frozenset({
    "CustomResourceSubresources.status", "DaemonSetSpec.selector", "DeploymentSpec.selector", "ReplicaSetSpec.selector",
    "StatefulSetSpec.selector",
})  # fmt: skip

#: Instants that are no pointers: absent ones print as null. Conditions are known by their name.
_ALWAYS_INSTANTS = frozenset({
    "ContainerStateRunning.startedAt", "ContainerStateTerminated.finishedAt",
    "ContainerStateTerminated.startedAt", "Event.deprecatedFirstTimestamp", "Event.deprecatedLastTimestamp",
    "Event.eventTime", "Event.firstTimestamp", "Event.lastTimestamp", "EventSeries.lastObservedTime",
})  # fmt: skip

#: Scalars without omitempty that the schema does not require, and what they print as.
_ALWAYS_SCALARS: dict[str, Any] = {
    "ResourceFieldSelector.divisor": "0",
    "PodDisruptionBudgetStatus.currentHealthy": 0,
    "PodDisruptionBudgetStatus.desiredHealthy": 0,
    "PodDisruptionBudgetStatus.disruptionsAllowed": 0,
    "PodDisruptionBudgetStatus.expectedPods": 0,
    "FlowSchemaSpec.matchingPrecedence": 0,
    "PriorityClass.value": 0,
    "QueuingConfiguration.queues": 0,
    "QueuingConfiguration.handSize": 0,
    "QueuingConfiguration.queueLengthLimit": 0,
    "StatefulSetOrdinals.start": 0,
    "StatefulSetStatus.availableReplicas": 0,
    "StatefulSetSpec.serviceName": "",
    "Event.reportingComponent": "",
    "Event.reportingInstance": "",
}  # fmt: skip

#: Lists without omitempty that the schema does not require: null when empty.
_ALWAYS_LISTS = frozenset({
    "ClusterRole.rules", "CustomResourceDefinitionStatus.conditions",
    "CustomResourceDefinitionStatus.storedVersions", "DeviceClaim.requests", "EndpointSlice.endpoints",
    "EndpointSlice.ports", "HorizontalPodAutoscalerStatus.currentMetrics", "ResourcePolicyRule.namespaces",
    "Role.rules",
})  # fmt: skip


class _Shape:
    """What completing one struct needs: which children to visit, which zero values to drop, which fields to add."""

    __slots__ = ("additions", "droppable", "nested", "nullable")

    def __init__(self, node: SchemaNode) -> None:
        self.nested: dict[str, SchemaNode] = {}
        self.droppable: set[str] = set()
        self.nullable: set[str] = set()
        self.additions: list[tuple[str, Any, SchemaNode]] = []
        required = frozenset(node.required)
        # Two groups have an EndpointPort; only that of the core group requires its port.
        struct = "SlicePort" if node.name == "EndpointPort" and "port" not in required else node.name
        for field, child in (node.properties or {}).items():
            self._classify(field, child, f"{struct}.{field}", field in required)

    def _classify(self, field: str, child: SchemaNode, where: str, required: bool) -> None:
        if _has_structs(child):
            self.nested[field] = child
        if where in _ALWAYS_SCALARS:
            self.additions.append((field, _ALWAYS_SCALARS[where], child))
        elif child.type == "object" and child.properties is not None:
            always = required or where in _ALWAYS_STRUCTS or field in _STRUCT_NAMES
            if always and where not in _POINTER_STRUCTS:
                self.additions.append((field, dict, child))
        elif child.format in ("date-time", "micro-time"):
            if _is_plain_instant(where, required):
                self.nullable.add(field)
                self.additions.append((field, None, child))
        elif required or where in _ALWAYS_LISTS:
            self._require(field, child)
        elif _is_plain(where, child):
            self.droppable.add(field)

    def _require(self, field: str, child: SchemaNode) -> None:
        match child.type:
            case "array" | "object":
                self.nullable.add(field)
                self.additions.append((field, None, child))
            case "string":
                self.additions.append((field, None if child.format == "byte" else "", child))
                if child.format == "byte":
                    self.nullable.add(field)
            case "integer" | "number" | "int-or-string":
                self.additions.append((field, 0, child))
            case "boolean":
                self.additions.append((field, False, child))
            case "quantity":
                self.additions.append((field, "0", child))


def _is_plain_instant(where: str, required: bool) -> bool:
    struct, _, field = where.partition(".")
    if where in _ALWAYS_INSTANTS or required:
        return True
    return struct.endswith("Condition") and field.startswith("last")


def _is_plain(where: str, child: SchemaNode) -> bool:
    """Whether the zero value of an optional field is dropped."""
    match child.type:
        case "array" | "object":
            return True
        case "string":
            return where not in _POINTER_STRINGS
        case "boolean":
            struct, _, field = where.partition(".")
            if field == "readOnly" and struct.endswith("Source"):
                return struct not in _POINTER_READ_ONLY
            return where in _PLAIN_BOOLS
        case "integer":
            return where in _PLAIN_INTS
    return False


def _has_structs(node: SchemaNode) -> bool:
    inner: SchemaNode | None = node
    while inner is not None:
        if inner.properties is not None:
            return True
        inner = inner.items or inner.additional_properties
    return False


_ZEROES: tuple[Any, ...] = ("", [], {})


def complete(obj: Object, node: SchemaNode) -> None:
    """Give a struct the shape in which upstream prints it, in place."""
    shape = node.shape
    if shape is None:
        shape = node.shape = _Shape(node)
    droppable, nested, nullable = shape.droppable, shape.nested, shape.nullable
    for field in list(obj):
        value = obj[field]
        if not value:
            if value is None:
                if field not in nullable:
                    del obj[field]
                continue
            if field in droppable:
                del obj[field]
                continue
            if field in nullable and value in _ZEROES:
                obj[field] = None
                continue
        child = nested.get(field)
        if child is not None and field != "managedFields":
            _complete_value(value, child)
    for field, zero, child in shape.additions:
        if field not in obj:
            if zero is dict:
                obj[field] = {}
                complete(obj[field], child)
            else:
                obj[field] = zero


def _complete_value(value: Any, node: SchemaNode) -> None:
    if isinstance(value, dict):
        if node.properties is not None:
            complete(value, node)
        elif node.additional_properties is not None:
            for one in value.values():
                _complete_value(one, node.additional_properties)
    elif isinstance(value, list) and node.items is not None:
        for one in value:
            _complete_value(one, node.items)

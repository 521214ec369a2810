"""The built-in kinds of Kubernetes 1.36, a row each: the stable groups, in discovery order.

This is a table, so it is written as one: what a reader compares stands on one line. Singular names are the kind in
lower case, list kinds are the kind plus ``List`` and definitions are named after the group-version; no built-in kind
departs from that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from machinery.api.kinds import ALL_VERBS, Kind, Subresource

CREATE = ("create",)
READ = ("get", "list")
STREAM = ("create", "get")
PROXY = ("create", "delete", "get", "patch", "update")
NO_COLLECTION = tuple(verb for verb in ALL_VERBS if verb != "deletecollection")
API = "api-extensions"

#: Groups in discovery order: a higher number comes first, equal numbers sort by name.
GROUP_PRIORITY = {
    "": 18000, "apiregistration.k8s.io": 17900, "apps": 17800, "events.k8s.io": 17750,
    "authentication.k8s.io": 17700, "authorization.k8s.io": 17600, "autoscaling": 17500, "batch": 17400,
    "certificates.k8s.io": 17300, "networking.k8s.io": 17200, "policy": 17100, "rbac.authorization.k8s.io": 17000,
    "storage.k8s.io": 16800, "admissionregistration.k8s.io": 16700, "apiextensions.k8s.io": 16700,
    "scheduling.k8s.io": 16600, "coordination.k8s.io": 16500, "node.k8s.io": 16300, "discovery.k8s.io": 16200,
    "resource.k8s.io": 16200, "flowcontrol.apiserver.k8s.io": 16100, "metrics.k8s.io": 100,
}  # fmt: skip

#: Prefix of a group's OpenAPI definitions where it is not ``io.k8s.api.<first word of the group>``.
_DEFINITIONS = {
    "": "io.k8s.api.core",
    "rbac.authorization.k8s.io": "io.k8s.api.rbac",
    "apiextensions.k8s.io": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions",
    "apiregistration.k8s.io": "io.k8s.kube-aggregator.pkg.apis.apiregistration",
}

STATUS = Subresource("status", "")  # its kind is that of the resource; filled in by _in
SCALE = Subresource("scale", "Scale", group="autoscaling", version="v1")


def definition_name(group: str, version: str, kind: str) -> str:
    """Name of the OpenAPI definition of a built-in kind: ``io.k8s.api.apps.v1.Deployment``."""
    prefix = _DEFINITIONS.get(group) or f"io.k8s.api.{group.partition('.')[0]}"
    return f"{prefix}.{version}.{kind}"


def _row(
    plural: str, kind: str, *, short: str = "", categories: str = "", verbs: tuple[str, ...] = ALL_VERBS,
    cluster: bool = False, subresources: Iterable[Subresource] = (), storage: tuple[str, str] | None = None,
    hub: tuple[str, str] | None = None, served_elsewhere: bool = False,
) -> Kind:  # fmt: skip
    return Kind(
        "", "", kind, plural, kind.lower(), not cluster, tuple(short.split()), tuple(categories.split()), verbs,
        tuple(replace(sub, kind=kind) if sub is STATUS else sub for sub in subresources), storage, hub,
        served_elsewhere=served_elsewhere,
    )  # fmt: skip


def _in(group: str, version: str, rows: Iterable[Kind]) -> Iterator[Kind]:
    for row in rows:
        yield replace(row, group=group, version=version, schema_name=definition_name(group, version, row.kind))


# fmt: off
BUILTIN_KINDS: tuple[Kind, ...] = (
    *_in("", "v1", [
        _row("bindings", "Binding", verbs=CREATE),
        _row("componentstatuses", "ComponentStatus", short="cs", verbs=READ, cluster=True),
        _row("configmaps", "ConfigMap", short="cm"),
        _row("endpoints", "Endpoints", short="ep"),
        _row("events", "Event", short="ev"),
        _row("limitranges", "LimitRange", short="limits"),
        _row("namespaces", "Namespace", short="ns", verbs=NO_COLLECTION, cluster=True, subresources=[
            Subresource("finalize", "Namespace", ("update",)),
            STATUS,
        ]),
        _row("nodes", "Node", short="no", cluster=True, subresources=[
            Subresource("proxy", "NodeProxyOptions", PROXY),
            STATUS,
        ]),
        _row("persistentvolumeclaims", "PersistentVolumeClaim", short="pvc", subresources=[STATUS]),
        _row("persistentvolumes", "PersistentVolume", short="pv", cluster=True, subresources=[STATUS]),
        _row("pods", "Pod", short="po", categories="all", subresources=[
            Subresource("attach", "PodAttachOptions", STREAM),
            Subresource("binding", "Binding", CREATE),
            Subresource("ephemeralcontainers", "Pod"),
            Subresource("eviction", "Eviction", CREATE, group="policy", version="v1"),
            Subresource("exec", "PodExecOptions", STREAM),
            Subresource("log", "Pod", ("get",)),
            Subresource("portforward", "PodPortForwardOptions", STREAM),
            Subresource("proxy", "PodProxyOptions", PROXY),
            Subresource("resize", "Pod"),
            STATUS,
        ]),
        _row("podtemplates", "PodTemplate"),
        _row("replicationcontrollers", "ReplicationController", short="rc", categories="all", subresources=[
            SCALE,
            STATUS,
        ]),
        _row("resourcequotas", "ResourceQuota", short="quota", subresources=[STATUS]),
        _row("secrets", "Secret"),
        _row("serviceaccounts", "ServiceAccount", short="sa", subresources=[
            Subresource("token", "TokenRequest", CREATE, group="authentication.k8s.io", version="v1"),
        ]),
        _row("services", "Service", short="svc", categories="all", subresources=[
            Subresource("proxy", "ServiceProxyOptions", PROXY),
            STATUS,
        ]),
    ]),
    *_in("apiregistration.k8s.io", "v1", [
        _row("apiservices", "APIService", categories=API, cluster=True, subresources=[STATUS]),
    ]),
    *_in("apps", "v1", [
        _row("controllerrevisions", "ControllerRevision"),
        _row("daemonsets", "DaemonSet", short="ds", categories="all", subresources=[STATUS]),
        _row("deployments", "Deployment", short="deploy", categories="all", subresources=[SCALE, STATUS]),
        _row("replicasets", "ReplicaSet", short="rs", categories="all", subresources=[SCALE, STATUS]),
        _row("statefulsets", "StatefulSet", short="sts", categories="all", subresources=[SCALE, STATUS]),
    ]),
    *_in("events.k8s.io", "v1", [
        _row("events", "Event", short="ev", storage=("", "events"), hub=("", "v1")),
    ]),
    *_in("authentication.k8s.io", "v1", [
        _row("selfsubjectreviews", "SelfSubjectReview", verbs=CREATE, cluster=True),
        _row("tokenreviews", "TokenReview", verbs=CREATE, cluster=True),
    ]),
    *_in("authorization.k8s.io", "v1", [
        _row("localsubjectaccessreviews", "LocalSubjectAccessReview", verbs=CREATE),
        _row("selfsubjectaccessreviews", "SelfSubjectAccessReview", verbs=CREATE, cluster=True),
        _row("selfsubjectrulesreviews", "SelfSubjectRulesReview", verbs=CREATE, cluster=True),
        _row("subjectaccessreviews", "SubjectAccessReview", verbs=CREATE, cluster=True),
    ]),
    *_in("autoscaling", "v2", [
        _row("horizontalpodautoscalers", "HorizontalPodAutoscaler", short="hpa", categories="all", subresources=[
            STATUS,
        ], hub=("autoscaling", "v2")),
    ]),
    *_in("autoscaling", "v1", [
        _row("horizontalpodautoscalers", "HorizontalPodAutoscaler", short="hpa", categories="all", subresources=[
            STATUS,
        ], hub=("autoscaling", "v2")),
    ]),
    *_in("batch", "v1", [
        _row("cronjobs", "CronJob", short="cj", categories="all", subresources=[STATUS]),
        _row("jobs", "Job", categories="all", subresources=[STATUS]),
    ]),
    *_in("certificates.k8s.io", "v1", [
        _row("certificatesigningrequests", "CertificateSigningRequest", short="csr", cluster=True, subresources=[
            Subresource("approval", "CertificateSigningRequest"),
            STATUS,
        ]),
    ]),
    *_in("networking.k8s.io", "v1", [
        _row("ingressclasses", "IngressClass", cluster=True),
        _row("ingresses", "Ingress", short="ing", subresources=[STATUS]),
        _row("ipaddresses", "IPAddress", short="ip", cluster=True),
        _row("networkpolicies", "NetworkPolicy", short="netpol"),
        _row("servicecidrs", "ServiceCIDR", cluster=True, subresources=[STATUS]),
    ]),
    *_in("policy", "v1", [
        _row("poddisruptionbudgets", "PodDisruptionBudget", short="pdb", subresources=[STATUS]),
    ]),
    *_in("rbac.authorization.k8s.io", "v1", [
        _row("clusterrolebindings", "ClusterRoleBinding", cluster=True),
        _row("clusterroles", "ClusterRole", cluster=True),
        _row("rolebindings", "RoleBinding"),
        _row("roles", "Role"),
    ]),
    *_in("storage.k8s.io", "v1", [
        _row("csidrivers", "CSIDriver", cluster=True),
        _row("csinodes", "CSINode", cluster=True),
        _row("csistoragecapacities", "CSIStorageCapacity"),
        _row("storageclasses", "StorageClass", short="sc", cluster=True),
        _row("volumeattachments", "VolumeAttachment", cluster=True, subresources=[STATUS]),
        _row("volumeattributesclasses", "VolumeAttributesClass", short="vac", cluster=True),
    ]),
    *_in("admissionregistration.k8s.io", "v1", [
        _row("mutatingadmissionpolicies", "MutatingAdmissionPolicy", categories=API, cluster=True),
        _row("mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding", categories=API, cluster=True),
        _row("mutatingwebhookconfigurations", "MutatingWebhookConfiguration", categories=API, cluster=True),
        _row("validatingadmissionpolicies", "ValidatingAdmissionPolicy", categories=API, cluster=True,
             subresources=[STATUS]),
        _row("validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", categories=API, cluster=True),
        _row("validatingwebhookconfigurations", "ValidatingWebhookConfiguration", categories=API, cluster=True),
    ]),
    *_in("apiextensions.k8s.io", "v1", [
        _row("customresourcedefinitions", "CustomResourceDefinition", short="crd crds", categories=API,
             cluster=True, subresources=[STATUS]),
    ]),
    *_in("scheduling.k8s.io", "v1", [
        _row("priorityclasses", "PriorityClass", short="pc", cluster=True),
    ]),
    *_in("coordination.k8s.io", "v1", [
        _row("leases", "Lease"),
    ]),
    *_in("node.k8s.io", "v1", [
        _row("runtimeclasses", "RuntimeClass", cluster=True),
    ]),
    *_in("discovery.k8s.io", "v1", [
        _row("endpointslices", "EndpointSlice"),
    ]),
    *_in("resource.k8s.io", "v1", [
        _row("deviceclasses", "DeviceClass", cluster=True),
        _row("resourceclaims", "ResourceClaim", subresources=[STATUS]),
        _row("resourceclaimtemplates", "ResourceClaimTemplate"),
        _row("resourceslices", "ResourceSlice", cluster=True),
    ]),
    *_in("flowcontrol.apiserver.k8s.io", "v1", [
        _row("flowschemas", "FlowSchema", cluster=True, subresources=[STATUS]),
        _row("prioritylevelconfigurations", "PriorityLevelConfiguration", cluster=True, subresources=[STATUS]),
    ]),
)

#: Served only while something measures: add them to a table when it does. kubectl top and autoscaling read them.
METRICS_KINDS: tuple[Kind, ...] = (
    *_in("metrics.k8s.io", "v1beta1", [
        replace(_row("nodes", "NodeMetrics", verbs=READ, cluster=True, served_elsewhere=True), singular=""),
        replace(_row("pods", "PodMetrics", verbs=READ, served_elsewhere=True), singular=""),
    ]),
)
# fmt: on

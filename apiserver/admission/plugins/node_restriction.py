"""NodeRestriction: a node agent changes its own Node and pods and what belongs to them, however many rights it has.

The node authorizer decides by name and verb; what it cannot see, because it is in the body, is decided here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from cryptography.x509.oid import NameOID

from apiserver.admission.interface import AdmissionRequest
from apiserver.admission.plugin import PODS, Plugin, refuse
from apiserver.admission.plugins.certificates import REQUESTS, parse_request
from apiserver.auth.node import references
from apiserver.auth.text import quote
from apiserver.auth.users import node_name
from apiserver.registry.interface import ObjectReader
from machinery.meta.errors import ApiError, not_found

Object = dict[str, Any]

NODES = ("", "nodes")
CLAIMS = ("", "persistentvolumeclaims")
ACCOUNTS = ("", "serviceaccounts")
LEASES = ("coordination.k8s.io", "leases")
CSI_NODES = ("storage.k8s.io", "csinodes")
SLICES = ("resource.k8s.io", "resourceslices")

LEASE_NAMESPACE = "kube-node-lease"
NODE_SIGNERS = frozenset({"kubernetes.io/kube-apiserver-client-kubelet", "kubernetes.io/kubelet-serving"})

# Labels of the reserved domains that a kubelet has always set.
_KUBELET_LABELS = frozenset(
    {
        "kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch", "beta.kubernetes.io/os",
        "beta.kubernetes.io/arch", "beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type",
        "failure-domain.beta.kubernetes.io/region", "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.kubernetes.io/region", "failure-domain.kubernetes.io/zone", "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    }
)  # fmt: skip
_KUBELET_DOMAINS = ("kubelet.kubernetes.io", "node.kubernetes.io")
_RESTRICTED_DOMAIN = "node-restriction.kubernetes.io"

# What of a claim's status the agent of a pod that uses it reports.
_POD_CLAIM_FIELDS = (
    "conditions",
    "capacity",
    "phase",
    "resizeStatus",
    "allocatedResources",
    "allocatedResourceStatuses",
)

Check = Callable[[str, AdmissionRequest], Awaitable[None]]


class NodeRestriction(Plugin):
    name = "NodeRestriction"
    resources = frozenset({PODS, NODES, CLAIMS, ACCOUNTS, LEASES, CSI_NODES, SLICES, REQUESTS})
    operations = frozenset({"CREATE", "UPDATE", "DELETE"})
    subresources = None

    def __init__(self, reader: ObjectReader, api_audiences: tuple[str, ...]) -> None:
        self._reader, self._api_audiences = reader, api_audiences
        self._checks: dict[tuple[str, str], Check] = {
            PODS: self._pods, NODES: self._nodes, CLAIMS: self._claims, ACCOUNTS: self._accounts,
            LEASES: self._leases, CSI_NODES: self._csi_nodes, SLICES: self._slices, REQUESTS: self._requests,
        }  # fmt: skip

    async def admit(self, request: AdmissionRequest) -> None:
        node = node_name(request.user)
        if node is None:
            return
        if not node:
            raise refuse(request, f"could not determine node from user {quote(request.user.name)}")
        await self._checks[request.group, request.resource](node, request)

    async def _pods(self, node: str, request: AdmissionRequest) -> None:
        match (request.subresource, request.operation):
            case ("", "CREATE"):
                self._create_pod(node, request)
            case ("", "DELETE"):
                pod = await self._pod(request)
                if pod["spec"].get("nodeName") != node:
                    raise refuse(request, f"node {quote(node)} can only delete pods with spec.nodeName set to itself")
            case ("", operation):
                raise refuse(
                    request,
                    f"unexpected operation {quote(operation)}, node {quote(node)} can only create and delete "
                    "mirror pods",
                )
            case ("status", "UPDATE"):
                self._pod_status(node, request)
            case ("eviction", "CREATE"):
                pod = await self._pod(request, (request.obj or {}).get("metadata", {}).get("name"))
                if pod["spec"].get("nodeName") != node:
                    raise refuse(request, f"node {node} can only evict pods with spec.nodeName set to itself")
            case ("status" | "eviction", operation):
                raise refuse(request, f"unexpected operation {quote(operation)}")
            case (subresource, _):
                raise refuse(
                    request,
                    f"unexpected pod subresource {quote(subresource)}, only 'status' and 'eviction' are allowed",
                )

    async def _pod(self, request: AdmissionRequest, name: str | None = None) -> Object:
        name = request.name or name or ""
        pod = await self._reader.get_fresh("", "pods", request.namespace, name)
        if pod is None:
            # Upstream's words, with the singular.
            error = not_found("", "pods", name)
            raise ApiError(404, "NotFound", f'pod "{name}" not found', {**(error.details or {}), "kind": "pod"})
        return pod

    def _create_pod(self, node: str, request: AdmissionRequest) -> None:
        pod = request.obj
        assert pod is not None
        who = f"node {quote(node)}"
        if not references.is_mirror(pod):
            raise refuse(
                request,
                f"pod does not have {quote(references.MIRROR_ANNOTATION)} annotation, "
                f"{who} can only create mirror pods",
            )
        if pod["spec"].get("nodeName") != node:
            raise refuse(request, f"{who} can only create pods with spec.nodeName set to itself")
        owners = pod["metadata"].get("ownerReferences") or []
        if len(owners) != 1 or (owners[0].get("apiVersion"), owners[0].get("kind")) != ("v1", "Node"):
            raise refuse(request, f"{who} can only create pods with an owner reference set to itself")
        owner = owners[0]
        if owner.get("name") != node:
            raise refuse(request, f"{who} can only create pods with an owner reference set to itself")
        if not owner.get("controller"):
            raise refuse(request, f"{who} can only create pods with a controller owner reference set to itself")
        if owner.get("blockOwnerDeletion"):
            raise refuse(request, f"{who} must not set blockOwnerDeletion on an owner reference")
        present = self._reader.get("", "nodes", "", node)
        if present is None:
            raise not_found("", "nodes", node)
        if present["metadata"]["uid"] != owner.get("uid"):
            raise refuse(
                request,
                f"{who} UID mismatch: expected {owner.get('uid')} got {present['metadata']['uid']}",
            )
        if pod["spec"].get("serviceAccountName"):
            raise refuse(request, f"{who} can not create pods that reference a service account")
        for kind, found in (
            ("secrets", references.secrets(pod)),
            ("configmaps", references.config_maps(pod)),
        ):
            if any(True for _ in found):
                raise refuse(request, f"{who} can not create pods that reference {kind}")
        if pod["spec"].get("resourceClaims"):
            raise refuse(request, f"{who} can not create pods that reference resourceclaims")
        for volume in pod["spec"].get("volumes") or ():
            if "persistentVolumeClaim" in volume:
                raise refuse(request, f"{who} can not create pods that reference persistentvolumeclaims")
            if "csi" in volume:
                raise refuse(request, f"{who} can not create pods that reference csidrivers (via CSI volumes)")
            for source in (volume.get("projected") or {}).get("sources") or ():
                if "clusterTrustBundle" in source:
                    raise refuse(request, f"{who} can not create pods that reference clustertrustbundles")
                if "podCertificate" in source:
                    raise refuse(request, f"{who} can not create pods that reference podcertificates")

    def _pod_status(self, node: str, request: AdmissionRequest) -> None:
        old, obj = request.old, request.obj
        assert old is not None
        assert obj is not None
        who = f"node {quote(node)}"
        if old["spec"].get("nodeName") != node:
            raise refuse(request, f"{who} can only update pod status for pods with spec.nodeName set to itself")
        if (old["metadata"].get("labels") or {}) != (obj["metadata"].get("labels") or {}):
            raise refuse(request, f"{who} cannot update labels through pod status")
        for field in ("resourceClaimStatuses", "extendedResourceClaimStatus"):
            if (old.get("status") or {}).get(field) != (obj.get("status") or {}).get(field):
                what = (
                    "resource claim statuses" if field == "resourceClaimStatuses" else "extended resource claim status"
                )
                raise refuse(request, f"{who} cannot update {what}")

    async def _nodes(self, node: str, request: AdmissionRequest) -> None:
        obj, old = request.obj, request.old
        name = request.name or ((obj or {}).get("metadata") or {}).get("name", "")
        if name != node:
            raise refuse(request, f"node {quote(node)} is not allowed to modify node {quote(name)}")
        if request.operation == "CREATE":
            assert obj is not None
            if (obj.get("spec") or {}).get("configSource") is not None:
                raise refuse(request, f"node {quote(node)} is not allowed to create pods with a non-nil configSource")
            forbidden_labels = sorted(key for key in obj["metadata"].get("labels") or () if is_forbidden_label(key))
            if forbidden_labels:
                raise refuse(
                    request,
                    f"node {quote(node)} is not allowed to set the following labels: {', '.join(forbidden_labels)}",
                )
        elif request.operation == "UPDATE":
            assert obj is not None
            assert old is not None
            self._update_node(node, request, obj, old)

    def _update_node(self, node: str, request: AdmissionRequest, obj: Object, old: Object) -> None:
        who = f"node {quote(node)}"
        spec, old_spec = obj.get("spec") or {}, old.get("spec") or {}
        source = spec.get("configSource")
        if source is not None and source != old_spec.get("configSource"):
            raise refuse(request, f"{who} is not allowed to update configSource to a new non-nil configSource")
        if (spec.get("taints") or []) != (old_spec.get("taints") or []):
            raise refuse(request, f"{who} is not allowed to modify taints")
        if (obj["metadata"].get("ownerReferences") or []) != (old["metadata"].get("ownerReferences") or []):
            raise refuse(request, f"{who} is not allowed to modify ownerReferences")
        labels, old_labels = (each["metadata"].get("labels") or {} for each in (obj, old))
        changed = {key for key in {*labels, *old_labels} if labels.get(key) != old_labels.get(key)}
        forbidden_labels = sorted(key for key in changed if is_forbidden_label(key))
        if forbidden_labels:
            raise refuse(request, f"is not allowed to modify labels: {', '.join(forbidden_labels)}")

    async def _claims(self, node: str, request: AdmissionRequest) -> None:
        if request.subresource != "status" or request.operation != "UPDATE":
            raise refuse(request, f"unexpected operation {quote(request.operation)}")
        obj, old = request.obj or {}, request.old or {}
        if _without_claim_status(obj) != _without_claim_status(old):
            raise refuse(
                request,
                f"node {quote(node)} is not allowed to update fields other than status.quantity and status.conditions",
            )

    async def _accounts(self, node: str, request: AdmissionRequest) -> None:
        if request.subresource != "token" or request.operation != "CREATE":
            return
        spec = (request.obj or {}).get("spec") or {}
        reference = spec.get("boundObjectRef")
        if (
            not reference
            or (reference.get("apiVersion"), reference.get("kind")) != ("v1", "Pod")
            or not reference.get("name")
        ):
            raise refuse(request, "node requested token not bound to a pod")
        if not reference.get("uid"):
            raise refuse(request, "node requested token with a pod binding without a uid")
        pod = await self._pod_for_token(request, reference["name"])
        if pod["metadata"]["uid"] != reference["uid"]:
            raise refuse(
                request,
                f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record. "
                "The object might have been deleted and then recreated",
            )
        if pod["spec"].get("nodeName") != node:
            raise refuse(request, "node requested token bound to a pod scheduled on a different node")
        audiences = spec.get("audiences") or []
        if len(audiences) > 1:
            raise refuse(request, "node may only request 0 or 1 audiences")
        if audiences and audiences[0] not in self._api_audiences and audiences[0] not in _projected_audiences(pod):
            raise refuse(
                request,
                f"audience {quote(audiences[0])} not found in pod spec volume, {request.user.name} is not authorized "
                "to request tokens for this audience",
            )

    async def _pod_for_token(self, request: AdmissionRequest, name: str) -> Object:
        pod = self._reader.get("", "pods", request.namespace, name) or await self._reader.get_fresh(
            "", "pods", request.namespace, name
        )
        if pod is None:
            raise ApiError(404, "NotFound", f'pod "{name}" not found', {"name": name, "kind": "pod"})
        return pod

    async def _leases(self, node: str, request: AdmissionRequest) -> None:
        if request.namespace != LEASE_NAMESPACE:
            raise refuse(request, f"can only access leases in the {quote(LEASE_NAMESPACE)} system namespace")
        metadata = (request.obj or {}).get("metadata") or {}
        name = request.name
        if request.operation == "CREATE" and not name:
            name = "" if metadata.get("generateName") else metadata.get("name", "")
        if name != node:
            raise refuse(request, "can only access node lease with the same name as the requesting node")

    async def _csi_nodes(self, node: str, request: AdmissionRequest) -> None:
        name = request.name or ((request.obj or {}).get("metadata") or {}).get("name", "")
        if name != node:
            raise refuse(request, "can only access CSINode with the same name as the requesting node")

    async def _slices(self, node: str, request: AdmissionRequest) -> None:
        obj = request.obj if request.operation == "CREATE" else request.old
        verb = {"CREATE": "create", "UPDATE": "update", "DELETE": "delete"}[request.operation]
        if obj is not None and (obj.get("spec") or {}).get("nodeName") != node:
            raise refuse(request, f"can only {verb} ResourceSlice with the same NodeName as the requesting node")

    async def _requests(self, node: str, request: AdmissionRequest) -> None:
        spec = (request.obj or {}).get("spec") or {}
        if request.operation != "CREATE" or request.subresource or spec.get("signerName") not in NODE_SIGNERS:
            return
        try:
            subject = parse_request(spec.get("request") or "").subject
        except ValueError as error:
            raise refuse(request, f"unable to parse csr: {error}") from error
        names = [item.value for item in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        if names != [request.user.name]:
            raise refuse(request, f"can only create a node CSR with CN={request.user.name}")


def is_forbidden_label(key: str) -> bool:
    domain, slash, _ = key.rpartition("/")
    if not slash:
        return False
    if domain == _RESTRICTED_DOMAIN or domain.endswith(f".{_RESTRICTED_DOMAIN}"):
        return True
    if not any(domain == own or domain.endswith(f".{own}") for own in ("kubernetes.io", "k8s.io")):
        return False
    if key in _KUBELET_LABELS:
        return False
    return not any(domain == own or domain.endswith(f".{own}") for own in _KUBELET_DOMAINS)


def _projected_audiences(pod: Object) -> set[str]:
    return {
        (source.get("serviceAccountToken") or {}).get("audience") or ""
        for volume in pod["spec"].get("volumes") or ()
        for source in (volume.get("projected") or {}).get("sources") or ()
    } - {""}


def _without_claim_status(claim: Object) -> Object:
    status = {key: value for key, value in (claim.get("status") or {}).items() if key not in _POD_CLAIM_FIELDS}
    metadata = {
        key: value
        for key, value in (claim.get("metadata") or {}).items()
        if key not in ("managedFields", "resourceVersion")
    }
    return {**claim, "status": status, "metadata": metadata}

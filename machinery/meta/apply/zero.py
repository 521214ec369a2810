"""What an object of a kind has before anyone has written anything: the parts of its type that are always there.

On creation, ownership is the difference to this: a part that is always there (`spec`, a pod template) is not itself
owned, only what was put into it, while an optional part is owned as such. A list that is null here is always
written, even when empty.
"""

from __future__ import annotations

from typing import Any, Final

_TEMPLATE: Final[dict[str, Any]] = {"metadata": {}, "spec": {"containers": None}}
_CLAIM: Final[dict[str, Any]] = {"devices": {}}
_PLAIN: Final[dict[str, Any]] = {"metadata": {}, "spec": {}, "status": {}}

_ZERO: Final[dict[str, dict[str, Any]]] = {
    "Pod": {"spec": {"containers": None}, "status": {}},
    "PodTemplate": {"template": _TEMPLATE},
    "ReplicationController": {"spec": {}, "status": {}},
    "ReplicaSet": {"spec": {"template": _TEMPLATE}, "status": {}},
    "Deployment": {"spec": {"strategy": {}, "template": _TEMPLATE}, "status": {}},
    "StatefulSet": {"spec": {"serviceName": "", "template": _TEMPLATE, "updateStrategy": {}}, "status": {}},
    "DaemonSet": {"spec": {"template": _TEMPLATE, "updateStrategy": {}}, "status": {}},
    "Job": {"spec": {"template": _TEMPLATE}, "status": {}},
    "CronJob": {"spec": {"jobTemplate": {"metadata": {}, "spec": {"template": _TEMPLATE}}}, "status": {}},
    "Service": {"spec": {}, "status": {"loadBalancer": {}}},
    "Ingress": {"spec": {}, "status": {"loadBalancer": {}}},
    "PersistentVolumeClaim": {"spec": {"resources": {}}, "status": {}},
    "PersistentVolume": {"spec": {}, "status": {}},
    "Node": {"spec": {}, "status": {"daemonEndpoints": {"kubeletEndpoint": {}}, "nodeInfo": {}}},
    "LimitRange": {"spec": {"limits": None}},
    "Role": {"rules": None},
    "ClusterRole": {"rules": None},
    "RoleBinding": {"roleRef": {}},
    "ClusterRoleBinding": {"roleRef": {}},
    "EndpointSlice": {"endpoints": None, "ports": None},
    "Event": {
        "involvedObject": {}, "regarding": {}, "source": {}, "deprecatedSource": {}, "eventTime": None,
        "firstTimestamp": None, "lastTimestamp": None, "deprecatedFirstTimestamp": None,
        "deprecatedLastTimestamp": None, "reportingComponent": "", "reportingInstance": ""},
    "NetworkPolicy": {"spec": {"podSelector": {}}},
    "HorizontalPodAutoscaler": {"spec": {"scaleTargetRef": {}}, "status": {}},
    "FlowSchema": {"spec": {"priorityLevelConfiguration": {}}, "status": {}},
    "CustomResourceDefinition": {
        "spec": {"names": {}, "versions": None}, "status": {"acceptedNames": {}, "conditions": None}},
    "APIService": {"spec": {}, "status": {}},
    "CertificateSigningRequest": {"spec": {}, "status": {}},
    "CSINode": {"spec": {"drivers": None}},
    "VolumeAttachment": {"spec": {"source": {}}, "status": {}},
    "ResourceClaim": {"spec": _CLAIM, "status": {}},
    "ResourceClaimTemplate": {"spec": {"metadata": {}, "spec": _CLAIM}},
    "ResourceSlice": {"spec": {"pool": {}}},
    "PriorityClass": {"value": 0},
    "TokenRequest": {"spec": {"boundObjectRef": None}, "status": {}},
}


def zero_object(kind: str, known: bool = True) -> dict[str, Any]:
    """The empty object of a kind; of a custom one when it is not `known`: nothing at all."""
    if not known:
        return {"metadata": {}}
    found = _ZERO.get(kind)
    return _PLAIN if found is None else {"metadata": {}, **found}

"""Which parts of an object a request may not touch, and therefore never comes to own.

A write to an object ignores its status, a write to a subresource everything but its own part. What is ignored must
not be owned either, or a later apply would remove what it never wrote.
"""

from __future__ import annotations

from typing import Final

from machinery.meta.apply.fieldset import FieldSet

_STATUS: Final[FieldSet] = {"f:status": {}}
_SPEC: Final[FieldSet] = {"f:spec": {}}
_SPEC_AND_METADATA: Final[FieldSet] = {"f:spec": {}, "f:metadata": {}}

_SPECIAL: Final[dict[tuple[str, str], FieldSet]] = {
    ("Pod", "status"): {"f:spec": {}, "f:metadata": {"f:deletionTimestamp": {}, "f:ownerReferences": {}}},
    ("Deployment", "status"): {"f:spec": {}, "f:metadata": {"f:labels": {}}},
    ("CustomResourceDefinition", "status"): _SPEC_AND_METADATA,
    ("APIService", "status"): _SPEC_AND_METADATA,
    ("FlowSchema", "status"): _SPEC_AND_METADATA,
    ("PriorityLevelConfiguration", "status"): _SPEC_AND_METADATA,
    ("CertificateSigningRequest", ""): {"f:spec": {}, "f:status": {}},
    ("CertificateSigningRequest", "approval"): {"f:spec": {}, "f:status": {"f:certificate": {}}},
    ("CertificateSigningRequest", "status"): {"f:spec": {}, "f:status": {"f:conditions": {}}},
    ("Namespace", "finalize"): _STATUS,
    ("Node", "status"): _SPEC,
}
#: Kinds whose status is no subresource: it is theirs to write.
_OWN_STATUS: Final = frozenset((
    "Event", "ComponentStatus", "SubjectAccessReview", "LocalSubjectAccessReview", "SelfSubjectAccessReview",
    "SelfSubjectRulesReview", "SelfSubjectReview", "TokenReview", "TokenRequest"))


def reset_fields(kind: str, subresource: str = "", has_status: bool = True) -> FieldSet:
    """The fields that a write to `kind/subresource` ignores."""
    special = _SPECIAL.get((kind, subresource))
    if special is not None:
        return special
    if subresource == "status":
        return _SPEC
    if subresource == "" and has_status and kind not in _OWN_STATUS:
        return _STATUS
    return {}

"""What an expression of a policy may speak of."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from apiserver.cel.environment import Environment, patch_functions
from apiserver.cel.types import BOOL, DYN, STRING, Type, list_of, map_of


@cache
def request_type() -> Type:
    kind = Type("kubernetes.GroupVersionKind", fields={"group": STRING, "version": STRING, "kind": STRING})
    resource = Type("kubernetes.GroupVersionResource", fields={"group": STRING, "version": STRING, "resource": STRING})
    user = Type("kubernetes.UserInfo", fields={
        "username": STRING, "uid": STRING, "groups": list_of(STRING), "extra": map_of(STRING, list_of(STRING)),
    })  # fmt: skip
    return Type("kubernetes.AdmissionRequest", fields={
        "kind": kind, "resource": resource, "subResource": STRING, "requestKind": kind, "requestResource": resource,
        "requestSubResource": STRING, "name": STRING, "namespace": STRING, "operation": STRING, "userInfo": user,
        "dryRun": BOOL, "options": DYN,
    })  # fmt: skip


@cache
def namespace_type() -> Type:
    metadata = Type("kubernetes.NamespaceMetadata", fields={
        "name": STRING, "generateName": STRING, "namespace": STRING, "labels": map_of(STRING, STRING),
        "annotations": map_of(STRING, STRING), "UID": STRING, "creationTimestamp": DYN, "deletionTimestamp": DYN,
        "deletionGracePeriodSeconds": DYN, "generation": DYN, "resourceVersion": STRING,
        "finalizers": list_of(STRING),
    })  # fmt: skip
    return Type("kubernetes.Namespace", fields={
        "metadata": metadata, "spec": Type("kubernetes.NamespaceSpec", fields={"finalizers": list_of(STRING)}),
        "status": Type("kubernetes.NamespaceStatus", fields={"phase": STRING}),
    })  # fmt: skip


@cache
def authorizer_type() -> Type:
    resource = Type("kubernetes.authorization.ResourceCheck")
    return Type("kubernetes.authorization.Authorizer", fields={"requestResource": resource})


#: What a mutation may make: parts of an object by their path, and operations of a JSON patch.
_MUTATION_STRUCTS: Mapping[str, Mapping[str, Type] | None] = {
    "Object": None, "JSONPatch": {"op": STRING, "path": STRING, "from": STRING, "value": DYN},
}  # fmt: skip


def policy_environment(
    *, params: bool, authorizer: bool = True, variables: Mapping[str, Type] | None = None, mutation: bool = False
) -> Environment:
    """``variables`` is None where a policy has none: then the name does not exist."""
    known = {
        "object": DYN, "oldObject": DYN, "request": request_type(), "namespaceObject": namespace_type(),
    }  # fmt: skip
    if params:
        known["params"] = DYN
    if authorizer:
        known["authorizer"] = authorizer_type()
    if variables is not None:
        known["variables"] = Type("kubernetes.variables", fields=variables)
    if mutation:
        return Environment(known, patch_functions(), _MUTATION_STRUCTS)
    return Environment(known)

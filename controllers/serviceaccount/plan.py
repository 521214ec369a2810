"""The root certificate's ConfigMap and the contents of legacy token Secrets. Pure."""

from __future__ import annotations

import base64
from typing import Any

from machinery.meta.objects import annotations_of

Object = dict[str, Any]

ROOT_CA_NAME = "kube-root-ca.crt"
ROOT_CA_DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)
DESCRIPTION = "kubernetes.io/description"
TOKEN_TYPE = "kubernetes.io/service-account-token"
ACCOUNT_NAME = "kubernetes.io/service-account.name"
ACCOUNT_UID = "kubernetes.io/service-account.uid"
LEGACY_ISSUER = "kubernetes/serviceaccount"


def root_ca_map(namespace: str, root_ca: bytes) -> Object:
    return {
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": ROOT_CA_NAME, "namespace": namespace, "annotations": {DESCRIPTION: ROOT_CA_DESCRIPTION}},
        "data": {"ca.crt": root_ca.decode()},
    }  # fmt: skip


def repaired_root_ca_map(found: Object, root_ca: bytes) -> Object | None:
    """What the ConfigMap should be; None when it is."""
    data = {"ca.crt": root_ca.decode()}
    if found.get("data") == data and annotations_of(found).get(DESCRIPTION) == ROOT_CA_DESCRIPTION:
        return None
    annotations = {**annotations_of(found), DESCRIPTION: ROOT_CA_DESCRIPTION}
    return {**found, "metadata": {**found["metadata"], "annotations": annotations}, "data": data}


def is_token_secret(secret: Object) -> bool:
    return bool(secret.get("type") == TOKEN_TYPE)


def belongs_to(secret: Object, account: Object) -> bool:
    """By name, and by uid once that is written: a token dies with its account, not with its account's name."""
    annotations = annotations_of(secret)
    uid = annotations.get(ACCOUNT_UID)
    return annotations.get(ACCOUNT_NAME) == account["metadata"]["name"] and (
        not uid or uid == account["metadata"]["uid"]
    )


def token_claims(secret: Object, account: Object) -> Object:
    """Claims of a legacy token: it never expires and names its Secret, so that deleting the Secret revokes it."""
    namespace, name = account["metadata"]["namespace"], account["metadata"]["name"]
    return {
        "iss": LEGACY_ISSUER, "sub": f"system:serviceaccount:{namespace}:{name}",
        "kubernetes.io/serviceaccount/namespace": namespace,
        "kubernetes.io/serviceaccount/secret.name": secret["metadata"]["name"],
        "kubernetes.io/serviceaccount/service-account.name": name,
        "kubernetes.io/serviceaccount/service-account.uid": account["metadata"]["uid"],
    }  # fmt: skip


def needs_token(secret: Object, root_ca: bytes) -> bool:
    data = secret.get("data") or {}
    namespace = _encode(secret["metadata"]["namespace"].encode())
    return (
        not data.get("token") or (bool(root_ca) and data.get("ca.crt") != _encode(root_ca))
        or data.get("namespace") != namespace or not annotations_of(secret).get(ACCOUNT_UID)
    )  # fmt: skip


def filled_secret(secret: Object, account: Object, token: str, root_ca: bytes) -> Object:
    """``token`` is used when the Secret has none yet."""
    data = dict(secret.get("data") or {})
    data.setdefault("token", _encode(token.encode()))
    if root_ca:
        data["ca.crt"] = _encode(root_ca)
    data["namespace"] = _encode(secret["metadata"]["namespace"].encode())
    annotations = {**annotations_of(secret), ACCOUNT_UID: account["metadata"]["uid"]}
    return {**secret, "metadata": {**secret["metadata"], "annotations": annotations}, "data": data}


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()

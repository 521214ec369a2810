"""What a cluster must hold so that a machine can join with a token. Pure: objects out, to be applied."""

from __future__ import annotations

import secrets
import string
from datetime import datetime, timedelta
from typing import Any

from cli.join.discovery import CONFIGMAP, NAMESPACE, SIGNATURE_PREFIX, sign
from machinery.meta.objects import format_time

Object = dict[str, Any]

GROUP = "system:bootstrappers:navarch:join"
RBAC = "rbac.authorization.k8s.io"
ALPHABET = string.ascii_lowercase + string.digits


def new_token() -> str:
    """Secrets' own randomness: a token is a password."""
    return "".join(secrets.choice(ALPHABET) for _ in range(6)) + "." + "".join(
        secrets.choice(ALPHABET) for _ in range(16)
    )


def token_secret(token: str, *, expires_at: datetime | None, description: str) -> Object:
    token_id, secret = token.split(".")
    data = {
        "token-id": token_id, "token-secret": secret, "usage-bootstrap-authentication": "true",
        "usage-bootstrap-signing": "true", "auth-extra-groups": GROUP,
    }  # fmt: skip
    if expires_at is not None:
        data["expiration"] = format_time(expires_at)
    if description:
        data["description"] = description
    return {
        "apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token", "stringData": data,
        "metadata": {"name": f"bootstrap-token-{token_id}", "namespace": "kube-system"},
    }  # fmt: skip


def expiry(now: datetime, ttl_seconds: float) -> datetime | None:
    return None if ttl_seconds == 0 else now + timedelta(seconds=ttl_seconds)


def cluster_info(kubeconfig: str, tokens: dict[str, str]) -> Object:
    """``tokens``: id to secret of every token that may vouch."""
    data = {"kubeconfig": kubeconfig}
    data |= {f"{SIGNATURE_PREFIX}{token_id}": sign(kubeconfig, token_id, secret) for token_id, secret in tokens.items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "data": data,
            "metadata": {"name": CONFIGMAP, "namespace": NAMESPACE}}  # fmt: skip


def permissions() -> list[Object]:
    """Everyone may read the cluster's address; a token gets a node's certificate signed."""
    reader = "navarch:cluster-info"
    return [
        {
            "apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": {"name": reader, "namespace": NAMESPACE},
            "rules": [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [CONFIGMAP], "verbs": ["get"]}],
        },
        {
            "apiVersion": f"{RBAC}/v1", "kind": "RoleBinding", "metadata": {"name": reader, "namespace": NAMESPACE},
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": reader},
            "subjects": [{"apiGroup": RBAC, "kind": "User", "name": "system:anonymous"}],
        },
        _binding("navarch:node-bootstrapper", "system:node-bootstrapper", GROUP),
        _binding("navarch:node-approval", f"{_CSR}:nodeclient", GROUP),
    ]  # fmt: skip


_CSR = "system:certificates.k8s.io:certificatesigningrequests"


def _binding(name: str, role: str, group: str) -> Object:
    return {
        "apiVersion": f"{RBAC}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": RBAC, "kind": "Group", "name": group}],
    }  # fmt: skip

"""Kubeconfigs with everything embedded: one file is all that a component or a person needs to reach the cluster."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import yaml

from machinery.pki.certificates import KeyPair
from machinery.pki.files import write_private


def kubeconfig(
    server: str,
    ca_pem: bytes,
    *,
    user: str,
    client: KeyPair | None = None,
    token: str | None = None,
    cluster: str = "navarch",
    namespace: str | None = None,
) -> dict[str, Any]:
    credentials: dict[str, Any] = {}
    if client is not None:
        credentials["client-certificate-data"] = _base64(client.certificate_pem)
        credentials["client-key-data"] = _base64(client.key_pem)
    if token is not None:
        credentials["token"] = token
    context: dict[str, Any] = {"cluster": cluster, "user": user}
    if namespace is not None:
        context["namespace"] = namespace
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": {"server": server, "certificate-authority-data": _base64(ca_pem)}}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": f"{user}@{cluster}", "context": context}],
        "current-context": f"{user}@{cluster}",
        "preferences": {},
    }


def write_kubeconfig(path: Path, config: dict[str, Any]) -> None:
    write_private(path, yaml.safe_dump(config, sort_keys=False).encode())


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()

"""Trust on a token: how a joining machine learns the cluster's authority without having been given it.

The cluster publishes its address and CA certificate for everyone to read, with a signature for each token (a JSON Web
Signature, HMAC-SHA256 with the token's secret). The joining machine reads them over a connection it cannot trust yet,
and believes them if the signature is made with the secret that it knows. Whoever stands in between does not have the
secret. The format is kubeadm's, so kubeadm's own nodes could read it. Pure.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from typing import Any

import yaml

from cli.errors import CommandError

TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
CONFIGMAP, NAMESPACE = "cluster-info", "kube-public"
PATH = f"/api/v1/namespaces/{NAMESPACE}/configmaps/{CONFIGMAP}"
SIGNATURE_PREFIX = "jws-kubeconfig-"


def split_token(token: str) -> tuple[str, str]:
    match = TOKEN.fullmatch(token)
    if match is None:
        raise CommandError("a token has 6 characters, a dot and 16 more, a-z and 0-9: `navarch token create` makes one")
    return match[1], match[2]


def public_kubeconfig(server: str, ca_pem: bytes) -> str:
    """What is published: an address and an authority, no user."""
    cluster = {"server": server, "certificate-authority-data": base64.b64encode(ca_pem).decode()}
    document: dict[str, Any] = {
        "apiVersion": "v1", "kind": "Config", "preferences": {}, "contexts": None, "current-context": "", "users": None,
        "clusters": [{"name": "", "cluster": cluster}],
    }  # fmt: skip
    return yaml.safe_dump(document, sort_keys=True)


def sign(content: str, token_id: str, secret: str) -> str:
    """Detached: the content between the two dots is left out."""
    header = _encode(json.dumps({"alg": "HS256", "kid": token_id}, separators=(",", ":")).encode())
    digest = hmac.new(secret.encode(), f"{header}.{_encode(content.encode())}".encode(), hashlib.sha256).digest()
    return f"{header}..{_encode(digest)}"


def verify(cluster_info: dict[str, Any], token: str) -> bytes:
    """The CA certificate (PEM) that the token vouches for."""
    token_id, secret = split_token(token)
    data = cluster_info.get("data") or {}
    content, signature = data.get("kubeconfig"), data.get(f"{SIGNATURE_PREFIX}{token_id}")
    if content is None or signature is None:
        raise CommandError(f"the server does not know token {token_id} (any more): `navarch token create` makes one")
    if not hmac.compare_digest(signature, sign(content, token_id, secret)):
        raise CommandError("the server's certificate is not vouched for by this token: wrong token or wrong server")
    cluster = yaml.safe_load(content)["clusters"][0]["cluster"]
    return base64.b64decode(cluster["certificate-authority-data"])


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

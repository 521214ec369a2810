"""Create, list and delete bootstrap tokens in a cluster."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from cli.errors import CommandError
from cli.join.discovery import CONFIGMAP, NAMESPACE, public_kubeconfig, split_token
from cli.join.objects import cluster_info, expiry, new_token, permissions, token_secret
from cli.objects.applying import ApplyOptions, apply_object
from cli.objects.session import Session
from machinery.meta.errors import ApiError, is_already_exists, is_not_found

MANAGER = "navarch-token"
SECRET_TYPE = "bootstrap.kubernetes.io/token"


async def create_token(
    session: Session, *, token: str | None, ttl_seconds: float, description: str, server: str
) -> tuple[str, str]:
    """Returns the token and the server's address that is published with it."""
    token = token or new_token()
    split_token(token)
    now = datetime.now(UTC)
    secret = token_secret(token, expires_at=expiry(now, ttl_seconds), description=description)
    try:
        await session.client.create("v1", "secrets", secret)
    except ApiError as error:
        if is_already_exists(error):
            raise CommandError(f"token {token.partition('.')[0]} exists already") from error
        raise
    address = server or await advertised_server(session)
    await publish(session, address, now)
    return token, address


async def advertised_server(session: Session) -> str:
    """Where machines reach the API server: not on our loopback, but where it says itself that it is."""
    ours = session.client.config.server
    if not is_loopback(ours):
        return ours
    found = await session.client.list(
        "discovery.k8s.io/v1", "endpointslices", namespace="default",
        label_selector="kubernetes.io/service-name=kubernetes",
    )  # fmt: skip
    for piece in found["items"]:
        for endpoint in piece.get("endpoints") or ():
            for port in piece.get("ports") or ():
                address = endpoint["addresses"][0]
                return f"https://{f'[{address}]' if ':' in address else address}:{port['port']}"
    raise CommandError("the API server serves on loopback only: start it with --bind ADDRESS, or name it with --server")


def is_loopback(server: str) -> bool:
    host = urlsplit(server).hostname or ""
    return host == "localhost" or host.startswith("127.") or host == "::1"


async def publish(session: Session, server: str, now: datetime) -> None:
    """The permissions, and the cluster's address signed by every token that is valid."""
    options = ApplyOptions(server_side=True, force_conflicts=True, field_manager=MANAGER)
    for obj in permissions():
        await apply_object(session, obj, options)
    content = public_kubeconfig(server, _ca(session))
    tokens = {t["id"]: t["secret"] for t in await list_tokens(session, now) if not t["expired"]}
    await apply_object(session, cluster_info(content, tokens), options)


def _ca(session: Session) -> bytes:
    config = session.client.config
    if config.ca_data:
        return config.ca_data
    with open(config.ca_file, "rb") as file:
        return file.read()


async def list_tokens(session: Session, now: datetime) -> list[dict[str, Any]]:
    found = await session.client.list(
        "v1", "secrets", namespace="kube-system", field_selector=f"type={SECRET_TYPE}"
    )  # fmt: skip
    return [_token(secret, now) for secret in found["items"]]


def _token(secret: dict[str, Any], now: datetime) -> dict[str, Any]:
    data = {key: base64.b64decode(value).decode() for key, value in (secret.get("data") or {}).items()}
    expires = data.get("expiration")
    return {
        "id": data.get("token-id", ""), "secret": data.get("token-secret", ""), "expires": expires,
        "expired": bool(expires) and datetime.fromisoformat(str(expires)) <= now,
        "description": data.get("description", ""),
    }  # fmt: skip


async def delete_token(session: Session, token: str) -> None:
    """By id or whole. Its signature goes too, so that nobody is led to join with it."""
    token_id = token.partition(".")[0]
    try:
        await session.client.delete("v1", "secrets", f"bootstrap-token-{token_id}", namespace="kube-system")
        signature = {"data": {f"jws-kubeconfig-{token_id}": None}}
        await session.client.patch("v1", "configmaps", CONFIGMAP, signature, namespace=NAMESPACE)
    except ApiError as error:
        if not is_not_found(error):
            raise
        raise CommandError(f"there is no token {token_id}; `navarch token list` shows them") from error

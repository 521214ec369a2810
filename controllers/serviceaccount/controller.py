"""What every namespace gets: the ``default`` ServiceAccount and the root certificate; and tokens for those who ask.

Long-lived token Secrets are made by users (type ``kubernetes.io/service-account-token``) and filled here; pods get
their short-lived tokens from the API server and need none of this.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jwt

from controllers.context import Context
from controllers.serviceaccount.plan import (
    ACCOUNT_NAME,
    ROOT_CA_NAME,
    belongs_to,
    filled_secret,
    is_token_secret,
    needs_token,
    repaired_root_ca_map,
    root_ca_map,
    token_claims,
)
from machinery.meta.errors import ApiError, has_cause, is_already_exists, is_conflict, is_forbidden, is_not_found
from machinery.meta.objects import annotations_of, is_terminating, split_key
from machinery.runtime.controller import Controller

Object = dict[str, Any]


class DefaultServiceAccounts(Controller):
    """Key: the namespace."""

    name = "serviceaccount"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.client = context.client_for("service-account-controller")
        self.namespaces = context.informers.informer("v1", "namespaces")
        self.accounts = context.namespaced("v1", "serviceaccounts")
        self.namespaces.add_handler(on_add=self.enqueue, on_update=self.enqueue_update)
        self.accounts.add_handler(on_delete=lambda account: self.queue.add(account["metadata"]["namespace"]))

    async def wait_synced(self) -> None:
        await self.namespaces.wait_synced()
        await self.accounts.wait_synced()

    async def sync(self, key: str) -> str | None:
        namespace = self.namespaces.get(key)
        if namespace is None or is_terminating(namespace) or self.accounts.get(f"{key}/default") is not None:
            return None
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": key}}
        return "made the default service account" if await _create(self.client, "serviceaccounts", account) else None


class RootCaPublisher(Controller):
    """Key: the namespace."""

    name = "root-ca-certificate-publisher"

    def __init__(self, context: Context, root_ca: bytes) -> None:
        super().__init__()
        self.client, self.root_ca = context.client_for("root-ca-cert-publisher"), root_ca
        self.namespaces = context.informers.informer("v1", "namespaces")
        self.maps = context.informers.informer("v1", "configmaps", field_selector=f"metadata.name={ROOT_CA_NAME}")
        self.namespaces.add_handler(on_add=self.enqueue, on_update=self.enqueue_update)
        self.maps.add_handler(
            on_update=lambda old, new: self._map_changed(new), on_delete=self._map_changed, on_add=self._map_changed
        )

    async def wait_synced(self) -> None:
        await self.namespaces.wait_synced()
        await self.maps.wait_synced()

    def _map_changed(self, item: Object) -> None:
        self.queue.add(item["metadata"]["namespace"])

    async def sync(self, key: str) -> str | None:
        namespace = self.namespaces.get(key)
        if namespace is None or is_terminating(namespace):
            return None
        found = self.maps.get(f"{key}/{ROOT_CA_NAME}")
        if found is None:
            made = await _create(self.client, "configmaps", root_ca_map(key, self.root_ca))
            return "published the root certificate" if made else None
        repaired = repaired_root_ca_map(found, self.root_ca)
        if repaired is None:
            return None
        await self.client.update("v1", "configmaps", repaired)
        return "repaired the root certificate"


class TokenSecrets(Controller):
    """Key: the Secret."""

    name = "serviceaccount-token"

    def __init__(self, context: Context, key_pem: bytes, root_ca: bytes) -> None:
        super().__init__()
        self.client, self.key_pem, self.root_ca = context.client, key_pem, root_ca
        self.algorithm = "ES256" if b"EC PRIVATE KEY" in key_pem or _is_elliptic(key_pem) else "RS256"
        self.secrets = context.informers.informer(
            "v1", "secrets", field_selector="type=kubernetes.io/service-account-token"
        )
        self.accounts = context.namespaced("v1", "serviceaccounts")
        self.secrets.add_handler(on_add=self.enqueue, on_update=self.enqueue_update)
        self.accounts.add_handler(on_add=self._account_changed, on_delete=self._account_changed)

    async def wait_synced(self) -> None:
        await self.secrets.wait_synced()
        await self.accounts.wait_synced()

    def _account_changed(self, account: Object) -> None:
        for secret in self.secrets.items():
            same_namespace = secret["metadata"]["namespace"] == account["metadata"]["namespace"]
            if same_namespace and annotations_of(secret).get(ACCOUNT_NAME) == account["metadata"]["name"]:
                self.enqueue(secret)

    async def sync(self, key: str) -> str | None:
        secret = self.secrets.get(key)
        if secret is None or not is_token_secret(secret) or is_terminating(secret):
            return None
        account = await self._account_of(secret)
        if account is None or not belongs_to(secret, account):
            return await self._delete(secret)
        if not needs_token(secret, self.root_ca):
            return None
        token = jwt.encode(token_claims(secret, account), self.key_pem, algorithm=self.algorithm)
        await self.client.update("v1", "secrets", filled_secret(secret, account, token, self.root_ca))
        return "filled a service account token"

    async def _account_of(self, secret: Object) -> Object | None:
        namespace, name = secret["metadata"]["namespace"], annotations_of(secret).get(ACCOUNT_NAME, "")
        found = self.accounts.get(f"{namespace}/{name}")
        if found is not None or not name:
            return found
        try:
            return await self.client.get("v1", "serviceaccounts", name, namespace=namespace)
        except ApiError as error:
            if is_not_found(error):
                return None
            raise

    async def _delete(self, secret: Object) -> str | None:
        namespace, name = split_key(f"{secret['metadata']['namespace']}/{secret['metadata']['name']}")
        try:
            await self.client.delete("v1", "secrets", name, namespace=namespace, uid=secret["metadata"]["uid"])
        except ApiError as error:
            if not is_not_found(error) and not is_conflict(error):
                raise
        return "deleted the token of an account that is gone"


async def _create(client: Any, plural: str, obj: Object) -> bool:
    """False when it is there already or its namespace is going away."""
    try:
        await client.create("v1", plural, obj)
    except ApiError as error:
        namespace_ends = has_cause(error, "NamespaceTerminating") or is_not_found(error)
        if is_already_exists(error) or namespace_ends:
            return False
        if is_forbidden(error) and "because it is being terminated" in error.message:
            return False
        raise
    return True


def _is_elliptic(key_pem: bytes) -> bool:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    return isinstance(load_pem_private_key(key_pem, password=None), ec.EllipticCurvePrivateKey)


def build(context: Context) -> list[Controller]:
    return [DefaultServiceAccounts(context)]


def build_root_ca_publisher(context: Context) -> list[Controller]:
    root_ca = context.root_ca()
    return [RootCaPublisher(context, root_ca)] if root_ca else []


def build_tokens(context: Context) -> list[Controller]:
    file = context.options.service_account_private_key_file
    return [TokenSecrets(context, Path(file).read_bytes(), context.root_ca())] if file else []

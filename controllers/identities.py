"""Each controller acts as its own service account, as upstream's do with ``--use-service-account-credentials``.

The process's own identity may watch everything and write next to nothing; what a controller may write is what the
bootstrap role of its account says. So a defect in one controller cannot do what only another should, and the audit log
names the actor. Tokens are short-lived and asked for on first use; all accounts share one connection pool.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from typing import Any

import aiohttp

from machinery.client import Client
from machinery.client.rest import Params, Response
from machinery.meta.errors import ApiError, is_already_exists, is_not_found
from machinery.meta.objects import parse_time
from machinery.runtime.clock import Clock

NAMESPACE = "kube-system"
TOKEN_SECONDS = 3600
RENEW_BEFORE_SECONDS = 600.0


class Identities:
    """Makes the clients. ``root`` is the process's own identity."""

    def __init__(self, root: Client, clock: Clock, *, use_service_accounts: bool) -> None:
        self.root, self.clock = root, clock
        self.use_service_accounts = use_service_accounts
        self._clients: dict[str, AccountClient] = {}
        config = dataclasses.replace(
            root.config, cert_file="", cert_data=b"", key_file="", key_data=b"", token="", token_file=""
        )
        self._pool = Client(config, user_agent=root.user_agent)

    def client(self, account: str) -> Client:
        if not self.use_service_accounts:
            return self.root
        if account not in self._clients:
            self._clients[account] = AccountClient(self.root, self._pool, account, self.clock)
        return self._clients[account]

    async def close(self) -> None:
        await self._pool.close()


class AccountClient(Client):
    """A client that is a service account: makes it when missing, renews its token in time."""

    def __init__(self, root: Client, pool: Client, account: str, clock: Clock) -> None:
        super().__init__(pool.config, user_agent=root.user_agent)
        self.account = account
        self._root, self._pool, self._clock = root, pool, clock
        self._renewing = asyncio.Lock()
        self._renew_at = 0.0

    def session(self) -> aiohttp.ClientSession:
        return self._pool.session()

    async def close(self) -> None:
        """The pool belongs to :class:`Identities`."""

    async def request(
        self, method: str, path: str, *, params: Params = None, body: bytes | Any = None,
        headers: Mapping[str, str] | None = None, timeout_seconds: float | None = None,
    ) -> Response:
        await self._ensure_token()
        options: dict[str, Any] = {"params": params, "body": body, "headers": headers}
        try:
            return await super().request(method, path, **options, timeout_seconds=timeout_seconds)
        except ApiError as error:
            if error.code != 401:
                raise
        self._renew_at = 0.0  # the account was deleted and made anew, or the signing key changed
        await self._ensure_token()
        return await super().request(method, path, **options, timeout_seconds=timeout_seconds)

    async def _ensure_token(self) -> None:
        if self._clock.monotonic() < self._renew_at:
            return
        async with self._renewing:
            if self._clock.monotonic() < self._renew_at:
                return
            answer = await self._fetch_token()
            status = answer["status"]
            left = (parse_time(status["expirationTimestamp"]) - self._clock.now()).total_seconds()
            self.config = dataclasses.replace(self.config, token=status["token"])
            self._renew_at = self._clock.monotonic() + max(60.0, left - RENEW_BEFORE_SECONDS)

    async def _fetch_token(self) -> dict[str, Any]:
        wanted = {
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"expirationSeconds": TOKEN_SECONDS},
        }  # fmt: skip
        try:
            return await self._request_token(wanted)
        except ApiError as error:
            if not is_not_found(error):
                raise
        account = {"apiVersion": "v1", "kind": "ServiceAccount",
                   "metadata": {"name": self.account, "namespace": NAMESPACE}}  # fmt: skip
        try:
            await self._root.create("v1", "serviceaccounts", account)
        except ApiError as error:
            if not is_already_exists(error):
                raise
        return await self._request_token(wanted)

    async def _request_token(self, wanted: dict[str, Any]) -> dict[str, Any]:
        return await self._root.create(
            "v1", "serviceaccounts", wanted, namespace=NAMESPACE, name=self.account, subresource="token"
        )

"""Removes bootstrap tokens that have expired."""

from __future__ import annotations

from typing import Any

from controllers.bootstrap.plan import TOKEN_TYPE, remaining_seconds
from controllers.context import Context
from machinery.meta.errors import ApiError, is_conflict, is_not_found
from machinery.meta.objects import split_key
from machinery.runtime.controller import Controller

Object = dict[str, Any]


class TokenCleaner(Controller):
    name = "token-cleaner"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.client, self.clock = context.client_for("token-cleaner"), context.clock
        self.secrets = context.informers.informer(
            "v1", "secrets", namespace="kube-system", field_selector=f"type={TOKEN_TYPE}"
        )
        self.secrets.add_handler(on_add=self.enqueue, on_update=self.enqueue_update)

    async def wait_synced(self) -> None:
        await self.secrets.wait_synced()

    async def sync(self, key: str) -> str | None:
        secret = self.secrets.get(key)
        wait = remaining_seconds(secret, self.clock.now()) if secret is not None else None
        if secret is None or wait is None:
            return None
        if wait > 0:
            self.queue.add_after(key, wait + 0.01)
            return None
        namespace, name = split_key(key)
        try:
            await self.client.delete("v1", "secrets", name, namespace=namespace, uid=secret["metadata"]["uid"])
        except ApiError as error:
            if not is_not_found(error) and not is_conflict(error):
                raise
        return "deleted an expired bootstrap token"


def build(context: Context) -> list[Controller]:
    return [TokenCleaner(context)]

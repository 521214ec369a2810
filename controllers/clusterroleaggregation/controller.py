"""Keeps the rules of aggregated ClusterRoles (admin, edit, view and users' own) up to date."""

from __future__ import annotations

from typing import Any

from controllers.clusterroleaggregation.plan import aggregate
from controllers.context import Context
from machinery.runtime.controller import Controller

Object = dict[str, Any]
RBAC = "rbac.authorization.k8s.io/v1"


class ClusterRoleAggregation(Controller):
    name = "clusterrole-aggregation"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.client = context.client_for("clusterrole-aggregation-controller")
        self.roles = context.informers.informer(RBAC, "clusterroles")
        self.roles.add_handler(
            on_add=lambda role: self._all(), on_update=lambda old, new: self._all(), on_delete=lambda role: self._all()
        )

    async def wait_synced(self) -> None:
        await self.roles.wait_synced()

    def _all(self) -> None:
        """Any change of a role may concern any aggregated one; there are few of those."""
        if not self.roles.synced:
            return
        for role in self.roles.items():
            if role.get("aggregationRule"):
                self.enqueue(role)

    async def sync(self, key: str) -> str | None:
        role = self.roles.get(key)
        if role is None or not role.get("aggregationRule"):
            return None
        rules = aggregate(role, self.roles.items())
        if rules == (role.get("rules") or []):
            return None
        await self.client.patch(RBAC, "clusterroles", key, {"rules": rules})
        return f"aggregated {len(rules)} rules"

    async def run(self, workers: int = 1) -> None:
        await self.wait_synced()
        self._all()
        await super().run(workers)


def build(context: Context) -> list[Controller]:
    return [ClusterRoleAggregation(context)]

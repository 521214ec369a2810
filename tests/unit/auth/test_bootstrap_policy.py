"""The default policy against the recorded one, and its reconciliation: it adds, never takes, and rests when done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from apiserver.auth.bootstrap import policy
from apiserver.auth.bootstrap.reconcile import ensure_bootstrap_roles, plan_update
from machinery.meta.errors import already_exists
from machinery.meta.objects import deep_copy

TRANSCRIPT = Path(__file__).parents[2] / "golden" / "transcripts" / "rbac-defaults.jsonl"
RESOURCES = {
    "ClusterRole": "clusterroles", "ClusterRoleBinding": "clusterrolebindings",
    "Role": "roles", "RoleBinding": "rolebindings",
}  # fmt: skip


def everything() -> list[dict[str, Any]]:
    return [
        *policy.cluster_roles(), *policy.cluster_role_bindings(), *policy.roles(), *policy.role_bindings(),
    ]  # fmt: skip


def key(obj: dict[str, Any]) -> tuple[str, str, str]:
    return obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


class FakeCluster:
    """Reader and writer over a dictionary."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.writes: list[tuple[str, str]] = []

    def get(self, group: str, resource: str, namespace: str, name: str) -> dict[str, Any] | None:
        return self.objects.get((resource, namespace, name))

    async def create(self, group: str, resource: str, namespace: str, obj: dict[str, Any]) -> dict[str, Any]:
        where = (resource, namespace, obj["metadata"]["name"])
        if where in self.objects:
            raise already_exists(group, resource, where[2])
        self.writes.append(("create", where[2]))
        self.objects[where] = deep_copy(obj)
        return obj

    async def update(self, group: str, resource: str, namespace: str, name: str, change: Any) -> dict[str, Any]:
        self.writes.append(("update", name))
        current = deep_copy(self.objects[resource, namespace, name])
        self.objects[resource, namespace, name] = change(current) or current
        return current

    async def delete(self, group: str, resource: str, namespace: str, name: str) -> None:
        self.writes.append(("delete", name))
        del self.objects[resource, namespace, name]


def test_every_recorded_default_is_in_the_tables() -> None:
    tables = {key(obj): obj for obj in everything()}
    compared = 0
    for line in TRANSCRIPT.read_text().splitlines():
        body = json.loads(line).get("expect", {}).get("body")
        if not isinstance(body, dict) or body.get("kind") not in RESOURCES:
            continue
        for field in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
            body["metadata"].pop(field, None)
        assert tables[key(body)] == body
        compared += 1
    assert compared > 80


async def test_a_fresh_cluster_gets_all_and_a_second_start_writes_nothing() -> None:
    cluster = FakeCluster()
    assert await ensure_bootstrap_roles(cluster, cluster) == len(everything())  # type: ignore[arg-type]
    cluster.writes.clear()
    assert await ensure_bootstrap_roles(cluster, cluster) == 0  # type: ignore[arg-type]
    assert cluster.writes == []


async def test_what_an_administrator_added_stays_and_what_was_taken_comes_back() -> None:
    cluster = FakeCluster()
    await ensure_bootstrap_roles(cluster, cluster)  # type: ignore[arg-type]
    role = cluster.objects["clusterroles", "", "system:kube-dns"]
    extra = {"verbs": ["get"], "apiGroups": ["x"], "resources": ["y"]}
    role["rules"] = [extra]
    binding = cluster.objects["clusterrolebindings", "", "system:kube-scheduler"]
    binding["subjects"] = [{"kind": "User", "name": "other", "apiGroup": policy.GROUP}]
    await ensure_bootstrap_roles(cluster, cluster)  # type: ignore[arg-type]
    rules = cluster.objects["clusterroles", "", "system:kube-dns"]["rules"]
    assert extra in rules
    assert {"verbs": ["list", "watch"], "apiGroups": [""], "resources": ["services"]} in rules
    subjects = cluster.objects["clusterrolebindings", "", "system:kube-scheduler"]["subjects"]
    assert [subject["name"] for subject in subjects] == ["other", "system:kube-scheduler"]


async def test_a_binding_to_another_role_is_made_anew() -> None:
    cluster = FakeCluster()
    await ensure_bootstrap_roles(cluster, cluster)  # type: ignore[arg-type]
    cluster.objects["clusterrolebindings", "", "system:discovery"]["roleRef"]["name"] = "cluster-admin"
    cluster.writes.clear()
    await ensure_bootstrap_roles(cluster, cluster)  # type: ignore[arg-type]
    assert cluster.writes == [("delete", "system:discovery"), ("create", "system:discovery")]


@pytest.mark.parametrize("change", [{"rules": []}, {"metadata": {"labels": {}}}])
def test_an_object_that_opted_out_is_left_alone(change: dict[str, Any]) -> None:
    wanted = policy.cluster_roles()[3]
    present = deep_copy(wanted) | deep_copy(change)
    present["metadata"]["annotations"] = {policy.AUTOUPDATE: "false"}
    assert plan_update(wanted, present) is None
    present["metadata"]["annotations"] = {policy.AUTOUPDATE: "true"}
    assert plan_update(wanted, present) is not None

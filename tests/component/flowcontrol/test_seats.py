"""Flow control over the wire: who is treated by which rules, and what a level without seats says."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.component.apiserver.conftest import Plane, plane

__all__ = ["plane"]

BASE = "/apis/flowcontrol.apiserver.k8s.io/v1"
SCHEMA_UID, LEVEL_UID = "X-Kubernetes-PF-FlowSchema-UID", "X-Kubernetes-PF-PriorityLevel-UID"


async def uid(plane: Plane, path: str) -> Any:
    _, doc, _ = await plane.call("GET", f"{BASE}/{path}")
    return doc["metadata"]["uid"]


async def test_answers_name_their_rules(plane: Plane) -> None:
    _, _, answer = await plane.call("GET", "/api/v1/namespaces/default")
    assert answer.headers[SCHEMA_UID] == await uid(plane, "flowschemas/exempt")
    status, _, answer = await plane.call("GET", "/api/v1/namespaces/default", token="user")
    assert status == 403  # refused after it had its seat
    assert answer.headers[SCHEMA_UID] == await uid(plane, "flowschemas/global-default")
    assert answer.headers[LEVEL_UID] == await uid(plane, "prioritylevelconfigurations/global-default")


async def test_no_seat_is_429(plane: Plane) -> None:
    limited = {"nominalConcurrencyShares": 0, "limitResponse": {"type": "Reject"}}
    await plane.make(f"{BASE}/prioritylevelconfigurations", {
        "metadata": {"name": "nothing"}, "spec": {"type": "Limited", "limited": limited},
    })  # fmt: skip
    rule = {
        "subjects": [{"kind": "User", "user": {"name": "alice"}}],
        "resourceRules": [{"verbs": ["list"], "apiGroups": [""], "resources": ["pods"], "namespaces": ["*"]}],
    }  # fmt: skip
    made = await plane.make(f"{BASE}/flowschemas", {
        "metadata": {"name": "alice"},
        "spec": {"priorityLevelConfiguration": {"name": "nothing"}, "matchingPrecedence": 50, "rules": [rule]},
    })  # fmt: skip
    pods = "/api/v1/namespaces/default/pods"
    status, body, answer = await plane.call("GET", pods, token="user")
    assert (status, body) == (429, b"Too many requests, please try again later.\n")
    assert answer.headers["Retry-After"] == "1"
    assert answer.headers[SCHEMA_UID] == made["metadata"]["uid"]
    assert (await plane.call("GET", pods))[0] == 200  # others are not concerned
    assert (await plane.call("GET", f"{pods}/x", token="user"))[0] == 403  # nor are other verbs
    await plane.call("DELETE", f"{BASE}/flowschemas/alice")
    assert (await plane.call("GET", pods, token="user"))[0] == 403


async def test_watches_hold_no_seat(plane: Plane) -> None:
    """More watches than their level has seats, and still room."""
    limited = {"nominalConcurrencyShares": 1, "limitResponse": {"type": "Reject"}}  # 3 of 600 seats
    await plane.make(f"{BASE}/prioritylevelconfigurations", {
        "metadata": {"name": "narrow"}, "spec": {"type": "Limited", "limited": limited},
    })  # fmt: skip
    rule = {
        "subjects": [{"kind": "User", "user": {"name": "alice"}}],
        "resourceRules": [{"verbs": ["*"], "apiGroups": [""], "resources": ["configmaps"], "namespaces": ["*"]}],
    }  # fmt: skip
    await plane.make(f"{BASE}/flowschemas", {
        "metadata": {"name": "aaa"},
        "spec": {"priorityLevelConfiguration": {"name": "narrow"}, "matchingPrecedence": 2, "rules": [rule]},
    })  # fmt: skip
    binding = {
        "metadata": {"name": "alice"}, "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "alice"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
    }  # fmt: skip
    await plane.make("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
    path = "/api/v1/namespaces/default/configmaps"
    watches = [
        asyncio.create_task(plane.call("GET", f"{path}?watch=1&timeoutSeconds=2", token="user")) for _ in range(8)
    ]
    await asyncio.sleep(0.5)
    assert (await plane.call("GET", path, token="user"))[0] == 200
    assert [(await each)[0] for each in watches] == [200] * 8

"""The flow schemas and priority levels that a cluster is born with: tables, and their upkeep at start.

An object whose annotation says so follows the tables; an administrator who changes that takes it over.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Protocol

from apiserver.registry.interface import ObjectReader, ObjectWriter
from machinery.meta.errors import is_already_exists
from machinery.meta.objects import format_time
from machinery.runtime.clock import Clock

Object = dict[str, Any]

GROUP = "flowcontrol.apiserver.k8s.io"
API_VERSION = f"{GROUP}/v1"
#: By this name the server owns the conditions of flow schemas.
CONSUMER = "api-priority-and-fairness-config-consumer-v1"
AUTOUPDATE = "apf.kubernetes.io/autoupdate-spec"


class FlowControlWriter(ObjectWriter, Protocol):
    async def apply_status(
        self, group: str, resource: str, namespace: str, name: str, status: Object, *, manager: str
    ) -> Object: ...


# name -> (shares, percent that may be lent, (queues, hand size, length of a queue) or None: refuse at once)
_LEVELS: dict[str, tuple[int, int, tuple[int, int, int] | None]] = {
    "catch-all": (5, 0, None),
    "global-default": (20, 50, (128, 6, 50)),
    "leader-election": (10, 0, (16, 4, 50)),
    "node-high": (40, 25, (64, 6, 50)),
    "system": (30, 33, (64, 6, 50)),
    "workload-high": (40, 50, (128, 6, 50)),
    "workload-low": (100, 90, (128, 6, 50)),
}

_EVERYTHING: Object = {
    "resourceRules": [
        {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": True, "namespaces": ["*"]}
    ],
    "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
}


def _user(name: str) -> Object:
    return {"kind": "User", "user": {"name": name}}


def _group(name: str) -> Object:
    return {"kind": "Group", "group": {"name": name}}


def _account(name: str) -> Object:
    return {"kind": "ServiceAccount", "serviceAccount": {"namespace": "kube-system", "name": name}}


def _on(groups: list[str], resources: list[str], verbs: list[str], *, cluster_scope: bool = False) -> Object:
    rule: Object = {"verbs": verbs, "apiGroups": groups, "resources": resources}
    if cluster_scope:
        rule["clusterScope"] = True
    return {**rule, "namespaces": ["*"]}


_ALL_USERS = [_group("system:unauthenticated"), _group("system:authenticated")]
_WRITE = ["get", "create", "update"]
_LEASES = {"resourceRules": [_on(["coordination.k8s.io"], ["leases"], _WRITE)]}

# name -> (precedence, level, what tells flows apart, subjects, rules)
_SCHEMAS: dict[str, tuple[int, str, str, list[Object], Object]] = {
    "exempt": (1, "exempt", "", [_group("system:masters")], _EVERYTHING),
    "probes": (
        2, "exempt", "", _ALL_USERS,
        {"nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]}]},
    ),
    "system-leader-election": (
        100, "leader-election", "ByUser",
        [_user("system:kube-controller-manager"), _user("system:kube-scheduler"), _account("*")], _LEASES,
    ),
    "endpoint-controller": (
        150, "workload-high", "ByUser",
        [
            _user("system:kube-controller-manager"), _account("endpoint-controller"),
            _account("endpointslicemirroring-controller"),
        ],
        {"resourceRules": [_on([""], ["endpoints"], _WRITE)]},
    ),
    "workload-leader-election": (200, "leader-election", "ByUser", [_group("system:serviceaccounts")], _LEASES),
    "system-node-high": (
        400, "node-high", "ByUser", [_group("system:nodes")],
        {
            "resourceRules": [
                _on([""], ["nodes", "nodes/status"], ["*"], cluster_scope=True),
                _on(["coordination.k8s.io"], ["leases"], ["*"]),
            ]
        },
    ),
    "system-nodes": (500, "system", "ByUser", [_group("system:nodes")], _EVERYTHING),
    "kube-controller-manager": (
        800, "workload-high", "ByNamespace", [_user("system:kube-controller-manager")], _EVERYTHING,
    ),
    "kube-scheduler": (800, "workload-high", "ByNamespace", [_user("system:kube-scheduler")], _EVERYTHING),
    "kube-system-service-accounts": (900, "workload-high", "ByNamespace", [_account("*")], _EVERYTHING),
    "service-accounts": (9000, "workload-low", "ByUser", [_group("system:serviceaccounts")], _EVERYTHING),
    "global-default": (9900, "global-default", "ByUser", _ALL_USERS, _EVERYTHING),
    "catch-all": (10000, "catch-all", "ByUser", _ALL_USERS, _EVERYTHING),
}  # fmt: skip


def priority_levels() -> list[Object]:
    exempt = {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}}
    levels = [_object("PriorityLevelConfiguration", "exempt", exempt)]
    for name, (shares, lendable, queuing) in _LEVELS.items():
        response: Object = {"type": "Reject"}
        if queuing is not None:
            queues, hand_size, length = queuing
            response = {
                "type": "Queue",
                "queuing": {"queues": queues, "handSize": hand_size, "queueLengthLimit": length},
            }
        limited = {"nominalConcurrencyShares": shares, "limitResponse": response, "lendablePercent": lendable}
        levels.append(_object("PriorityLevelConfiguration", name, {"type": "Limited", "limited": limited}))
    return levels


def flow_schemas() -> list[Object]:
    schemas = []
    for name, (precedence, level, distinguisher, subjects, rules) in _SCHEMAS.items():
        spec: Object = {"priorityLevelConfiguration": {"name": level}, "matchingPrecedence": precedence}
        if distinguisher:
            spec["distinguisherMethod"] = {"type": distinguisher}
        spec["rules"] = [{"subjects": subjects, **rules}]
        schemas.append(_object("FlowSchema", name, spec))
    return schemas


async def ensure_flow_control(reader: ObjectReader, writer: FlowControlWriter, clock: Clock) -> None:
    """Levels come before the schemas that name them; of each kind all are written side by side."""
    await asyncio.gather(
        *(_ensure("prioritylevelconfigurations", wanted, reader, writer) for wanted in priority_levels())
    )
    await asyncio.gather(*(_ensure_schema(wanted, reader, writer, clock) for wanted in flow_schemas()))


async def _ensure_schema(wanted: Object, reader: ObjectReader, writer: FlowControlWriter, clock: Clock) -> None:
    await _ensure("flowschemas", wanted, reader, writer)
    name = wanted["metadata"]["name"]
    present = reader.get(GROUP, "flowschemas", "", name) or {}
    if not (present.get("status") or {}).get("conditions"):
        level = wanted["spec"]["priorityLevelConfiguration"]["name"]
        condition = dangling(level, exists=True, at=format_time(clock.now()))
        await writer.apply_status(GROUP, "flowschemas", "", name, {"conditions": [condition]}, manager=CONSUMER)


async def _ensure(resource: str, wanted: Object, reader: ObjectReader, writer: ObjectWriter) -> None:
    name = wanted["metadata"]["name"]
    present = reader.get(GROUP, resource, "", name)
    if present is None:
        try:
            await writer.create(GROUP, resource, "", wanted)
        except Exception as error:  # another server of the cluster may have been quicker
            if not is_already_exists(error):
                raise
    elif plan_update(wanted, present) is not None:
        await writer.update(GROUP, resource, "", name, partial(plan_update, wanted))


def plan_update(wanted: Object, present: Object) -> Object | None:
    annotations = present["metadata"].get("annotations") or {}
    if annotations.get(AUTOUPDATE) != "true" or present.get("spec") == wanted["spec"]:
        return None
    return {**present, "spec": wanted["spec"]}


def dangling(level: str, *, exists: bool, at: str) -> Object:
    """The condition that tells whether a schema's level is there."""
    about = f'This FlowSchema references the PriorityLevelConfiguration object named "{level}"'
    return {
        "type": "Dangling",
        "status": "False" if exists else "True",
        "lastTransitionTime": at,
        "reason": "Found" if exists else "NotFound",
        "message": f"{about} and it exists" if exists else f"{about} but there is no such object",
    }


def _object(kind: str, name: str, spec: Object) -> Object:
    metadata = {"name": name, "annotations": {AUTOUPDATE: "true"}}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}

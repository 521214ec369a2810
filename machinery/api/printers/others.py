"""How leases, priorities, runtime classes, devices and flow control print."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from machinery.api.printers.cells import NONE, UNSET, age, name_of, spec_of, status_of
from machinery.api.printers.columns import AGE, NAME, Cells, Column, Printer

Object = dict[str, Any]


def _lease_row(lease: Object, now: datetime) -> Cells:
    return [name_of(lease), spec_of(lease).get("holderIdentity") or "", age(lease, now)]


def _priority_row(priority: Object, now: datetime) -> Cells:
    return [
        name_of(priority), priority.get("value", 0), bool(priority.get("globalDefault")), age(priority, now),
        priority.get("preemptionPolicy", ""),
    ]  # fmt: skip


def _runtime_row(runtime_class: Object, now: datetime) -> Cells:
    return [name_of(runtime_class), runtime_class.get("handler", ""), age(runtime_class, now)]


def _claim_row(claim: Object, now: datetime) -> Cells:
    status = status_of(claim)
    deleted = bool(claim["metadata"].get("deletionTimestamp"))
    words = ["deleted"] if deleted else []
    if status.get("allocation") is not None:
        words.append("allocated")
        if status.get("reservedFor"):
            words.append("reserved")
    elif not deleted:
        words.append("pending")
    return [name_of(claim), ",".join(words), age(claim, now)]


def _slice_row(resource_slice: Object, now: datetime) -> Cells:
    spec = spec_of(resource_slice)
    return [
        name_of(resource_slice), spec.get("nodeName") or UNSET, spec.get("driver", ""),
        (spec.get("pool") or {}).get("name", ""), age(resource_slice, now),
    ]  # fmt: skip


def _name_row(obj: Object, now: datetime) -> Cells:
    return [name_of(obj), age(obj, now)]


def _flow_schema_row(schema: Object, now: datetime) -> Cells:
    spec = spec_of(schema)
    conditions = status_of(schema).get("conditions") or ()
    dangling: Object = next((one for one in conditions if one.get("type") == "Dangling"), {})
    return [
        name_of(schema), (spec.get("priorityLevelConfiguration") or {}).get("name", ""),
        spec.get("matchingPrecedence", 0), (spec.get("distinguisherMethod") or {}).get("type") or NONE,
        age(schema, now), dangling.get("status") or "?",
    ]  # fmt: skip


def _priority_level_row(level: Object, now: datetime) -> Cells:
    spec = spec_of(level)
    limited, exempt = spec.get("limited"), spec.get("exempt")
    shares = (limited or exempt or {}).get("nominalConcurrencyShares")
    queuing = ((limited or {}).get("limitResponse") or {}).get("queuing") or {}
    return [
        name_of(level), spec.get("type", ""), NONE if shares is None else shares,
        *(queuing.get(field, NONE) for field in ("queues", "handSize", "queueLengthLimit")), age(level, now),
    ]  # fmt: skip


_PRIORITY, _FLOW = "scheduling.v1.PriorityClass.", "flowcontrol.v1."
_DEVICES, _QUEUING = "resource.v1.ResourceSliceSpec.", _FLOW + "QueuingConfiguration."
_NAMED = Printer((NAME, AGE), _name_row)
PRINTERS = {
    ("coordination.k8s.io/v1", "Lease"): Printer(
        (NAME, Column("Holder", doc="coordination.v1.LeaseSpec.holderIdentity"), AGE), _lease_row
    ),
    ("scheduling.k8s.io/v1", "PriorityClass"): Printer(
        (
            NAME, Column("Value", "integer", doc=_PRIORITY + "value"),
            Column("Global-Default", "boolean", doc=_PRIORITY + "globalDefault"), AGE,
            Column("PreemptionPolicy", doc=_PRIORITY + "preemptionPolicy"),
        ),
        _priority_row,
    ),
    ("node.k8s.io/v1", "RuntimeClass"): Printer((NAME, Column("Handler"), AGE), _runtime_row),
    ("resource.k8s.io/v1", "ResourceClaim"): Printer(
        (NAME, Column("State", text="A summary of the current state (allocated, pending, reserved, etc.)."), AGE),
        _claim_row,
    ),
    ("resource.k8s.io/v1", "ResourceClaimTemplate"): _NAMED,
    ("resource.k8s.io/v1", "DeviceClass"): _NAMED,
    ("resource.k8s.io/v1", "ResourceSlice"): Printer(
        (
            NAME, Column("Node", doc=_DEVICES + "nodeName"), Column("Driver", doc=_DEVICES + "driver"),
            Column("Pool", doc="resource.v1.ResourcePool.name"), AGE,
        ),
        _slice_row,
    ),
    ("flowcontrol.apiserver.k8s.io/v1", "FlowSchema"): Printer(
        (
            NAME, Column("PriorityLevel", doc=_FLOW + "PriorityLevelConfigurationReference.name"),
            Column("MatchingPrecedence", doc=_FLOW + "FlowSchemaSpec.matchingPrecedence"),
            Column("DistinguisherMethod", doc=_FLOW + "FlowSchemaSpec.distinguisherMethod"), AGE,
            Column("MissingPL", text="references a broken or non-existent PriorityLevelConfiguration"),
        ),
        _flow_schema_row,
    ),
    ("flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration"): Printer(
        (
            NAME, Column("Type", doc=_FLOW + "PriorityLevelConfigurationSpec.type"),
            Column(
                "NominalConcurrencyShares",
                doc=_FLOW + "LimitedPriorityLevelConfiguration.nominalConcurrencyShares",
            ),
            Column("Queues", doc=_QUEUING + "queues"), Column("HandSize", doc=_QUEUING + "handSize"),
            Column("QueueLengthLimit", doc=_QUEUING + "queueLengthLimit"), AGE,
        ),
        _priority_level_row,
    ),
}  # fmt: skip

"""From the endpoints that should be to the fewest writes of EndpointSlices. Pure; used for Services and for mirroring.

Endpoints with the same address type and the same ports share slices of at most a hundred. What is already in a slice
stays in it (changed in place), what is gone leaves it, what is new goes first into slices that must be written anyway,
then into one with room, then into new ones: watchers see one small update, not a reshuffle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from machinery.meta.objects import annotations_of, labels_of

Object = dict[str, Any]

MAX_ENDPOINTS = 100
PortKey = tuple[tuple[Any, ...], ...]


@dataclass
class Group:
    """Endpoints of one address type and one list of ports."""

    address_type: str
    ports: list[Object]
    endpoints: list[Object] = field(default_factory=list)


@dataclass
class SlicePlan:
    create: list[Object] = field(default_factory=list)
    update: list[Object] = field(default_factory=list)
    delete: list[Object] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.create or self.update or self.delete)


def port_key(ports: Sequence[Object] | None) -> PortKey:
    return tuple(sorted(
        (str(port.get("name") or ""), str(port.get("protocol") or "TCP"), int(port.get("port") or 0),
         str(port.get("appProtocol") or ""))
        for port in ports or ()
    ))  # fmt: skip


def endpoint_key(endpoint: Object) -> tuple[Any, ...]:
    return (*endpoint["addresses"], (endpoint.get("targetRef") or {}).get("uid", ""))


def reconcile(
    groups: Sequence[Group], existing: Sequence[Object], template: Object, *, placeholder_types: Sequence[str],
    max_endpoints: int = MAX_ENDPOINTS,
) -> SlicePlan:
    """``template``: metadata (labels, annotations, owner, generateName) of new slices, and labels of all.

    ``placeholder_types``: address types that keep one empty slice when they have no endpoint.
    """
    plan = SlicePlan()
    left = {item["metadata"]["name"]: item for item in existing if not item["metadata"].get("deletionTimestamp")}
    for group in groups:
        if not group.endpoints:
            continue
        own = [
            item for item in sorted(left.values(), key=lambda item: item["metadata"]["name"])
            if item["addressType"] == group.address_type and port_key(item.get("ports")) == port_key(group.ports)
        ]  # fmt: skip
        for item in own:
            del left[item["metadata"]["name"]]
        _fill(plan, group, own, template, max_endpoints)
    for address_type in placeholder_types:
        if any(group.address_type == address_type and group.endpoints for group in groups):
            continue
        spare = [item for item in left.values() if item["addressType"] == address_type]
        if not spare:
            plan.create.append(_make(template, address_type, [], []))
            continue
        kept = min(spare, key=lambda item: (bool(item.get("endpoints") or item.get("ports")), item["metadata"]["name"]))
        del left[kept["metadata"]["name"]]
        if kept.get("endpoints") or kept.get("ports") or labels_of(kept) != template["metadata"]["labels"]:
            plan.update.append(_rewrite(kept, template, [], []))
    plan.delete += left.values()
    return plan


def _fill(plan: SlicePlan, group: Group, own: list[Object], template: Object, max_endpoints: int) -> None:
    wanted = {endpoint_key(endpoint): endpoint for endpoint in group.endpoints}
    contents: list[tuple[Object, list[Object], bool]] = []
    for item in own:
        kept: list[Object] = []
        changed = labels_of(item) != template["metadata"]["labels"]
        for endpoint in item.get("endpoints") or ():
            match = wanted.pop(endpoint_key(endpoint), None)
            if match is None:
                changed = True
                continue
            changed = changed or match != endpoint
            kept.append(match)
        contents.append((item, kept, changed))
    pending = list(wanted.values())
    contents.sort(key=lambda entry: not entry[2])  # what is written anyway is filled first
    for item, kept, changed in contents:
        room = max_endpoints - len(kept)
        if pending and room > 0:
            kept += pending[:room]
            pending = pending[room:]
            changed = True
        if not kept:
            plan.delete.append(item)
        elif changed:
            plan.update.append(_rewrite(item, template, kept, group.ports))
    while pending:
        plan.create.append(_make(template, group.address_type, pending[:max_endpoints], group.ports))
        pending = pending[max_endpoints:]


def _make(template: Object, address_type: str, endpoints: list[Object], ports: list[Object]) -> Object:
    made = {**template, "metadata": {**template["metadata"]}, "addressType": address_type}
    return {**made, "endpoints": endpoints, "ports": ports}


def _rewrite(item: Object, template: Object, endpoints: list[Object], ports: list[Object]) -> Object:
    wanted = template["metadata"]
    annotations = {**annotations_of(item), **(wanted.get("annotations") or {})}
    metadata = {**item["metadata"], "labels": wanted["labels"]}
    if annotations:
        metadata["annotations"] = annotations
    return {**item, "metadata": metadata, "endpoints": endpoints, "ports": ports}

"""Versioned defaults: what the server fills in when a client leaves a field out.

``apply_defaults(kind, obj)`` edits the object in place and is idempotent: applied to its own result it changes nothing.
It runs on every write, on every patch before admission and again after it. Only what depends on the object alone is
here; what needs the cluster (addresses, service accounts, priorities) belongs to admission and to the registry.

One module a group of kinds; each registers plain functions in its ``DEFAULTS`` by group-version and kind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from machinery.api.defaults import (
    access,
    admission,
    autoscaling,
    batch,
    core,
    devices,
    extensions,
    flowcontrol,
    networking,
    pods,
    storage,
    workloads,
)
from machinery.api.defaults.qos import compute_qos_class
from machinery.api.kinds import Kind
from machinery.api.schema import schema_by_name
from machinery.api.shape import complete

Object = dict[str, Any]

_DEFAULTS: dict[tuple[str, str], Callable[[Object], None]] = {}
for _module in (
    access, admission, autoscaling, batch, core, devices, extensions, flowcontrol, networking, pods, storage, workloads
):
    _DEFAULTS.update(_module.DEFAULTS)


def apply_defaults(kind: Kind, obj: Object) -> None:
    """Fill in, in place, what the client left out, and give the object the shape in which upstream prints it."""
    if kind.custom:
        return
    default = _DEFAULTS.get((kind.api_version, kind.kind))
    if default is not None:
        default(obj)
    schema = schema_by_name(kind.schema_name)
    if schema is not None:
        complete(obj, schema)


__all__ = ["apply_defaults", "compute_qos_class"]

"""An applier that gives up a field: what nobody owns beside it stays."""

from __future__ import annotations

from typing import Any

from machinery.meta.apply import apply_object

from .schemas import schema_of

TIME = "2026-01-01T00:00:00Z"


def config(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n"}, "data": data}


def test_the_unowned_neighbours_of_a_dropped_key_stay() -> None:
    schema = schema_of("v1", "ConfigMap")
    live, entries, _ = apply_object(None, config(mine="1"), manager="one", api_version="v1", schema=schema,
                                    time=TIME, force=False)
    live["metadata"]["managedFields"] = entries
    live["data"]["nobodys"] = "2"
    merged, _, changed = apply_object(live, config(), manager="one", api_version="v1", schema=schema,
                                      time=TIME, force=False)
    assert changed
    assert merged["data"] == {"nobodys": "2"}

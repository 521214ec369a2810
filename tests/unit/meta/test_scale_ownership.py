"""Ownership through the scale subresource: the recorded deployment that a patch scales, and then an apply."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from machinery.meta.apply import apply_object, update_managed_fields
from machinery.meta.apply.scale import to_parent, to_scale

from .schemas import schema_of

TRANSCRIPTS = Path(__file__).parents[2] / "golden" / "transcripts"
STEPS = {step["id"]: step for step in map(json.loads, (TRANSCRIPTS / "apply.jsonl").read_text().splitlines())}


def entries(step: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = STEPS[step]["expect"]["body"]["metadata"]["managedFields"]
    return found


def plain(found: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps({**entry, "time": "time" in entry}, sort_keys=True) for entry in found)


def test_a_patch_of_the_scale_takes_the_field() -> None:
    stored = entries("dep-21")
    live = {"kind": "Scale", "metadata": {"managedFields": to_scale(stored)}, "spec": {"replicas": 3}}
    new = {"kind": "Scale", "metadata": {}, "spec": {"replicas": 5}}
    written = update_managed_fields(
        live, new, manager="hpa", api_version="autoscaling/v1", subresource="scale", time="<time>",
        schema=schema_of("autoscaling/v1", "Scale"))
    assert plain(to_parent(stored, written, "apps/v1")) == plain(entries("dep-23"))


def test_a_forced_apply_to_the_scale_takes_it_from_there() -> None:
    stored = entries("dep-25")
    step = STEPS["dep-27"]
    config = json.loads(step["text"]) if "text" in step else step["body"]
    replicas = STEPS["dep-25"]["expect"]["body"]["spec"]["replicas"]
    live = {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {"managedFields": to_scale(stored)},
            "spec": {"replicas": replicas}}
    _, written, _ = apply_object(
        live, config, manager="d-scaler", api_version="autoscaling/v1", subresource="scale", time="<time>", force=True,
        schema=schema_of("autoscaling/v1", "Scale"))
    # The entry keeps the time it has in the object: the recorded one has none when the value was already there.
    got, wanted = to_parent(stored, written, "apps/v1"), entries("dep-28")
    assert [(e["manager"], e.get("subresource"), e["fieldsV1"]) for e in sorted(got, key=lambda e: e["manager"])] \
        == [(e["manager"], e.get("subresource"), e["fieldsV1"]) for e in sorted(wanted, key=lambda e: e["manager"])]

"""Carries out a plan of slices and remembers the writes until the cache shows them."""

from __future__ import annotations

from controllers.endpointslice.reconcile import SlicePlan
from controllers.written import Written
from machinery.client import Client
from machinery.meta.errors import ApiError, has_cause, is_not_found
from machinery.meta.objects import object_key

DISCOVERY = "discovery.k8s.io/v1"


async def write_slices(client: Client, plan: SlicePlan, written: Written, owner_key: str) -> str | None:
    """What was done, in words; nothing when the namespace is going away."""
    for item in plan.create:
        try:
            written.record(owner_key, await client.create(DISCOVERY, "endpointslices", item))
        except ApiError as error:
            if has_cause(error, "NamespaceTerminating"):
                return None
            raise
    for item in plan.update:
        written.record(owner_key, await client.update(DISCOVERY, "endpointslices", item))
    for item in plan.delete:
        meta = item["metadata"]
        written.deleted(owner_key, object_key(item))
        try:
            await client.delete(DISCOVERY, "endpointslices", meta["name"], namespace=meta["namespace"])
        except ApiError as error:
            if not is_not_found(error):
                raise
    counts = {"created": len(plan.create), "updated": len(plan.update), "deleted": len(plan.delete)}
    done = ", ".join(f"{verb} {count}" for verb, count in counts.items() if count)
    return f"{done} endpoint slices" if done else None

"""Bring the default roles and bindings of a running cluster up to the tables, at every start.

The plan is pure and only adds: an administrator may widen a default role, and ``autoupdate: "false"`` on an object
takes it out of our hands. A binding to another role cannot be changed by the API, so it is made anew. When the cluster
is already as it should be, the whole of this costs a comparison in memory and no write.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from apiserver.auth.bootstrap import policy
from apiserver.auth.rbac.coverage import uncovered_rules
from apiserver.registry.interface import ObjectReader, ObjectWriter
from machinery.meta.errors import is_already_exists
from machinery.meta.objects import deep_copy

Object = dict[str, Any]

_PROTECTED = "false"


async def ensure_bootstrap_roles(reader: ObjectReader, writer: ObjectWriter) -> int:
    """Returns how many objects were written. Roles come before the bindings that name them.

    Objects of one kind are written side by side, so that the store can commit many at once: at a first start these are
    most of the writes, and one after the other they would wait for the disk each.
    """
    written = 0
    for resource, objects in (
        ("clusterroles", policy.cluster_roles()),
        ("clusterrolebindings", policy.cluster_role_bindings()),
        ("roles", policy.roles()),
        ("rolebindings", policy.role_bindings()),
    ):
        written += sum(await asyncio.gather(*(_ensure(resource, wanted, reader, writer) for wanted in objects)))
    return written


async def _ensure(resource: str, wanted: Object, reader: ObjectReader, writer: ObjectWriter) -> int:
    metadata = wanted["metadata"]
    namespace, name = metadata.get("namespace", ""), metadata["name"]
    present = reader.get(policy.GROUP, resource, namespace, name)
    if present is not None and "roleRef" in wanted and needs_new_binding(wanted, present):
        await writer.delete(policy.GROUP, resource, namespace, name)
        present = None
    if present is None:
        try:
            await writer.create(policy.GROUP, resource, namespace, wanted)
        except Exception as error:  # another server of the cluster may have been quicker
            if not is_already_exists(error):
                raise
            return 0
        return 1
    if plan_update(wanted, present) is None:
        return 0
    await writer.update(policy.GROUP, resource, namespace, name, partial(plan_update, wanted))
    return 1


def needs_new_binding(wanted: Object, present: Object) -> bool:
    return not _protected(present) and present.get("roleRef") != wanted["roleRef"]


def plan_update(wanted: Object, present: Object) -> Object | None:
    """``present`` with everything added that is missing, or None when nothing is."""
    if _protected(present):
        return None
    result = deep_copy(present)
    changed = _add_missing(result["metadata"], "labels", wanted["metadata"]["labels"])
    changed |= _add_missing(result["metadata"], "annotations", wanted["metadata"]["annotations"])
    if "roleRef" in wanted:
        have = result.get("subjects") or []
        missing = [subject for subject in wanted.get("subjects", ()) if subject not in have]
        if missing:
            result["subjects"] = have + missing
            changed = True
    elif "aggregationRule" in wanted:
        selectors = (result.get("aggregationRule") or {}).get("clusterRoleSelectors") or []
        missing = [s for s in wanted["aggregationRule"]["clusterRoleSelectors"] if s not in selectors]
        if missing:
            result["aggregationRule"] = {"clusterRoleSelectors": selectors + missing}
            changed = True
    else:
        have = result.get("rules") or []
        if have != wanted["rules"]:
            missing = uncovered_rules(have, wanted["rules"])
            if missing:
                result["rules"] = have + missing
                changed = True
    return result if changed else None


def _protected(present: Object) -> bool:
    return (present["metadata"].get("annotations") or {}).get(policy.AUTOUPDATE) == _PROTECTED


def _add_missing(metadata: Object, field: str, wanted: dict[str, str]) -> bool:
    have = metadata.get(field) or {}
    missing = {key: value for key, value in wanted.items() if key not in have}
    if missing:
        metadata[field] = {**have, **missing}
    return bool(missing)

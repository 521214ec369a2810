"""ResourceQuota: nothing is stored that the namespace has no room for.

The room is taken before the object is stored, by a compare-and-swap on the quota's status, so that of two writes for
the last place one is refused, whichever server they come through. A place that is taken for an object that is then not
stored after all is given back by the quota controller when it recounts.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from apiserver.admission.interface import AdmissionRequest
from apiserver.admission.plugin import Plugin, refuse
from apiserver.admission.pod_resources import Amounts, add
from apiserver.admission.quota.usage import counts_resource, matches_scopes, missing_for, usage
from apiserver.registry.interface import ObjectReader, ObjectWriter
from machinery.meta.quantity import Quantity, parse_quantity

Object = dict[str, Any]

_ZERO = Quantity(0)

# What can change its usage after it is made; everything else is only counted.
_MEASURED = frozenset({("", "pods"), ("", "services"), ("", "persistentvolumeclaims")})


class ResourceQuota(Plugin):
    name = "ResourceQuota"
    resources: ClassVar[None] = None
    operations = frozenset({"CREATE", "UPDATE"})
    subresources = frozenset({"", "resize"})

    def __init__(self, reader: ObjectReader, writer: ObjectWriter) -> None:
        self._reader, self._writer = reader, writer
        # Writes of one namespace take their turn: without it they would mostly lose the swap and try again.
        self._turns: dict[str, asyncio.Lock] = {}

    def handles(self, request: AdmissionRequest) -> bool:
        if not super().handles(request) or (request.group, request.resource) == ("", "events"):
            return False
        return request.operation == "CREATE" or (request.group, request.resource) in _MEASURED

    async def validate(self, request: AdmissionRequest) -> None:
        if not request.namespace or request.obj is None:
            return
        quotas = self._reader.list("", "resourcequotas", request.namespace)
        if not quotas:
            return
        delta = usage(request.group, request.resource, request.obj)
        if request.old is not None and request.operation == "UPDATE":
            for name, amount in usage(request.group, request.resource, request.old).items():
                delta[name] = delta.get(name, _ZERO) - amount
        delta = {name: amount for name, amount in delta.items() if not amount.is_zero()}
        concerned = [quota for quota in quotas if _concerns(quota, request)]
        for quota in concerned:
            _check_said(quota, request)
        if not delta:
            return
        concerned.sort(key=lambda quota: quota["metadata"]["name"])
        for quota in concerned:
            charge(quota, delta, request)
        if request.dry_run or not concerned:
            return
        lock = self._turns.setdefault(request.namespace, asyncio.Lock())
        async with lock:
            for quota in concerned:
                await self._take(quota, delta, request)
        if not lock.locked():
            self._turns.pop(request.namespace, None)

    async def _take(self, quota: Object, delta: Amounts, request: AdmissionRequest) -> None:
        def change(current: Object) -> Object | None:
            if not _concerns(current, request):
                return None
            used = charge(current, delta, request)
            if used is None:
                return None
            status = current["status"]
            status["used"] = {**(status.get("used") or {}), **{name: str(amount) for name, amount in used.items()}}
            return current

        await self._writer.update(
            "", "resourcequotas", request.namespace, quota["metadata"]["name"], change, subresource="status"
        )


def charge(quota: Object, delta: Amounts, request: AdmissionRequest) -> Amounts | None:
    """The new usage of what changes, or None when nothing of this quota does. Raises 403 when there is no room."""
    status = quota.get("status") or {}
    hard, used = _parse(status.get("hard")), _parse(status.get("used"))
    name = quota["metadata"]["name"]
    limited = {resource for resource in hard if counts_resource(request.group, request.resource, resource)}
    unknown = sorted(limited - used.keys())
    if unknown:
        raise refuse(request, f"status unknown for quota: {name}, resources: {','.join(unknown)}")
    asked = {resource: amount for resource, amount in delta.items() if resource in hard}
    if not asked:
        return None
    after = {resource: used[resource] for resource in asked}
    add(after, asked)
    exceeded = sorted(r for r in asked if asked[r] > _ZERO and after[r] > hard[r])
    if exceeded:
        raise refuse(
            request,
            f"exceeded quota: {name}, requested: {_print(asked, exceeded)}, used: {_print(used, exceeded)}, "
            f"limited: {_print(hard, exceeded)}",
        )
    return {resource: max(amount, _ZERO) for resource, amount in after.items()}


def _concerns(quota: Object, request: AdmissionRequest) -> bool:
    hard = (quota.get("status") or {}).get("hard") or {}
    assert request.obj is not None
    return any(counts_resource(request.group, request.resource, name) for name in hard) and matches_scopes(
        quota, request.group, request.resource, request.obj
    )


def _check_said(quota: Object, request: AdmissionRequest) -> None:
    assert request.obj is not None
    hard = (quota.get("status") or {}).get("hard") or {}
    missing = missing_for(request.group, request.resource, request.obj, hard)
    if missing:
        raise refuse(request, f"failed quota: {quota['metadata']['name']}: {missing}")


def _parse(amounts: dict[str, str] | None) -> Amounts:
    return {name: parse_quantity(value) for name, value in (amounts or {}).items()}


def _print(amounts: Amounts, names: list[str]) -> str:
    return ",".join(f"{name}={amounts[name]}" for name in names)

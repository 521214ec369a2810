"""What cannot be true of a store that is well. Pure: objects in, findings out.

An error contradicts itself and does not heal; a warning may be somebody's work in progress (an object that waits for
its finalizer, an owner whose dependents are being collected) and deserves a look when it is there twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from apiserver.storage.interface import Stored
from apiserver.storage.tools.places import Place, place_of

ENCRYPTED = b"k8s:enc:"  # cannot be looked into from outside
_NO_ADDRESS = ("", "None")


@dataclass(frozen=True, slots=True)
class Finding:
    severity: Literal["error", "warning"]
    check: str
    key: str
    text: str


def check_objects(objects: Iterable[Stored], places: list[Place]) -> list[Finding]:
    check = _Check(places)
    for item in objects:
        check.add(item)
    return check.finish()


class _Check:
    """One pass over the objects remembers what the cross-checks need; values themselves are not kept."""

    def __init__(self, places: list[Place]) -> None:
        self._places = places
        self._findings: list[Finding] = []
        self._keys_by_uid: dict[str, str] = {}
        self._owners: list[tuple[str, str, str]] = []  # (key, uid, "Kind name")
        self._addresses: dict[str, str] = {}  # address -> key of the Service that has it
        self._claims: dict[str, tuple[str, str]] = {}  # address -> (key of the IPAddress, "namespace/name" of its parent)
        self._sealed = False

    def add(self, item: Stored) -> None:
        if item.value.startswith(ENCRYPTED):
            self._sealed = True
            return
        try:
            obj = orjson.loads(item.value)
        except ValueError as error:
            self._error("undecodable", item.key, f"its value is not JSON: {error}")
            return
        meta = obj.get("metadata") if isinstance(obj, dict) else None
        if not isinstance(meta, dict):
            self._error("undecodable", item.key, "its value is not an object with metadata")
            return
        place = place_of(self._places, item.key)
        self._check_key(item.key, place, obj, meta)
        self._check_uid(item.key, meta)
        for reference in meta.get("ownerReferences") or ():
            title = f"{reference.get('kind')} {reference.get('name')}"
            self._owners.append((item.key, str(reference.get("uid")), title))
        self._check_termination(item.key, obj, meta)
        if place is not None and place.title == "services":
            self._remember_service(item.key, obj)
        elif place is not None and place.title == "ipaddresses.networking.k8s.io":
            parent = (obj.get("spec") or {}).get("parentRef") or {}
            if parent.get("resource") == "services":
                self._claims[str(meta.get("name"))] = (item.key, f"{parent.get('namespace')}/{parent.get('name')}")

    def finish(self) -> list[Finding]:
        for key, uid, title in self._owners:
            if uid not in self._keys_by_uid and not self._sealed:
                self._warn("owner", key, f"its owner {title} (uid {uid}) is not there")
        for address, key in self._addresses.items():
            claim = self._claims.get(address)
            if claim is None:
                self._error("address", key, f"its cluster IP {address} has no IPAddress: another Service could get it")
            elif not key.endswith(f"/{claim[1]}"):
                self._error("address", key, f"its cluster IP {address} is reserved for Service {claim[1]}")
        for address, (key, parent) in self._claims.items():
            if address not in self._addresses:
                self._warn("address", key, f"reserves {address} for Service {parent}, which does not have it")
        return sorted(self._findings, key=lambda finding: (finding.severity, finding.check, finding.key))

    def _check_key(self, key: str, place: Place | None, obj: dict[str, Any], meta: dict[str, Any]) -> None:
        if place is None:
            self._warn("key", key, "no kind of the cluster has objects there")
            return
        expected = place.key(str(meta.get("namespace", "")), str(meta.get("name", "")))
        if key != expected:
            self._error("key", key, f"holds the object that belongs to {expected}")
        elif obj.get("kind") not in place.kinds:
            self._error("key", key, f"holds a {obj.get('kind')} among {place.title}")

    def _check_uid(self, key: str, meta: dict[str, Any]) -> None:
        uid = meta.get("uid")
        if not uid:
            self._error("uid", key, "has no uid")
        elif uid in self._keys_by_uid:
            self._error("uid", key, f"has the uid of {self._keys_by_uid[uid]}")
        else:
            self._keys_by_uid[uid] = key

    def _check_termination(self, key: str, obj: dict[str, Any], meta: dict[str, Any]) -> None:
        waits = list(meta.get("finalizers") or ())
        if obj.get("kind") == "Namespace":
            waits += (obj.get("spec") or {}).get("finalizers") or ()
        if meta.get("deletionTimestamp") and waits:
            self._warn("terminating", key, f"since {meta['deletionTimestamp']}, waits for {', '.join(waits)}")

    def _remember_service(self, key: str, obj: dict[str, Any]) -> None:
        spec = obj.get("spec") or {}
        for address in dict.fromkeys(spec.get("clusterIPs") or [spec.get("clusterIP") or ""]):
            if address in _NO_ADDRESS:
                continue
            if address in self._addresses:
                self._error("address", key, f"has the cluster IP {address} of {self._addresses[address]}")
            self._addresses[address] = key

    def _error(self, check: str, key: str, text: str) -> None:
        self._findings.append(Finding("error", check, key, text))

    def _warn(self, check: str, key: str, text: str) -> None:
        self._findings.append(Finding("warning", check, key, text))

"""Volumes and claims: phases at creation, and the instant of the last change of phase."""

from __future__ import annotations

from apiserver.registry.strategy import Strategy, Write
from machinery.meta.objects import Object


class ClaimStrategy(Strategy):
    returns_deleted = True

    def prepare_create(self, write: Write, obj: Object) -> None:
        obj["status"] = {"phase": "Pending"}


class VolumeStrategy(Strategy):
    returns_deleted = True

    def prepare_create(self, write: Write, obj: Object) -> None:
        obj["status"] = {"phase": "Pending", "lastPhaseTransitionTime": write.now}

    def prepare_status_update(self, write: Write, obj: Object, old: Object) -> None:
        super().prepare_status_update(write, obj, old)
        status, before = obj.setdefault("status", {}), old.get("status") or {}
        if status.get("phase") != before.get("phase"):
            if status.get("lastPhaseTransitionTime") in (None, before.get("lastPhaseTransitionTime")):
                status["lastPhaseTransitionTime"] = write.now
        elif "lastPhaseTransitionTime" not in status and "lastPhaseTransitionTime" in before:
            status["lastPhaseTransitionTime"] = before["lastPhaseTransitionTime"]

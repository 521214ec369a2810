"""Binds claims to volumes that exist, keeps the phases, and lets protected claims and volumes go when nobody uses them.

Volumes that a provisioner makes (CSI) arrive as volumes with a claimRef and are bound like any other.
"""

from __future__ import annotations

from typing import Any

from controllers.context import Context
from controllers.volumes import plan as pl
from machinery.meta.errors import ApiError, is_not_found
from machinery.meta.objects import is_terminating, object_key
from machinery.runtime.controller import Controller

Object = dict[str, Any]
CLAIMS, VOLUMES = "persistentvolumeclaims", "persistentvolumes"


class VolumeBinder(Controller):
    """Keys: ``namespace/name`` of a claim, ``name`` of a volume."""

    name = "persistentvolume-binder"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.client = context.client_for("persistent-volume-binder")
        self.recorder = context.recorder("persistentvolume-controller")
        self.claims = context.namespaced("v1", CLAIMS)
        self.volumes = context.informers.informer("v1", VOLUMES)
        self.classes = context.informers.informer("storage.k8s.io/v1", "storageclasses")
        self.claims.add_handler(on_add=self.enqueue, on_update=self.enqueue_update, on_delete=self._claim_deleted)
        self.volumes.add_handler(on_add=self._volume_changed, on_update=lambda old, new: self._volume_changed(new),
                                 on_delete=self._volume_changed)  # fmt: skip

    async def wait_synced(self) -> None:
        for informer in (self.claims, self.volumes, self.classes):
            await informer.wait_synced()

    def _claim_deleted(self, claim: Object) -> None:
        if claim["spec"].get("volumeName"):
            self.queue.add(claim["spec"]["volumeName"])

    def _volume_changed(self, volume: Object) -> None:
        self.enqueue(volume)
        reference = volume["spec"].get("claimRef")
        if reference:
            self.queue.add(f"{reference.get('namespace')}/{reference.get('name')}")
            return
        for claim in self.claims.items():
            if not pl.is_bound(claim):
                self.enqueue(claim)

    async def sync(self, key: str) -> str | None:
        if "/" not in key:
            return await self._sync_volume(key)
        claim = self.claims.get(key)
        if claim is None or is_terminating(claim):
            return None
        name = claim["spec"].get("volumeName")
        volume = self.volumes.get(name) if name else pl.find_volume(claim, self.volumes.items())
        if volume is None:
            return await self._note_missing(claim)
        if name and volume["spec"].get("claimRef") and not pl.refers_to(volume, claim):
            return await self._set_phase(CLAIMS, claim, "Lost" if pl.is_bound(claim) else "Pending")
        return await self._bind(claim, volume)

    async def _bind(self, claim: Object, volume: Object) -> str | None:
        done = False
        wanted = pl.bound_volume(volume, claim)
        if wanted is not None:
            volume, done = await self.client.update("v1", VOLUMES, wanted), True
        if (volume.get("status") or {}).get("phase") != "Bound":
            await self._set_phase(VOLUMES, volume, "Bound")
        wanted = pl.bound_claim(claim, volume)
        if wanted is not None:
            claim, done = await self.client.update("v1", CLAIMS, wanted), True
        status = pl.bound_claim_status(claim, volume)
        if status != claim.get("status"):
            await self.client.update("v1", CLAIMS, {**claim, "status": status}, subresource="status")
        return f"bound to volume {volume['metadata']['name']}" if done else None

    async def _note_missing(self, claim: Object) -> str | None:
        if pl.is_bound(claim):
            await self._set_phase(CLAIMS, claim, "Lost")
            self.recorder.event(claim, "Warning", "ClaimLost",
                                "Bound claim has lost its PersistentVolume. Data on the volume is lost!")  # fmt: skip
            return "its volume is lost"
        storage_class = self.classes.get(pl.storage_class_of(claim)) if pl.storage_class_of(claim) else None
        if not pl.storage_class_of(claim):
            reason, message = "FailedBinding", (
                "no persistent volumes available for this claim and no storage class is set"
            )
        elif storage_class is None:
            message = f'storageclass.storage.k8s.io "{pl.storage_class_of(claim)}" not found'
            self.recorder.event(claim, "Warning", "ProvisioningFailed", message)
            return await self._set_phase(CLAIMS, claim, "Pending")
        elif storage_class.get("volumeBindingMode") == "WaitForFirstConsumer":
            reason, message = "WaitForFirstConsumer", "waiting for first consumer to be created before binding"
        else:
            provisioner = storage_class.get("provisioner", "")
            reason, message = "ExternalProvisioning", (
                f"Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually "
                "by the system administrator. If volume creation is delayed, please verify that the provisioner is "
                "running and correctly registered."
            )
        self.recorder.event(claim, "Normal", reason, message)
        return await self._set_phase(CLAIMS, claim, "Pending")

    async def _sync_volume(self, name: str) -> str | None:
        volume = self.volumes.get(name)
        if volume is None or is_terminating(volume):
            return None
        reference = volume["spec"].get("claimRef")
        claim = self.claims.get(f"{reference.get('namespace')}/{reference.get('name')}") if reference else None
        phase = pl.volume_phase(volume, claim)
        if phase == "Released" and claim is None and reference is not None:
            # The cache may not have the claim yet: a volume must not be released by mistake.
            try:
                claim = await self.client.get("v1", CLAIMS, reference["name"], namespace=reference["namespace"])
                phase = pl.volume_phase(volume, claim)
            except ApiError as error:
                if not is_not_found(error):
                    raise
        return await self._set_phase(VOLUMES, volume, phase)

    async def _set_phase(self, plural: str, obj: Object, phase: str) -> str | None:
        status = obj.get("status") or {}
        if status.get("phase") == phase:
            return None
        await self.client.update("v1", plural, {**obj, "status": {**status, "phase": phase}}, subresource="status")
        return f"phase {phase}"


class ClaimProtection(Controller):
    """Keeps a claim while a pod uses it."""

    name = "pvc-protection"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.client = context.client_for("pvc-protection-controller")
        self.claims = context.namespaced("v1", CLAIMS)
        self.pods = context.pods()
        self.claims.add_handler(on_add=self.enqueue, on_update=self.enqueue_update)
        self.pods.add_handler(on_update=lambda old, new: self._pod_changed(new), on_delete=self._pod_changed)

    async def wait_synced(self) -> None:
        await self.claims.wait_synced()
        await self.pods.wait_synced()

    def _pod_changed(self, pod: Object) -> None:
        for claim in self.claims.by_index("namespace", pod["metadata"]["namespace"]):
            if is_terminating(claim) and pl.mounts(pod, claim["metadata"]["name"]):
                self.enqueue(claim)

    async def sync(self, key: str) -> str | None:
        claim = self.claims.get(key)
        if claim is None:
            return None
        used = bool(pl.users_of(claim, self.pods.by_index("namespace", claim["metadata"]["namespace"])))
        return await sync_protection(self.client, CLAIMS, claim, pl.CLAIM_PROTECTION, used=used)


class VolumeProtection(Controller):
    """Keeps a volume while a claim is bound to it."""

    name = "pv-protection"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.client = context.client_for("pv-protection-controller")
        self.volumes = context.informers.informer("v1", VOLUMES)
        self.volumes.add_handler(on_add=self.enqueue, on_update=self.enqueue_update)

    async def wait_synced(self) -> None:
        await self.volumes.wait_synced()

    async def sync(self, key: str) -> str | None:
        volume = self.volumes.get(key)
        if volume is None:
            return None
        used = (volume.get("status") or {}).get("phase") == "Bound"
        return await sync_protection(self.client, VOLUMES, volume, pl.VOLUME_PROTECTION, used=used)


async def sync_protection(client: Any, plural: str, obj: Object, finalizer: str, *, used: bool) -> str | None:
    finalizers = obj["metadata"].get("finalizers") or []
    if is_terminating(obj):
        if used or finalizer not in finalizers:
            return None
        wanted = [name for name in finalizers if name != finalizer]
    elif finalizer not in finalizers:
        wanted = [*finalizers, finalizer]
    else:
        return None
    try:
        await client.update("v1", plural, {**obj, "metadata": {**obj["metadata"], "finalizers": wanted}})
    except ApiError as error:
        if not is_not_found(error):
            raise
        return None
    return f"let {object_key(obj)} go" if is_terminating(obj) else "protected"


def build_binder(context: Context) -> list[Controller]:
    return [VolumeBinder(context)]


def build_claim_protection(context: Context) -> list[Controller]:
    return [ClaimProtection(context)]


def build_volume_protection(context: Context) -> list[Controller]:
    return [VolumeProtection(context)]

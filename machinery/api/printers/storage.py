"""How volumes, claims, classes and drivers print."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from machinery.api.printers.cells import UNSET, age, name_of, spec_of, status_of
from machinery.api.printers.columns import AGE, NAME, Cells, Column, Printer, wide

Object = dict[str, Any]

_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
_DEFAULT_CLASS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"


def access_modes(modes: list[str] | None) -> str:
    """In a fixed order, each once."""
    return ",".join(short for mode, short in _MODES.items() if mode in (modes or ()))


def _phase(obj: Object) -> str:
    return "Terminating" if obj["metadata"].get("deletionTimestamp") else status_of(obj).get("phase", "")


def _class(obj: Object) -> str:
    annotations = obj["metadata"].get("annotations") or {}
    return annotations.get(_CLASS_ANNOTATION) or spec_of(obj).get("storageClassName") or ""


def _volume_row(volume: Object, now: datetime) -> Cells:
    spec = spec_of(volume)
    claim = spec.get("claimRef")
    return [
        name_of(volume), (spec.get("capacity") or {}).get("storage", "0"), access_modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy", ""), _phase(volume),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "", _class(volume),
        spec.get("volumeAttributesClassName") or UNSET, status_of(volume).get("reason", ""), age(volume, now),
        spec.get("volumeMode") or UNSET,
    ]  # fmt: skip


def _claim_row(claim: Object, now: datetime) -> Cells:
    spec, status = spec_of(claim), status_of(claim)
    bound = bool(spec.get("volumeName"))
    return [
        name_of(claim), _phase(claim), spec.get("volumeName", ""),
        (status.get("capacity") or {}).get("storage", "0") if bound else "",
        access_modes(status.get("accessModes")) if bound else "", _class(claim),
        spec.get("volumeAttributesClassName") or UNSET, age(claim, now), spec.get("volumeMode") or UNSET,
    ]  # fmt: skip


def _class_row(storage_class: Object, now: datetime) -> Cells:
    annotations = storage_class["metadata"].get("annotations") or {}
    default = any(annotations.get(name) == "true" for name in _DEFAULT_CLASS)
    return [
        name_of(storage_class) + (" (default)" if default else ""), storage_class.get("provisioner", ""),
        storage_class.get("reclaimPolicy", "Delete"), storage_class.get("volumeBindingMode", "Immediate"),
        bool(storage_class.get("allowVolumeExpansion")), age(storage_class, now),
    ]  # fmt: skip


def _driver_row(driver: Object, now: datetime) -> Cells:
    spec = spec_of(driver)
    audiences = [one.get("audience", "") for one in spec.get("tokenRequests") or ()]
    return [
        name_of(driver), spec.get("attachRequired", True), spec.get("podInfoOnMount", False),
        spec.get("storageCapacity", False), ",".join(audiences) if audiences else UNSET,
        spec.get("requiresRepublish", False), ",".join(spec.get("volumeLifecycleModes") or ()) or "<none>",
        age(driver, now),
    ]  # fmt: skip


def _node_row(node: Object, now: datetime) -> Cells:
    return [name_of(node), len(spec_of(node).get("drivers") or ()), age(node, now)]


def _attachment_row(attachment: Object, now: datetime) -> Cells:
    spec = spec_of(attachment)
    return [
        name_of(attachment), spec.get("attacher", ""), (spec.get("source") or {}).get("persistentVolumeName", ""),
        spec.get("nodeName", ""), bool(status_of(attachment).get("attached")), age(attachment, now),
    ]  # fmt: skip


def _attributes_row(attributes_class: Object, now: datetime) -> Cells:
    annotations = attributes_class["metadata"].get("annotations") or {}
    default = annotations.get("storage.alpha.kubernetes.io/is-default-class") == "true"
    name = name_of(attributes_class) + (" (default)" if default else "")
    return [name, attributes_class.get("driverName", ""), age(attributes_class, now)]


_PV, _PVC = "core.v1.PersistentVolumeSpec.", "core.v1.PersistentVolumeClaimSpec."
_DRIVER = "storage.v1.CSIDriverSpec."
PRINTERS = {
    ("v1", "PersistentVolume"): Printer(
        (
            NAME, Column("Capacity", doc=_PV + "capacity"), Column("Access Modes", doc=_PV + "accessModes"),
            Column("Reclaim Policy", doc=_PV + "persistentVolumeReclaimPolicy"),
            Column("Status", doc="core.v1.PersistentVolumeStatus.phase"), Column("Claim", doc=_PV + "claimRef"),
            Column("StorageClass", text="StorageClass of the pv"),
            Column("VolumeAttributesClass", text="VolumeAttributesClass of the pv"),
            Column("Reason", doc="core.v1.PersistentVolumeStatus.reason"), AGE,
            wide("VolumeMode", doc=_PV + "volumeMode"),
        ),
        _volume_row,
    ),
    ("v1", "PersistentVolumeClaim"): Printer(
        (
            NAME, Column("Status", doc="core.v1.PersistentVolumeClaimStatus.phase"),
            Column("Volume", doc=_PVC + "volumeName"),
            Column("Capacity", doc="core.v1.PersistentVolumeClaimStatus.capacity"),
            Column("Access Modes", doc="core.v1.PersistentVolumeClaimStatus.accessModes"),
            Column("StorageClass", text="StorageClass of the pvc"),
            Column("VolumeAttributesClass", text="VolumeAttributesClass of the pvc"), AGE,
            wide("VolumeMode", doc=_PVC + "volumeMode"),
        ),
        _claim_row,
    ),
    ("storage.k8s.io/v1", "StorageClass"): Printer(
        (
            NAME, Column("Provisioner", doc="storage.v1.StorageClass.provisioner"),
            Column("ReclaimPolicy", doc="storage.v1.StorageClass.reclaimPolicy"),
            Column("VolumeBindingMode", doc="storage.v1.StorageClass.volumeBindingMode"),
            Column("AllowVolumeExpansion", doc="storage.v1.StorageClass.allowVolumeExpansion"), AGE,
        ),
        _class_row,
    ),
    ("storage.k8s.io/v1", "CSIDriver"): Printer(
        (
            NAME, Column("AttachRequired", "boolean", doc=_DRIVER + "attachRequired"),
            Column("PodInfoOnMount", "boolean", doc=_DRIVER + "podInfoOnMount"),
            Column("StorageCapacity", "boolean", doc=_DRIVER + "storageCapacity"),
            Column("TokenRequests", doc=_DRIVER + "tokenRequests"),
            Column("RequiresRepublish", "boolean", doc=_DRIVER + "requiresRepublish"),
            Column("Modes", doc=_DRIVER + "volumeLifecycleModes"), AGE,
        ),
        _driver_row,
    ),
    ("storage.k8s.io/v1", "CSINode"): Printer(
        (
            NAME,
            Column(
                "Drivers", "integer", text="Drivers indicates the number of CSI drivers registered on the node"
            ),
            AGE,
        ),
        _node_row,
    ),
    ("storage.k8s.io/v1", "VolumeAttachment"): Printer(
        (
            NAME, Column("Attacher", format="name", doc="storage.v1.VolumeAttachmentSpec.attacher"),
            Column("PV", doc="storage.v1.VolumeAttachmentSource.persistentVolumeName"),
            Column("Node", doc="storage.v1.VolumeAttachmentSpec.nodeName"),
            Column("Attached", "boolean", doc="storage.v1.VolumeAttachmentStatus.attached"), AGE,
        ),
        _attachment_row,
    ),
    ("storage.k8s.io/v1", "VolumeAttributesClass"): Printer(
        (NAME, Column("DriverName", doc="storage.v1.VolumeAttributesClass.driverName"), AGE), _attributes_row
    ),
}  # fmt: skip

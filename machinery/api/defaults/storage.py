"""Defaults of volumes, claims, classes and drivers."""

from __future__ import annotations

from typing import Any

from machinery.api.defaults.fill import fill, fill_zero, section
from machinery.api.defaults.pods import default_volume_source

Object = dict[str, Any]

_SHARED_SOURCES = ("hostPath", "iscsi", "rbd", "azureDisk", "scaleIO")


def default_volume(volume: Object) -> None:
    fill_zero(section(volume, "status"), "phase", "Pending")
    spec = section(volume, "spec")
    fill_zero(spec, "persistentVolumeReclaimPolicy", "Retain")
    fill(spec, "volumeMode", "Filesystem")
    for source in _SHARED_SOURCES:
        if spec.get(source) is not None:
            default_volume_source(source, spec[source])


def default_claim(claim: Object) -> None:
    fill_zero(section(claim, "status"), "phase", "Pending")
    fill(section(claim, "spec"), "volumeMode", "Filesystem")


def default_storage_class(storage_class: Object) -> None:
    fill(storage_class, "reclaimPolicy", "Delete")
    fill(storage_class, "volumeBindingMode", "Immediate")


def default_driver(driver: Object) -> None:
    spec = section(driver, "spec")
    fill(spec, "attachRequired", True)
    fill(spec, "podInfoOnMount", False)
    fill(spec, "storageCapacity", False)
    fill(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType")
    fill_zero(spec, "volumeLifecycleModes", ["Persistent"])
    fill(spec, "requiresRepublish", False)
    fill(spec, "seLinuxMount", False)


DEFAULTS = {
    ("v1", "PersistentVolume"): default_volume,
    ("v1", "PersistentVolumeClaim"): default_claim,
    ("storage.k8s.io/v1", "StorageClass"): default_storage_class,
    ("storage.k8s.io/v1", "CSIDriver"): default_driver,
}

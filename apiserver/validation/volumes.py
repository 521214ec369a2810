"""PersistentVolumes and claims."""

from __future__ import annotations

from typing import Any

from apiserver.validation.field import Errors, Object
from apiserver.validation.objectmeta import (
    validate_annotations,
    validate_metadata,
    validate_metadata_update,
    validate_selector,
)
from apiserver.validation.pods.resources import validate_amount
from apiserver.validation.pods.scheduling import validate_node_selector
from apiserver.validation.pods.volumes import csi_driver, validate_host_path
from apiserver.validation.rules import Rules
from machinery.meta import names
from machinery.meta.quantity import parse_quantity

_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_RECLAIM = ("Delete", "Recycle", "Retain")
_VOLUME_MODES = ("Block", "Filesystem")
_SOURCES = (
    "gcePersistentDisk", "awsElasticBlockStore", "hostPath", "glusterfs", "nfs", "rbd", "quobyte", "iscsi",
    "flexVolume", "cinder", "cephfs", "fc", "flocker", "azureFile", "vsphereVolume", "azureDisk",
    "photonPersistentDisk",
    "portworxVolume", "scaleIO", "local", "storageos", "csi")
_ONE_POD_ALONE = "may not use ReadWriteOncePod with other access modes"


def _modes(errors: Errors, path: str, modes: list[str]) -> None:
    for mode in modes:
        if mode not in _MODES:
            errors.not_supported(path, mode, _MODES)
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        errors.forbidden(path, _ONE_POD_ALONE)


def create_volume(errors: Errors, volume: Object) -> None:
    validate_metadata(errors, volume, False)
    validate_volume_spec(errors, "spec", volume.get("spec") or {}, (volume.get("metadata") or {}).get("name") or "")


def validate_volume_spec(errors: Errors, path: str, spec: Object, name: str = "", inline: bool = False) -> None:
    modes, capacity = spec.get("accessModes") or [], spec.get("capacity")
    if inline and spec.get("claimRef") is not None:
        errors.forbidden(path + ".claimRef", "may not be specified in the context of inline volumes")
    if not modes:
        errors.required(path + ".accessModes")
    _modes(errors, path + ".accessModes", modes)
    if not inline:
        if not capacity:
            errors.required(path + ".capacity")
        if set(capacity or ()) != {"storage"}:
            errors.not_supported(path + ".capacity", dict(sorted(capacity.items())) if capacity is not None else None,
                                 ("storage",))
        for resource in sorted(capacity or ()):
            where = f"{path}.capacity[{resource}]"
            validate_amount(errors, where, resource, (capacity or {})[resource])
            if parse_quantity((capacity or {})[resource]).sign() <= 0:
                errors.invalid(where, str(parse_quantity((capacity or {})[resource])), "must be greater than zero")
        policy = spec.get("persistentVolumeReclaimPolicy") or ""
        if policy and policy not in _RECLAIM:
            errors.not_supported(path + ".persistentVolumeReclaimPolicy", policy, _RECLAIM)
    affinity = spec.get("nodeAffinity")
    if affinity is not None:
        if affinity.get("required") is None:
            errors.required(path + ".nodeAffinity.required", "must specify required node constraints")
        else:
            validate_node_selector(errors, path + ".nodeAffinity.required", affinity["required"])
    _volume_source(errors, path, spec)
    storage = spec.get("storageClassName") or ""
    if storage:
        errors.invalid_all(path + ".storageClassName", storage, names.dns1123_subdomain(storage))
    mode = spec.get("volumeMode")
    if mode is not None and mode not in _VOLUME_MODES:
        errors.not_supported(path + ".volumeMode", mode, _VOLUME_MODES)
    attributes = spec.get("volumeAttributesClassName")
    if attributes:
        errors.invalid_all(path + ".volumeAttributesClassName", attributes, names.dns1123_subdomain(attributes))
        if spec.get("csi") is None:
            errors.required(path + ".csi", "has to be specified when using volumeAttributesClassName")


def _volume_source(errors: Errors, path: str, spec: Object) -> None:
    present = [source for source in _SOURCES if spec.get(source) is not None]
    for source in present[:1]:
        if source == "hostPath":
            validate_host_path(errors, path + ".hostPath", spec["hostPath"])
        elif source == "csi":
            csi_driver(errors, path + ".csi.driver", spec["csi"].get("driver") or "")
            if not spec["csi"].get("volumeHandle"):
                errors.required(path + ".csi.volumeHandle")
        elif source == "nfs":
            if not spec["nfs"].get("server"):
                errors.required(path + ".nfs.server")
            if not spec["nfs"].get("path"):
                errors.required(path + ".nfs.path")
        elif source == "local" and not spec["local"].get("path"):
            errors.required(path + ".local.path")
    for source in present[1:]:
        errors.forbidden(f"{path}.{source}", "may not specify more than 1 volume type")
    if not present:
        errors.required(path, "must specify a volume type")
    host = spec.get("hostPath")
    if host and host.get("path") == "/" and spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        errors.forbidden(path + ".persistentVolumeReclaimPolicy", "may not be 'recycle' for a hostPath mount of '/'")


def update_volume(errors: Errors, volume: Object, old: Object, subresource: str) -> None:
    if subresource == "status":
        validate_metadata_update(errors, volume, old)
        return
    create_volume(errors, volume)
    create_volume(errors, volume)  # upstream's strategy and its update check both begin with the whole object
    spec, before = volume.get("spec") or {}, old.get("spec") or {}
    if [spec.get(source) for source in _SOURCES] != [before.get(source) for source in _SOURCES]:
        from apiserver.validation.differences import struct_difference

        shown = struct_difference("PersistentVolumeSource", {k: before.get(k) for k in _SOURCES},
                                  {k: spec.get(k) for k in _SOURCES})
        errors.forbidden("spec.persistentvolumesource",
                         f"spec.persistentvolumesource is immutable after creation\n{shown}")
    errors.immutable("volumeMode", spec.get("volumeMode"), before.get("volumeMode"))
    if before.get("nodeAffinity") is not None and before["nodeAffinity"] != spec.get("nodeAffinity"):
        from apiserver.validation.differences import struct_value

        errors.invalid("nodeAffinity", struct_value("VolumeNodeAffinity", spec.get("nodeAffinity")),
                       "field is immutable, except for updating from beta label to GA")


def create_claim(errors: Errors, claim: Object) -> None:
    validate_metadata(errors, claim, True)
    validate_claim_spec(errors, "spec", claim.get("spec") or {})


def validate_claim_template_metadata(errors: Errors, path: str, meta: dict[str, Any]) -> None:
    errors.label_values(path + ".labels", meta.get("labels"))
    if meta.get("annotations"):
        validate_annotations(errors, path + ".annotations", meta["annotations"])


def validate_claim_spec(errors: Errors, path: str, spec: Object) -> None:
    modes = spec.get("accessModes") or []
    if not modes:
        errors.required(path + ".accessModes", "at least 1 access mode is required")
    if spec.get("selector") is not None:
        validate_selector(errors, path + ".selector", spec["selector"])
    _modes(errors, path + ".accessModes", modes)
    requests = (spec.get("resources") or {}).get("requests") or {}
    if "storage" not in requests:
        errors.required(path + ".resources[storage]")
    else:
        where = path + ".resources[storage]"
        amount = parse_quantity(requests["storage"])
        if amount.sign() <= 0:
            errors.invalid(where, str(amount), "must be greater than zero")
    storage = spec.get("storageClassName") or ""
    if storage:
        errors.invalid_all(path + ".storageClassName", storage, names.dns1123_subdomain(storage))
    mode = spec.get("volumeMode")
    if mode is not None and mode not in _VOLUME_MODES:
        errors.not_supported(path + ".volumeMode", mode, _VOLUME_MODES)
    attributes = spec.get("volumeAttributesClassName")
    if attributes:
        errors.invalid_all(path + ".volumeAttributesClassName", attributes, names.dns1123_subdomain(attributes))
    _data_sources(errors, path, spec)


def _data_sources(errors: Errors, path: str, spec: Object) -> None:
    for field in ("dataSource", "dataSourceRef"):
        source = spec.get(field)
        if source is None:
            continue
        where, group, kind = f"{path}.{field}", source.get("apiGroup") or "", source.get("kind") or ""
        if not source.get("name"):
            errors.required(where + ".name")
        if not group and kind != "PersistentVolumeClaim":
            errors.invalid(where, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup")
        if group:
            errors.invalid_all(where + ".apiGroup", group, names.dns1123_subdomain(group))
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if source is not None and reference is not None and not reference.get("namespace"):
        if {k: v for k, v in reference.items() if k != "namespace"} != source:
            errors.invalid(path, {}, "must match dataSourceRef")


def update_claim(errors: Errors, claim: Object, old: Object, subresource: str) -> None:
    validate_metadata_update(errors, claim, old)
    if subresource == "status":
        return
    create_claim(errors, claim)
    spec, before = dict(claim.get("spec") or {}), dict(old.get("spec") or {})
    bound = (old.get("status") or {}).get("phase") == "Bound"
    wanted = (spec.get("resources") or {}).get("requests") or {}
    had = (before.get("resources") or {}).get("requests") or {}
    munged = dict(spec)
    if not before.get("volumeName") and spec.get("volumeName"):
        munged["volumeName"] = before.get("volumeName")
        if munged["volumeName"] is None:
            munged.pop("volumeName")
    if bound and "storage" in had:
        munged["resources"] = {**(spec.get("resources") or {}), "requests": {**wanted, "storage": had["storage"]}}
        if "volumeAttributesClassName" in before:
            munged["volumeAttributesClassName"] = before["volumeAttributesClassName"]
        else:
            munged.pop("volumeAttributesClassName", None)
    if munged != before:
        from apiserver.validation.differences import struct_difference

        shown = struct_difference("PersistentVolumeClaimSpec", before, munged)
        errors.forbidden("spec", "spec is immutable after creation except resources.requests and "
                                 f"volumeAttributesClassName for bound claims\n{shown}")
    size, was_size = parse_quantity(wanted.get("storage", "0")), parse_quantity(had.get("storage", "0"))
    granted = ((old.get("status") or {}).get("capacity") or {}).get("storage", "0")
    if size < was_size and size <= parse_quantity(granted):
        errors.forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")
    errors.immutable("spec.volumeMode", spec.get("volumeMode"), before.get("volumeMode"))


RULES = {
    ("", "PersistentVolume"): Rules(create_volume, update_volume),
    ("", "PersistentVolumeClaim"): Rules(create_claim, update_claim),
}

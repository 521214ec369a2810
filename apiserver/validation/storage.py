"""Storage classes, CSI drivers and nodes, attachments, capacities."""

from __future__ import annotations

from typing import Any

from apiserver.validation.field import IMMUTABLE, NOT_NEGATIVE, Errors, Object, size
from apiserver.validation.objectmeta import SUBDOMAIN, validate_metadata, validate_metadata_update, validate_selector
from apiserver.validation.pods.volumes import csi_driver
from apiserver.validation.rules import Rules
from machinery.meta import names
from machinery.meta.quantity import parse_quantity

_GROUP = "storage.k8s.io"
_BINDING = ("Immediate", "WaitForFirstConsumer")
_FS_GROUPS = ("File", "None", "ReadWriteOnceWithFSType")


def _class(errors: Errors, entry: Object) -> None:
    provisioner = entry.get("provisioner") or ""
    _qualified_lower(errors, "provisioner", provisioner)
    _parameters(errors, "parameters", entry.get("parameters"), allow_empty=True)
    policy = entry.get("reclaimPolicy")
    if policy and policy not in ("Delete", "Retain"):
        errors.not_supported("reclaimPolicy", policy, ("Delete", "Retain"))
    mode = entry.get("volumeBindingMode")
    if mode is None:
        errors.required("volumeBindingMode")
    elif mode not in _BINDING:
        errors.not_supported("volumeBindingMode", mode, _BINDING)
    _topologies(errors, "allowedTopologies", entry.get("allowedTopologies") or [])


def create_class(errors: Errors, entry: Object) -> None:
    validate_metadata(errors, entry, False, SUBDOMAIN)
    _class(errors, entry)


def _qualified_lower(errors: Errors, path: str, value: str) -> None:
    if not value:
        errors.required(path)
        return
    errors.invalid_all(path, value.lower(), names.qualified_name(value.lower()))


def _parameters(errors: Errors, path: str, parameters: dict[str, str] | None, allow_empty: bool) -> None:
    given = parameters or {}
    if len(given) > 512:
        errors.too_long(path, 512)
        return
    total = 0
    for key in sorted(given):
        if not key:
            errors.invalid(path, key, "field can not be empty.")
        total += size(key) + size(given[key] or "")
    if total > 256 * 1024:
        errors.too_long(path, 256 * 1024)
    if not allow_empty and not given:
        errors.required(path, "must contain at least one key/value pair")


def _topologies(errors: Errors, path: str, terms: list[Object]) -> None:
    seen: list[Any] = []
    for i, term in enumerate(terms):
        where = f"{path}[{i}].matchLabelExpressions"
        keys: set[str] = set()
        table: dict[str, frozenset[str]] = {}
        for j, requirement in enumerate(term.get("matchLabelExpressions") or ()):
            inner = f"{where}[{j}]"
            key, values = requirement.get("key") or "", requirement.get("values") or []
            if not values:
                errors.required(inner + ".values")
            used: set[str] = set()
            for k, value in enumerate(values):
                if value in used:
                    errors.duplicate(f"{inner}.values[{k}]", value)
                used.add(value)
            errors.invalid_all(inner + ".key", key, names.qualified_name(key))
            if key in keys:
                errors.duplicate(inner + ".key", key)
            keys.add(key)
            table[key] = frozenset(values)
        if table in seen or not table:
            errors.duplicate(where, "")
        seen.append(table)


def update_class(errors: Errors, entry: Object, old: Object, subresource: str) -> None:
    validate_metadata_update(errors, entry, old)
    create_class(errors, entry)
    now = entry.get("parameters")
    if (now or {}) != (old.get("parameters") or {}):
        errors.invalid("parameters", now if now is None else dict(sorted(now.items())), IMMUTABLE)
    errors.immutable("provisioner", entry.get("provisioner") or "", old.get("provisioner") or "")
    for field in ("reclaimPolicy", "volumeBindingMode"):
        errors.immutable(field, entry.get(field), old.get(field))


def create_driver(errors: Errors, driver: Object) -> None:
    validate_metadata(errors, driver, False, lambda value, prefix: [])
    name = (driver.get("metadata") or {}).get("name") or ""
    if name:
        errors.invalid_all("metadata.name", name, names.dns1123_subdomain(name.lower()))
    _driver_spec(errors, driver.get("spec") or {})


def _driver_spec(errors: Errors, spec: Object) -> None:
    for field in ("attachRequired", "podInfoOnMount", "storageCapacity"):
        if spec.get(field) is None:
            errors.required(f"spec.{field}")
    policy = spec.get("fsGroupPolicy")
    if policy is None:
        errors.required("spec.fsGroupPolicy")
    elif policy not in _FS_GROUPS:
        errors.not_supported("spec.fsGroupPolicy", policy, _FS_GROUPS)
    audiences: set[str] = set()
    for i, token in enumerate(spec.get("tokenRequests") or ()):
        where, audience = f"spec.tokenRequests[{i}]", token.get("audience") or ""
        if audience in audiences:
            errors.duplicate(where + ".audience", audience)
        audiences.add(audience)
        seconds = token.get("expirationSeconds")
        if seconds is not None:
            if seconds < 600:
                errors.invalid(where + ".expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
            if seconds > 1 << 32:
                errors.invalid(
                    where + ".expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds"
                )
    for mode in spec.get("volumeLifecycleModes") or ():
        if mode not in ("Persistent", "Ephemeral"):
            errors.not_supported("spec.volumeLifecycleModes", mode, ("Persistent", "Ephemeral"))
    if spec.get("seLinuxMount") is None:
        errors.required(
            "spec.seLinuxMount",
            "seLinuxMount is required when the feature gate SELinuxMountReadWriteOncePod is enabled"
        )


def update_driver(errors: Errors, driver: Object, old: Object, subresource: str) -> None:
    validate_metadata_update(errors, driver, old)
    spec, before = driver.get("spec") or {}, old.get("spec") or {}
    _driver_spec(errors, spec)
    errors.immutable("spec.attachedRequired", spec.get("attachRequired"), before.get("attachRequired"))
    errors.immutable("spec.volumeLifecycleModes", spec.get("volumeLifecycleModes"), before.get("volumeLifecycleModes"))


def create_node(errors: Errors, node: Object) -> None:
    validate_metadata(errors, node, False, SUBDOMAIN)
    _node_drivers(errors, node)


def _node_drivers(errors: Errors, node: Object) -> None:
    seen: set[str] = set()
    for i, driver in enumerate((node.get("spec") or {}).get("drivers") or ()):
        where, name = f"spec.drivers[{i}]", driver.get("name") or ""
        csi_driver(errors, where + ".name", name)
        identity = driver.get("nodeID") or ""
        if not identity:
            errors.required(where + ".nodeID")
        elif len(identity) > 256:
            errors.invalid(where + ".nodeID", identity, "must be 256 characters or less")
        count = (driver.get("allocatable") or {}).get("count")
        if count is not None:
            errors.not_negative(where + ".allocatable.count", count)
        if name in seen:
            errors.duplicate(where + ".name", name)
        seen.add(name)
        keys: set[str] = set()
        for key in driver.get("topologyKeys") or ():
            if not key:
                errors.required(where)
            if key in keys:
                errors.duplicate(where, key)
            keys.add(key)
            errors.invalid_all(where, key, names.qualified_name(key))


def update_node(errors: Errors, node: Object, old: Object, subresource: str) -> None:
    validate_metadata_update(errors, node, old)
    _node_drivers(errors, node)
    before = {d.get("name"): d for d in (old.get("spec") or {}).get("drivers") or ()}
    drivers = (node.get("spec") or {}).get("drivers") or []
    for driver in drivers:
        was = before.get(driver.get("name"))
        if was is None:
            continue
        if _shown_driver(driver) != _shown_driver(was):
            errors.invalid("spec.drivers", _shown_driver(driver), IMMUTABLE)


def _shown_driver(driver: Object) -> Any:
    """What may not change of a driver; what it can carry may."""
    return {"Name": driver.get("name") or "", "NodeID": driver.get("nodeID") or "",
            "TopologyKeys": driver.get("topologyKeys"), "Allocatable": None}


def create_attachment(errors: Errors, attachment: Object) -> None:
    validate_metadata(errors, attachment, False, SUBDOMAIN)
    _attachment(errors, attachment)


def _attachment(errors: Errors, attachment: Object) -> None:
    from apiserver.validation.volumes import validate_volume_spec

    spec = attachment.get("spec") or {}
    attacher, node = spec.get("attacher") or "", spec.get("nodeName") or ""
    csi_driver(errors, "spec.attacher", attacher)
    source = spec.get("source") or {}
    inline, name = source.get("inlineVolumeSpec"), source.get("persistentVolumeName")
    if inline is None and name is None:
        errors.required("spec.source", "must specify exactly one of inlineVolumeSpec and persistentVolumeName")
    elif inline is not None and name is not None:
        errors.forbidden("spec.source", "must specify exactly one of inlineVolumeSpec and persistentVolumeName")
    elif name is not None:
        if not name:
            errors.required("spec.source.persistentVolumeName", "must specify non empty persistentVolumeName")
        errors.invalid_all("spec.source.persistentVolumeName", name, names.dns1123_subdomain(name))
    else:
        validate_volume_spec(errors, "spec.source.inlineVolumeSpec", inline or {}, inline=True)
    errors.invalid_all("spec.nodeName", node, names.dns1123_subdomain(node))


def update_attachment(errors: Errors, attachment: Object, old: Object, subresource: str) -> None:
    if subresource != "status":
        create_attachment(errors, attachment)
        if attachment.get("spec") != old.get("spec"):
            spec = attachment.get("spec") or {}
            source = spec.get("source") or {}
            errors.invalid("spec", {
                "Attacher": spec.get("attacher") or "",
                "Source": {"PersistentVolumeName": source.get(
                    "persistentVolumeName"
                ), "InlineVolumeSpec": source.get("inlineVolumeSpec")},
                "NodeName": spec.get("nodeName") or ""}, IMMUTABLE)


def create_capacity(errors: Errors, capacity: Object) -> None:
    validate_metadata(errors, capacity, True, SUBDOMAIN)
    validate_selector(errors, "nodeTopology", capacity.get("nodeTopology"))
    name = capacity.get("storageClassName") or ""
    errors.invalid_all("storageClassName", name, names.dns1123_subdomain(name))
    amount = capacity.get("capacity")
    if amount is not None and parse_quantity(amount).sign() < 0:
        errors.invalid("capacity", str(parse_quantity(amount)), NOT_NEGATIVE)


def update_capacity(errors: Errors, capacity: Object, old: Object, subresource: str) -> None:
    validate_metadata_update(errors, capacity, old)
    create_capacity(errors, capacity)
    from apiserver.validation.objectmeta import shown_selector

    if capacity.get("nodeTopology") != old.get("nodeTopology"):
        errors.invalid("nodeTopology", shown_selector(capacity.get("nodeTopology")), IMMUTABLE)
    errors.immutable("storageClassName", capacity.get("storageClassName") or "", old.get("storageClassName") or "")


def create_attributes(errors: Errors, entry: Object) -> None:
    validate_metadata(errors, entry, False, SUBDOMAIN)
    _qualified_lower(errors, "driverName", entry.get("driverName") or "")
    _parameters(errors, "parameters", entry.get("parameters"), allow_empty=False)


def update_attributes(errors: Errors, entry: Object, old: Object, subresource: str) -> None:
    validate_metadata_update(errors, entry, old)
    if (entry.get("driverName") or "") != (old.get("driverName") or ""):
        errors.forbidden("driverName", "updates to driverName are forbidden.")
    if (entry.get("parameters") or {}) != (old.get("parameters") or {}):
        errors.forbidden("parameters", "updates to parameters are forbidden.")
    create_attributes(errors, entry)


RULES = {
    (_GROUP, "StorageClass"): Rules(create_class, update_class),
    (_GROUP, "CSIDriver"): Rules(create_driver, update_driver),
    (_GROUP, "CSINode"): Rules(create_node, update_node),
    (_GROUP, "VolumeAttachment"): Rules(create_attachment, update_attachment),
    (_GROUP, "CSIStorageCapacity"): Rules(create_capacity, update_capacity),
    (_GROUP, "VolumeAttributesClass"): Rules(create_attributes, update_attributes),
}

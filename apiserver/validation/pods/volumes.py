"""The volumes of a pod: a name and exactly one source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apiserver.validation.field import Errors, Object
from machinery.meta import names
from machinery.meta.quantity import parse_quantity

Source = dict[str, Any]
VolumeRule = Callable[[Errors, str, Source], None]

_HOST_PATH_TYPES = (
    "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket")
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
MODE_RANGE = "must be a number between 0 and 0777 (octal), both inclusive"
_DOWNWARD_FIELDS = (
    "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")
_RESOURCES = (
    "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage",
    "requests.memory")


def validate_volumes(errors: Errors, path: str, volumes: list[Object], pod_name: str = "") -> dict[str, Source]:
    """Check them; the good ones by name, for mounts to refer to."""
    known: dict[str, Source] = {}
    claims_made = {
        f"{pod_name}-{volume.get('name')}" for volume in volumes if pod_name and volume.get("ephemeral") is not None}
    for i, volume in enumerate(volumes):
        where = f"{path}[{i}]"
        before = len(errors)
        name = volume.get("name") or ""
        _validate_source(errors, where, volume)
        if not name:
            errors.required(where + ".name")
        else:
            errors.invalid_all(where + ".name", name, names.dns1123_label(name))
        if name in known:
            errors.duplicate(where + ".name", name)
        if pod_name and name and volume.get("ephemeral") is not None:
            generated = f"{pod_name}-{name}"
            errors.invalid_all(where + ".name", name, (
                f'PVC name "{generated}": {text}' for text in names.dns1123_subdomain(generated)))
        claim = volume.get("persistentVolumeClaim")
        if claim is not None and claim.get("claimName") in claims_made:
            errors.invalid(where + ".persistentVolumeClaim.claimName", claim["claimName"],
                           "must not reference a PVC that gets created for an ephemeral volume")
        if len(errors) == before:
            known[name] = volume
    return known


def _validate_source(errors: Errors, path: str, volume: Object) -> None:
    sources = [key for key in _SOURCES if volume.get(key) is not None]
    if not sources:
        errors.required(path, "must specify a volume type")
        return
    _SOURCES[sources[0]](errors, f"{path}.{sources[0]}", volume[sources[0]])
    for key in sources[1:]:
        errors.forbidden(f"{path}.{key}", "may not specify more than 1 volume type")


def _mode(errors: Errors, path: str, mode: int | None) -> None:
    if mode is not None and not 0 <= mode <= 0o777:
        errors.invalid(path, mode, MODE_RANGE)


def _empty_dir(errors: Errors, path: str, source: Source) -> None:
    limit = source.get("sizeLimit")
    if limit is not None and parse_quantity(limit).sign() < 0:
        errors.forbidden(path + ".sizeLimit", "SizeLimit field must be a valid resource quantity")
    medium = source.get("medium") or ""
    if medium not in ("", "Memory", "HugePages") and not medium.startswith("HugePages-"):
        errors.not_supported(path + ".medium", medium, ("", "HugePages", "Memory"))


def validate_host_path(errors: Errors, path: str, source: Source) -> None:
    where = source.get("path") or ""
    if not where:
        errors.required(path + ".path")
        return
    no_backsteps(errors, path + ".path", where)
    kind = source.get("type")
    if kind is not None and kind not in _HOST_PATH_TYPES:
        errors.not_supported(path + ".type", kind, _HOST_PATH_TYPES)


def no_backsteps(errors: Errors, path: str, value: str) -> None:
    if ".." in value.replace("\\", "/").split("/"):
        errors.invalid(path, value, "must not contain '..'")


def local_path(errors: Errors, path: str, value: str) -> None:
    """A path inside a volume: relative and without steps back."""
    if value.startswith("/"):
        errors.invalid(path, value, "must be a relative path")
    no_backsteps(errors, path, value)


def _file_path(errors: Errors, path: str, value: str) -> None:
    if not value:
        errors.required(path)
        return
    local_path(errors, path, value)
    if value.startswith("..") and not value.startswith("../"):
        errors.invalid(path, value, "must not start with '..'")


def _items(errors: Errors, path: str, items: list[Source] | None) -> None:
    for i, item in enumerate(items or ()):
        where = f"{path}.items[{i}]"
        if not item.get("key"):
            errors.required(where + ".key")
        _file_path(errors, where + ".path", item.get("path") or "")
        _mode(errors, where + ".mode", item.get("mode"))


def _config_map(errors: Errors, path: str, source: Source) -> None:
    if not source.get("name"):
        errors.required(path + ".name")
    _mode(errors, path + ".defaultMode", source.get("defaultMode"))
    _items(errors, path, source.get("items"))


def _secret(errors: Errors, path: str, source: Source) -> None:
    if not source.get("secretName"):
        errors.required(path + ".secretName")
    _mode(errors, path + ".defaultMode", source.get("defaultMode"))
    _items(errors, path, source.get("items"))


def _projected_object(errors: Errors, path: str, source: Source) -> None:
    if not source.get("name"):
        errors.required(path + ".name")
    _items(errors, path, source.get("items"))


def _claim(errors: Errors, path: str, source: Source) -> None:
    if not source.get("claimName"):
        errors.required(path + ".claimName")


def _downward(errors: Errors, path: str, source: Source) -> None:
    _mode(errors, path + ".defaultMode", source.get("defaultMode"))
    _downward_items(errors, path, source.get("items"))


def _downward_items(errors: Errors, path: str, items: list[Source] | None) -> None:
    for item in items or ():
        _file_path(errors, path + ".path", item.get("path") or "")
        field, resource = item.get("fieldRef"), item.get("resourceFieldRef")
        if field is not None:
            validate_field_ref(errors, path + ".fieldRef", field, _DOWNWARD_FIELDS)
            if resource is not None:
                errors.invalid(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously")
        elif resource is not None:
            validate_resource_ref(errors, path + ".resourceFieldRef", resource, volume=True)
        else:
            errors.required(path, "one of fieldRef and resourceFieldRef is required")
        _mode(errors, path + ".mode", item.get("mode"))


def validate_field_ref(errors: Errors, path: str, ref: Source, supported: tuple[str, ...]) -> None:
    version, field = ref.get("apiVersion") or "", ref.get("fieldPath") or ""
    if not version:
        errors.required(path + ".apiVersion")
        return
    if not field:
        errors.required(path + ".fieldPath")
        return
    if version != "v1":
        errors.invalid(path + ".fieldPath", field, f"error converting fieldPath: unsupported pod version: {version}")
        return
    base, bracket, key = field.partition("['")
    if bracket and key.endswith("']"):
        if base in ("metadata.annotations", "metadata.labels"):
            name = key[:-2]
            errors.invalid_all(
                path, name, names.qualified_name(name.lower() if base == "metadata.annotations" else name))
        elif base in _CONVERTIBLE_FIELDS:
            errors.invalid(path, field, f"{base} does not support subscript")
        else:
            _cannot_convert(errors, path, field)
        return
    if field not in _CONVERTIBLE_FIELDS:
        _cannot_convert(errors, path, field)
    elif field not in supported:
        errors.not_supported(path + ".fieldPath", field, supported)


_CONVERTIBLE_FIELDS = frozenset((
    "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName",
    "spec.restartPolicy", "spec.serviceAccountName", "spec.schedulerName", "spec.hostNetwork", "status.phase",
    "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"))


def _cannot_convert(errors: Errors, path: str, field: str) -> None:
    errors.invalid(path + ".fieldPath", field, f"error converting fieldPath: field label not supported: {field}")


def validate_resource_ref(errors: Errors, path: str, ref: Source, volume: bool) -> None:
    resource = ref.get("resource") or ""
    if volume and not ref.get("containerName"):
        errors.required(path + ".containerName")
    elif not resource:
        errors.required(path + ".resource")
    elif resource not in _RESOURCES and not resource.startswith(("limits.hugepages-", "requests.hugepages-")):
        errors.not_supported(path + ".resource", resource, _RESOURCES)
    _divisor(errors, path, resource, ref.get("divisor"))


def _divisor(errors: Errors, path: str, resource: str, divisor: Any) -> None:
    amount = parse_quantity(divisor if divisor is not None else "0")
    if not amount:
        return
    kind = resource.partition(".")[2]
    if kind == "cpu":
        if str(amount) not in ("1", "1m"):
            errors.invalid(
                path + ".divisor", resource, "only divisor's values 1m and 1 are supported with the cpu resource"
            )
    elif kind in ("memory", "ephemeral-storage") or kind.startswith("hugepages-"):
        label = "hugepages" if kind.startswith("hugepages-") else "local ephemeral storage" if kind[0] == "e" else kind
        allowed = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")
        if str(amount) not in allowed:
            errors.invalid(path + ".divisor", resource,
                           "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are "
                           f"supported with the {label} resource")


def _projected(errors: Errors, path: str, source: Source) -> None:
    _mode(errors, path + ".defaultMode", source.get("defaultMode"))
    taken: set[str] = set()
    for i, projection in enumerate(source.get("sources") or ()):
        where = f"{path}.sources[{i}]"
        kinds = [key for key in _PROJECTIONS if projection.get(key) is not None]
        for key in kinds[:1]:
            _PROJECTIONS[key](errors, f"{where}.{key}", projection[key])
            _check_taken(errors, f"{where}.{key}", projection[key], taken, projection[key].get("name") or "")
        for key in kinds[1:]:
            errors.forbidden(f"{where}.{key}", "may not specify more than 1 volume type")


def _check_taken(errors: Errors, path: str, projection: Source, taken: set[str], name: str) -> None:
    for item in projection.get("items") or [{"path": projection.get("path")}]:
        where = item.get("path")
        if where and where in taken:
            errors.invalid(path, name, "conflicting duplicate paths")
        if where:
            taken.add(where)


def _token(errors: Errors, path: str, source: Source) -> None:
    seconds = source.get("expirationSeconds")
    if seconds is not None and seconds < 600:
        errors.invalid(path + ".expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
    elif seconds is not None and seconds > 1 << 32:
        errors.invalid(path + ".expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds")
    _file_path(errors, path + ".path", source.get("path") or "")


def _projected_downward(errors: Errors, path: str, source: Source) -> None:
    _downward_items(errors, path, source.get("items"))


def _trust_bundle(errors: Errors, path: str, source: Source) -> None:
    name, signer = source.get("name"), source.get("signerName")
    if name is not None and signer is not None:
        errors.invalid(path, source, "only one of name and signerName may be used")
    elif name is None and signer is None:
        errors.required(path, "either name or signerName must be specified")
    _file_path(errors, path + ".path", source.get("path") or "")


_PROJECTIONS: dict[str, VolumeRule] = {
    "secret": _projected_object, "configMap": _projected_object, "downwardAPI": _projected_downward,
    "serviceAccountToken": _token, "clusterTrustBundle": _trust_bundle,
}


def _nfs(errors: Errors, path: str, source: Source) -> None:
    if not source.get("server"):
        errors.required(path + ".server")
    if not source.get("path"):
        errors.required(path + ".path")
    if not (source.get("path") or "").startswith("/"):
        errors.invalid(path + ".path", source.get("path") or "", "must be an absolute path")


def _csi(errors: Errors, path: str, source: Source) -> None:
    csi_driver(errors, path + ".driver", source.get("driver") or "")
    reference = source.get("nodePublishSecretRef")
    if reference is not None and not reference.get("name"):
        errors.required(path + ".nodePublishSecretRef.name")


def csi_driver(errors: Errors, path: str, name: str) -> None:
    if not name:
        errors.required(path)
        return
    if len(name) > 63:
        errors.too_long(path, 63)
    errors.invalid_all(path, name, names.dns1123_subdomain(name.lower()))


def _ephemeral(errors: Errors, path: str, source: Source) -> None:
    from apiserver.validation.volumes import validate_claim_spec, validate_claim_template_metadata

    template = source.get("volumeClaimTemplate")
    if template is None:
        errors.required(path + ".volumeClaimTemplate")
        return
    where = path + ".volumeClaimTemplate"
    validate_claim_template_metadata(errors, where + ".metadata", template.get("metadata") or {})
    validate_claim_spec(errors, where + ".spec", template.get("spec") or {})


def _image(errors: Errors, path: str, source: Source) -> None:
    if not source.get("reference"):
        errors.required(path + ".reference")
    policy = source.get("pullPolicy")
    if policy and policy not in _PULL_POLICIES:
        errors.not_supported(path + ".pullPolicy", policy, _PULL_POLICIES)


def _fine(errors: Errors, path: str, source: Source) -> None:
    """Sources of drivers long gone: taken as they are."""


_SOURCES: dict[str, VolumeRule] = {
    "emptyDir": _empty_dir, "hostPath": validate_host_path, "gitRepo": _fine, "gcePersistentDisk": _fine,
    "awsElasticBlockStore": _fine, "secret": _secret, "nfs": _nfs, "iscsi": _fine, "glusterfs": _fine, "flocker": _fine,
    "persistentVolumeClaim": _claim, "rbd": _fine, "cinder": _fine, "cephfs": _fine, "quobyte": _fine,
    "downwardAPI": _downward, "fc": _fine, "flexVolume": _fine, "configMap": _config_map, "azureFile": _fine,
    "vsphereVolume": _fine, "photonPersistentDisk": _fine, "portworxVolume": _fine, "azureDisk": _fine,
    "storageos": _fine, "projected": _projected, "scaleIO": _fine, "csi": _csi, "ephemeral": _ephemeral,
    "image": _image,
}

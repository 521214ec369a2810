"""A container's environment: names, and where values come from."""

from __future__ import annotations

from apiserver.validation.field import Errors, Object
from apiserver.validation.pods.volumes import validate_field_ref, validate_resource_ref
from machinery.meta import names

_FIELDS = (
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP",
    "status.hostIPs", "status.podIP", "status.podIPs")
_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_ONE_OF = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"


def validate_env(errors: Errors, path: str, variables: list[Object]) -> None:
    for i, variable in enumerate(variables):
        where = f"{path}[{i}]"
        name = variable.get("name") or ""
        if not name:
            errors.required(where + ".name")
        else:
            errors.invalid_all(where + ".name", name, names.env_var_name(name))
        source = variable.get("valueFrom")
        if source is not None:
            _validate_source(errors, where + ".valueFrom", source, variable.get("value") or "")


def _validate_source(errors: Errors, path: str, source: Object, value: str) -> None:
    present = [key for key in _SOURCES if source.get(key) is not None]
    for key in present:
        reference, where = source[key], f"{path}.{key}"
        if key == "fieldRef":
            validate_field_ref(errors, where, reference, _FIELDS)
        elif key == "resourceFieldRef":
            validate_resource_ref(errors, where, reference, volume=False)
        else:
            _validate_key(errors, where, reference)
    if not present:
        errors.invalid(path, "", _ONE_OF)
    elif value:
        errors.invalid(path, "", "may not be specified when `value` is not empty")
    elif len(present) > 1:
        errors.invalid(path, "", "may not have more than one field specified at a time")


def _validate_key(errors: Errors, path: str, reference: Object) -> None:
    name, key = reference.get("name") or "", reference.get("key") or ""
    errors.invalid_all(path + ".name", name, names.dns1123_subdomain(name))
    if not key:
        errors.required(path + ".key")
    else:
        errors.invalid_all(path + ".key", key, names.config_map_key(key))


def validate_env_from(errors: Errors, path: str, sources: list[Object]) -> None:
    for i, source in enumerate(sources):
        where = f"{path}[{i}]"
        prefix = source.get("prefix") or ""
        if prefix:
            errors.invalid_all(where + ".prefix", prefix, names.env_var_name(prefix))
        present = [key for key in ("configMapRef", "secretRef") if source.get(key) is not None]
        for key in present:
            name = source[key].get("name") or ""
            if not name:
                errors.required(f"{where}.{key}.name")
            else:
                errors.invalid_all(f"{where}.{key}.name", name, names.dns1123_subdomain(name))
        if not present:
            errors.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")
        elif len(present) > 1:
            errors.invalid(path, "", "may not have more than one field specified at a time")

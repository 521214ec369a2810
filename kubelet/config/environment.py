"""A container's environment: `envFrom`, then `env` in order (each may refer to those before it), then service links.

Everything that must be fetched is an argument: `referenced_objects` says what, `compute_environment` uses it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kubelet.config.errors import ConfigError
from kubelet.config.expansion import expand
from kubelet.config.fieldref import field_value, resource_value
from kubelet.podspec import ContainerSpec, Pod, pod_namespace

CONFIG_ERROR = "CreateContainerConfigError"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the spec alone does not say. A missing object is in the table as None."""

    config_maps: Mapping[str, dict[str, Any] | None] = field(default_factory=dict)
    secrets: Mapping[str, dict[str, Any] | None] = field(default_factory=dict)
    service_variables: Mapping[str, str] = field(default_factory=dict)
    pod_ips: tuple[str, ...] = ()
    host_ips: tuple[str, ...] = ()
    allocatable: Mapping[str, str] = field(default_factory=dict)


def referenced_objects(spec: ContainerSpec) -> set[tuple[str, str]]:
    """(``configmaps``|``secrets``, name) of everything the environment needs."""
    found: set[tuple[str, str]] = set()
    for source in spec.get("envFrom") or ():
        for key, plural in (("configMapRef", "configmaps"), ("secretRef", "secrets")):
            if source.get(key):
                found.add((plural, source[key]["name"]))
    for variable in spec.get("env") or ():
        value = variable.get("valueFrom") or {}
        for key, plural in (("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")):
            if value.get(key):
                found.add((plural, value[key]["name"]))
    return found


def compute_environment(pod: Pod, spec: ContainerSpec, facts: Facts) -> dict[str, str]:
    """Raises `ConfigError` when something required is missing."""
    found: dict[str, str] = {}
    for source in spec.get("envFrom") or ():
        found |= _from_source(pod, source, facts)
    # Later variables see earlier ones and the service links, but links never replace what the pod says.
    known = {**facts.service_variables, **found}
    for variable in spec.get("env") or ():
        value = _value(pod, spec, variable, known, facts)
        if value is not None:
            known[variable["name"]] = found[variable["name"]] = value
    for name, value in facts.service_variables.items():
        found.setdefault(name, value)
    return found


def _from_source(pod: Pod, source: Mapping[str, Any], facts: Facts) -> dict[str, str]:
    prefix = source.get("prefix") or ""
    if source.get("configMapRef"):
        ref = source["configMapRef"]
        obj = _object("configmap", ref, facts.config_maps)
        data = (obj or {}).get("data") or {}
    elif source.get("secretRef"):
        ref = source["secretRef"]
        obj = _object("secret", ref, facts.secrets)
        data = {key: decode(value) for key, value in ((obj or {}).get("data") or {}).items()}
    else:
        return {}
    return {prefix + key: value for key, value in sorted(data.items()) if _is_valid_name(prefix + key)}


def _is_valid_name(name: str) -> bool:
    """Any printable ASCII but the equals sign."""
    return bool(name) and all(" " <= c <= "~" and c != "=" for c in name)


def _value(
    pod: Pod, spec: ContainerSpec, variable: Mapping[str, Any], known: Mapping[str, str], facts: Facts
) -> str | None:
    source = variable.get("valueFrom")
    if not source:
        return expand(variable.get("value") or "", known)
    if source.get("fieldRef"):
        return field_value(pod, source["fieldRef"]["fieldPath"], facts.pod_ips, facts.host_ips)
    if source.get("resourceFieldRef"):
        return resource_value(pod, spec["name"], source["resourceFieldRef"], facts.allocatable)
    if source.get("configMapKeyRef"):
        ref = source["configMapKeyRef"]
        obj = _object("configmap", ref, facts.config_maps)
        return _key(pod, "ConfigMap", ref, (obj or {}).get("data") or {}, missing=obj is None)
    if source.get("secretKeyRef"):
        ref = source["secretKeyRef"]
        obj = _object("secret", ref, facts.secrets)
        raw = _key(pod, "Secret", ref, (obj or {}).get("data") or {}, missing=obj is None)
        return None if raw is None else decode(raw)
    return None


def _object(kind: str, ref: Mapping[str, Any], table: Mapping[str, dict[str, Any] | None]) -> dict[str, Any] | None:
    obj = table.get(ref["name"])
    if obj is None and not ref.get("optional"):
        raise ConfigError(CONFIG_ERROR, f'{kind} "{ref["name"]}" not found')
    return obj


def _key(pod: Pod, kind: str, ref: Mapping[str, Any], data: Mapping[str, str], *, missing: bool) -> str | None:
    if ref["key"] in data:
        return data[ref["key"]]
    if missing or ref.get("optional"):
        return None
    raise ConfigError(CONFIG_ERROR, f"couldn't find key {ref['key']} in {kind} {pod_namespace(pod)}/{ref['name']}")


def decode(value: str) -> str:
    """A Secret's value as the text of a variable."""
    return base64.b64decode(value).decode(errors="surrogateescape")

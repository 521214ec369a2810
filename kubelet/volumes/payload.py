"""What the files of a volume hold: ConfigMaps, Secrets, downward API and projections as one table. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubelet.config.errors import ConfigError
from kubelet.config.fieldref import field_value, resource_value
from kubelet.podspec import Pod
from kubelet.volumes.errors import VolumeError

DEFAULT_MODE = 0o644


@dataclass(frozen=True, slots=True)
class Item:
    """One file. ``owner`` only for tokens that a user other than root must read."""

    content: bytes
    mode: int = DEFAULT_MODE
    owner: int | None = None


Payload = dict[str, Item]


@dataclass(frozen=True, slots=True)
class VolumeFacts:
    """What was fetched for a pod's volumes. A missing object is in its table as None."""

    config_maps: Mapping[str, dict[str, Any] | None]
    secrets: Mapping[str, dict[str, Any] | None]
    tokens: Mapping[tuple[str, int], str]
    trust_bundles: Mapping[str, str]
    pod_ips: tuple[str, ...] = ()
    host_ips: tuple[str, ...] = ()
    allocatable: Mapping[str, str] | None = None


def referenced_objects(volume: Mapping[str, Any]) -> set[tuple[str, str]]:
    """(plural, name) of the objects that a volume reads."""
    found: set[tuple[str, str]] = set()
    if volume.get("configMap"):
        found.add(("configmaps", volume["configMap"]["name"]))
    if volume.get("secret"):
        found.add(("secrets", volume["secret"]["secretName"]))
    for source in (volume.get("projected") or {}).get("sources") or ():
        for key, plural in (("configMap", "configmaps"), ("secret", "secrets")):
            if source.get(key):
                found.add((plural, source[key]["name"]))
    return found


def token_requests(volume: Mapping[str, Any]) -> list[tuple[str, int]]:
    """(audience, seconds) of every service-account token that a volume projects."""
    sources = (volume.get("projected") or {}).get("sources") or ()
    return [token_key(s["serviceAccountToken"]) for s in sources if s.get("serviceAccountToken")]


def token_key(source: Mapping[str, Any]) -> tuple[str, int]:
    return source.get("audience") or "", int(source.get("expirationSeconds") or 3600)


def compute_payload(pod: Pod, volume: Mapping[str, Any], facts: VolumeFacts) -> Payload:
    """The files of one volume. Raises `VolumeError`."""
    if volume.get("configMap"):
        source = volume["configMap"]
        return config_map_files(source, source["name"], _mode(source, DEFAULT_MODE), facts)
    if volume.get("secret"):
        source = volume["secret"]
        return secret_files(source, source["secretName"], _mode(source, DEFAULT_MODE), facts)
    if volume.get("downwardAPI"):
        source = volume["downwardAPI"]
        return downward_files(pod, source, _mode(source, DEFAULT_MODE), facts)
    projected = volume["projected"]
    mode = _mode(projected, DEFAULT_MODE)
    payload: Payload = {}
    for source in projected.get("sources") or ():
        payload |= _projected_files(pod, source, mode, facts)
    return payload


def _projected_files(pod: Pod, source: Mapping[str, Any], mode: int, facts: VolumeFacts) -> Payload:
    if source.get("configMap"):
        return config_map_files(source["configMap"], source["configMap"]["name"], mode, facts)
    if source.get("secret"):
        return secret_files(source["secret"], source["secret"]["name"], mode, facts)
    if source.get("downwardAPI"):
        return downward_files(pod, source["downwardAPI"], mode, facts)
    if source.get("serviceAccountToken"):
        wanted = source["serviceAccountToken"]
        return {wanted["path"]: token_file(pod, facts.tokens[token_key(wanted)], mode)}
    if source.get("clusterTrustBundle"):
        wanted = source["clusterTrustBundle"]
        bundle = facts.trust_bundles.get(wanted.get("name") or "")
        if bundle is None and wanted.get("optional"):
            return {}
        if bundle is None:
            raise VolumeError(f"clustertrustbundle {wanted.get('name') or wanted.get('signerName')!r} not found")
        return {wanted["path"]: Item(bundle.encode(), mode)}
    raise VolumeError("projected source is not supported")


def token_file(pod: Pod, token: str, mode: int) -> Item:
    """Readable by all, unless the pod says who its user or group is."""
    has_group = (pod["spec"].get("securityContext") or {}).get("fsGroup") is not None
    user = common_user(pod)
    return Item(token.encode(), 0o600 if has_group or user is not None else mode, user)


def common_user(pod: Pod) -> int | None:
    """The user of every container, when they all name the same one."""
    default = (pod["spec"].get("securityContext") or {}).get("runAsUser")
    users = set()
    for spec in [*(pod["spec"].get("initContainers") or ()), *(pod["spec"].get("containers") or ())]:
        own = (spec.get("securityContext") or {}).get("runAsUser")
        users.add(default if own is None else own)
    only = users.pop() if len(users) == 1 else None
    return None if only is None else int(only)


def config_map_files(source: Mapping[str, Any], name: str, mode: int, facts: VolumeFacts) -> Payload:
    obj = facts.config_maps.get(name)
    if obj is None:
        if source.get("optional"):
            return {}
        raise VolumeError(f'configmap "{name}" not found')
    data = {key: value.encode() for key, value in (obj.get("data") or {}).items()}
    data |= {key: base64.b64decode(value) for key, value in (obj.get("binaryData") or {}).items()}
    return _select(data, source, mode, "configmap references non-existent config key")


def secret_files(source: Mapping[str, Any], name: str, mode: int, facts: VolumeFacts) -> Payload:
    obj = facts.secrets.get(name)
    if obj is None:
        if source.get("optional"):
            return {}
        raise VolumeError(f'secret "{name}" not found')
    data = {key: base64.b64decode(value) for key, value in (obj.get("data") or {}).items()}
    return _select(data, source, mode, "references non-existent secret key")


def _select(data: Mapping[str, bytes], source: Mapping[str, Any], mode: int, missing: str) -> Payload:
    items = source.get("items")
    if not items:
        return {key: Item(value, mode) for key, value in data.items()}
    payload: Payload = {}
    for item in items:
        if item["key"] not in data:
            if source.get("optional"):
                continue
            raise VolumeError(f"{missing}: {item['key']}")
        payload[item["path"]] = Item(data[item["key"]], mode if item.get("mode") is None else int(item["mode"]))
    return payload


def downward_files(pod: Pod, source: Mapping[str, Any], mode: int, facts: VolumeFacts) -> Payload:
    payload: Payload = {}
    for item in source.get("items") or ():
        try:
            if item.get("fieldRef"):
                text = field_value(pod, item["fieldRef"]["fieldPath"], facts.pod_ips, facts.host_ips)
            else:
                text = resource_value(pod, "", item["resourceFieldRef"], facts.allocatable or {})
        except ConfigError as error:
            raise VolumeError(error.message) from error
        payload[item["path"]] = Item(text.encode(), mode if item.get("mode") is None else int(item["mode"]))
    return payload


def _mode(source: Mapping[str, Any], default: int) -> int:
    value = source.get("defaultMode")
    return default if value is None else int(value)


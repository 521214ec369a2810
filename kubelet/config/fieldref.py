"""The downward API: a pod's own fields and resources as text, for variables and for files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kubelet.config.errors import ConfigError
from kubelet.podspec import Pod, find_container
from machinery.meta.quantity import parse_quantity

_SUBSCRIPT = re.compile(r"^metadata\.(labels|annotations)\['(.*)'\]$")


def quote(value: str) -> str:
    """A string in double quotes with Go's escapes, as the files of the downward API print values."""
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\a": "\\a", "\b": "\\b",
               "\f": "\\f", "\v": "\\v"}  # fmt: skip
    out = [escapes.get(c, c if c.isprintable() else f"\\x{ord(c):02x}" if ord(c) < 0x80 else f"\\u{ord(c):04x}")
           for c in value]  # fmt: skip
    return '"' + "".join(out) + '"'


def field_value(pod: Pod, path: str, pod_ips: tuple[str, ...] = (), host_ips: tuple[str, ...] = ()) -> str:
    """The text of one ``fieldPath``. Raises `ConfigError` for a path that pods do not have."""
    meta, spec = pod["metadata"], pod["spec"]
    match = _SUBSCRIPT.match(path)
    if match:
        return str((meta.get(match.group(1)) or {}).get(match.group(2), ""))
    if path in ("metadata.labels", "metadata.annotations"):
        values = meta.get(path.removeprefix("metadata.")) or {}
        return "\n".join(f"{key}={quote(value)}" for key, value in sorted(values.items()))
    simple = {
        "metadata.name": meta["name"],
        "metadata.namespace": meta.get("namespace", ""),
        "metadata.uid": meta.get("uid", ""),
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "status.hostIP": host_ips[0] if host_ips else "",
        "status.hostIPs": ",".join(host_ips),
        "status.podIP": pod_ips[0] if pod_ips else "",
        "status.podIPs": ",".join(pod_ips),
    }
    if path not in simple:
        raise ConfigError("CreateContainerConfigError", f"unsupported fieldPath: {path}")
    return str(simple[path])


def resource_value(pod: Pod, container_name: str, ref: Mapping[str, Any], allocatable: Mapping[str, str]) -> str:
    """The text of one ``resourceFieldRef``: rounded up to the divisor; without a limit the node's allocatable."""
    spec = find_container(pod, ref.get("containerName") or container_name)
    if spec is None:
        raise ConfigError("CreateContainerConfigError", f"container {ref.get('containerName')} not found")
    kind, _, resource = str(ref.get("resource", "")).partition(".")
    if kind not in ("limits", "requests") or not resource:
        raise ConfigError("CreateContainerConfigError", f"unsupported container resource: {ref.get('resource')}")
    resources = spec.get("resources") or {}
    amount = (resources.get(kind) or {}).get(resource)
    if amount is None and kind == "limits":
        amount = allocatable.get(resource)
    divisor = parse_quantity(ref.get("divisor") or "1")
    if divisor.is_zero():
        divisor = parse_quantity("1")
    if resource == "cpu":
        return _divide_up(parse_quantity(amount or "0").milli_value(), divisor.milli_value())
    return _divide_up(parse_quantity(amount or "0").value(), divisor.value())


def _divide_up(amount: int, divisor: int) -> str:
    return str(-(-amount // max(divisor, 1)))

"""Containers and volumes, of pods and of templates."""

from __future__ import annotations

import re
from typing import Any

from cli.objects.describe.writer import NONE, Writer, shown_time

Object = dict[str, Any]


def write_containers(
    out: Writer, title: str, containers: list[Object], statuses: list[Object], level: int, pod: Object | None = None
) -> None:
    """``pod``: whose containers they are; a template has none, and nothing to fill its field references with."""
    by_name = {status["name"]: status for status in statuses}
    out.line(level, f"{title}:")
    for container in containers:
        out.line(inside(level), f"{container['name']}:")
        _write_container(out, container, by_name.get(container["name"]), FIELDS, pod)


#: Fields of a container or volume stand at the same place in a pod and in a template; only the names do not.
FIELDS = 2


def inside(level: int) -> float:
    return level + 0.5 if level else 1


def _write_container(
    out: Writer, container: Object, status: Object | None, level: float, pod: Object | None
) -> None:
    if status is not None:
        out.field("Container ID", status.get("containerID", ""), level)
    out.field("Image", container.get("image", ""), level)
    if status is not None:
        out.field("Image ID", status.get("imageID", ""), level)
    ports = container.get("ports") or []
    many = "s" if len(ports) > 1 else ""
    out.field(f"Port{many}", ", ".join(_port(p, p["containerPort"]) for p in ports) or NONE, level)
    out.field(f"Host Port{many}", ", ".join(_port(p, p.get("hostPort", 0)) for p in ports) or NONE, level)
    for name, key in (("Command", "command"), ("Args", "args")):
        if container.get(key):
            out.line(level, f"{name}:")
            for word in container[key]:
                for line in str(word).split("\n"):
                    out.line(level + 1, line)
    if status is not None:
        _write_state(out, "State", status.get("state") or {}, level)
        if status.get("lastState"):
            _write_state(out, "Last State", status["lastState"], level)
        out.field("Ready", str(bool(status.get("ready"))), level)
        out.field("Restart Count", status.get("restartCount", 0), level)
    resources = container.get("resources") or {}
    for name, key in (("Limits", "limits"), ("Requests", "requests")):
        if resources.get(key):
            out.line(level, f"{name}:")
            for resource, amount in sorted(resources[key].items()):
                out.field(resource, amount, level + 1)
    for name, key in (("Liveness", "livenessProbe"), ("Readiness", "readinessProbe"), ("Startup", "startupProbe")):
        if container.get(key):
            out.field(name, probe_text(container[key]), level)
    if container.get("envFrom"):
        out.line(level, "Environment Variables from:")
        for source in container["envFrom"]:
            kind, key = ("ConfigMap", "configMapRef") if "configMapRef" in source else ("Secret", "secretRef")
            optional = bool(source[key].get("optional"))
            out.line(level + 1, source[key]["name"], kind, f"Optional: {str(optional).lower()}")
    _write_environment(out, container.get("env") or [], level, pod)
    mounts = sorted(container.get("volumeMounts") or [], key=lambda mount: mount["mountPath"])
    if not mounts:
        out.field("Mounts", NONE, level)
        return
    out.line(level, "Mounts:")
    for mount in mounts:
        flags = ["ro" if mount.get("readOnly") else "rw"]
        if mount.get("subPath"):
            flags.append(f'path="{mount["subPath"]}"')
        out.line(level + 1, f"{mount['mountPath']} from {mount['name']} ({','.join(flags)})")


def _port(port: Object, number: int) -> str:
    text = f"{number}/{port.get('protocol', 'TCP')}"
    return f"{text} ({port['name']})" if port.get("name") else text


def _write_state(out: Writer, name: str, state: Object, level: float) -> None:
    if "running" in state:
        out.field(name, "Running", level)
        out.field("Started", shown_time(state["running"].get("startedAt")), level + 1)
    elif "terminated" in state:
        ended = state["terminated"]
        out.field(name, "Terminated", level)
        for title, key in (("Reason", "reason"), ("Message", "message")):
            if ended.get(key):
                out.field(title, ended[key], level + 1)
        out.field("Exit Code", ended.get("exitCode", 0), level + 1)
        if ended.get("signal"):
            out.field("Signal", ended["signal"], level + 1)
        out.field("Started", shown_time(ended.get("startedAt")), level + 1)
        out.field("Finished", shown_time(ended.get("finishedAt")), level + 1)
    else:
        out.field(name, "Waiting", level)
        reason = (state.get("waiting") or {}).get("reason")
        if reason:
            out.field("Reason", reason, level + 1)


def probe_text(probe: Object) -> str:
    times = (f"delay={probe.get('initialDelaySeconds', 0)}s timeout={probe.get('timeoutSeconds', 0)}s "
             f"period={probe.get('periodSeconds', 0)}s #success={probe.get('successThreshold', 0)} "
             f"#failure={probe.get('failureThreshold', 0)}")  # fmt: skip
    if "httpGet" in probe:
        get = probe["httpGet"]
        url = f"{get.get('scheme', 'HTTP').lower()}://{get.get('host', '')}:{get['port']}{get.get('path', '')}"
        return f"http-get {url} {times}"
    if "exec" in probe:
        return f"exec [{' '.join(probe['exec'].get('command') or ())}] {times}"
    if "tcpSocket" in probe:
        return f"tcp-socket {probe['tcpSocket'].get('host', '')}:{probe['tcpSocket']['port']} {times}"
    grpc = probe.get("grpc") or {}
    return f"grpc <pod>:{grpc.get('port')} {grpc.get('service') or ''} {times}"


def _write_environment(out: Writer, env: list[Object], level: float, pod: Object | None) -> None:
    if not env:
        out.field("Environment", NONE, level)
        return
    out.line(level, "Environment:")
    for variable in env:
        out.field(variable["name"], _value(variable, pod), level + 1)


def _value(variable: Object, pod: Object | None) -> str:
    source = variable.get("valueFrom")
    if not source:
        return str(variable.get("value", ""))
    if "fieldRef" in source:
        path = source["fieldRef"]["fieldPath"]
        return f"{_field(pod, path) if pod else ''} ({source['fieldRef'].get('apiVersion', 'v1')}:{path})"
    if "resourceFieldRef" in source:
        return f"({source['resourceFieldRef']['resource']})"
    kind, key = ("config map", "configMapKeyRef") if "configMapKeyRef" in source else ("secret", "secretKeyRef")
    reference = source.get(key) or {}
    optional = str(bool(reference.get("optional"))).lower()
    return f"<set to the key '{reference.get('key')}' of {kind} '{reference.get('name')}'>  Optional: {optional}"


def _field(pod: Object, path: str) -> str:
    """What the pod itself says of them; the others are the node's to know."""
    subscript = re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path)
    if subscript:
        return str((pod["metadata"].get(subscript[1]) or {}).get(subscript[2], ""))
    return str(pod["metadata"].get(path.removeprefix("metadata."), "")) if path.startswith("metadata.") else ""


_VOLUMES: dict[str, tuple[str, str, tuple[tuple[str, str], ...]]] = {
    "emptyDir": ("EmptyDir", "a temporary directory that shares a pod's lifetime",
                 (("Medium", "medium"), ("SizeLimit", "sizeLimit"))),
    "hostPath": ("HostPath", "bare host directory volume", (("Path", "path"), ("HostPathType", "type"))),
    "configMap": ("ConfigMap", "a volume populated by a ConfigMap", (("Name", "name"), ("Optional", "optional"))),
    "secret": ("Secret", "a volume populated by a Secret", (("SecretName", "secretName"), ("Optional", "optional"))),
    "persistentVolumeClaim": ("PersistentVolumeClaim", "a reference to a PersistentVolumeClaim in the same namespace",
                              (("ClaimName", "claimName"), ("ReadOnly", "readOnly"))),
    "projected": ("Projected", "a volume that contains injected data from multiple sources", ()),
    "downwardAPI": ("DownwardAPI", "a volume populated by information about the pod", ()),
}  # fmt: skip


def write_volumes(out: Writer, volumes: list[Object], level: int) -> None:
    if not volumes:
        out.field("Volumes", NONE, level)
        return
    out.line(level, "Volumes:")
    for volume in volumes:
        out.line(inside(level), f"{volume['name']}:")
        kind = next((key for key in volume if key != "name"), "emptyDir")
        title, words, fields = _VOLUMES.get(kind, (kind, "", ()))
        out.field("Type", f"{title} ({words})" if words else title, FIELDS)
        for name, key in fields:
            default = {"optional": False, "readOnly": False, "sizeLimit": "<unset>"}.get(key, "")
            value = (volume.get(kind) or {}).get(key, default)
            out.field(name, str(value).lower() if isinstance(value, bool) else value, FIELDS)
        if kind == "projected":
            _write_projected(out, volume["projected"].get("sources") or [], FIELDS)


def _write_projected(out: Writer, sources: list[Object], level: float) -> None:
    for source in sources:
        if "serviceAccountToken" in source:
            out.field("TokenExpirationSeconds", source["serviceAccountToken"].get("expirationSeconds"), level)
        elif "configMap" in source:
            out.field("ConfigMapName", source["configMap"].get("name"), level)
            optional = source["configMap"].get("optional")
            out.field("Optional", "false" if optional is None else str(optional).lower(), level)
        elif "secret" in source:
            out.field("SecretName", source["secret"].get("name"), level)
        elif "downwardAPI" in source:
            out.field("DownwardAPI", "true", level)

"""Defaults of pods and of everything that contains a pod template."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from machinery.api.defaults.fill import fill, fill_zero, items, section

Object = dict[str, Any]

_HANDLERS = ("postStart", "preStop")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_DIGEST = re.compile(r"@[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,}$")
_PULLED_ONCE = "IfNotPresent"


def default_pod(pod: Object) -> None:
    spec = section(pod, "spec")
    for container in _containers(spec):
        _default_requests(container)
    _default_pod_resources(spec)
    fill(spec, "enableServiceLinks", True)
    default_pod_spec(spec)
    if spec.get("hostNetwork"):
        _default_host_ports(spec)


def default_pod_template(template: Object) -> None:
    spec = section(template, "spec")
    default_pod_spec(spec)
    if spec.get("hostNetwork"):
        _default_host_ports(spec)


def default_pod_spec(spec: Object) -> None:
    for volume in items(spec, "volumes"):
        default_volume(volume)
    for container in _containers(spec, ephemeral=True):
        default_container(container)
    fill_zero(spec, "dnsPolicy", "ClusterFirst")
    fill_zero(spec, "restartPolicy", "Always")
    fill(spec, "terminationGracePeriodSeconds", 30)
    fill(spec, "securityContext", {})
    fill_zero(spec, "schedulerName", "default-scheduler")
    for constraint in items(spec, "topologySpreadConstraints"):
        fill_zero(constraint, "whenUnsatisfiable", "DoNotSchedule")
    # The two names of one field mirror each other; the newer one wins.
    name = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if name:
        spec["serviceAccountName"] = spec["serviceAccount"] = name


def default_container(container: Object) -> None:
    if not container.get("imagePullPolicy"):
        container["imagePullPolicy"] = pull_policy(container.get("image") or "")
    fill_zero(container, "terminationMessagePath", "/dev/termination-log")
    fill_zero(container, "terminationMessagePolicy", "File")
    for port in items(container, "ports"):
        fill_zero(port, "protocol", "TCP")
    for variable in items(container, "env"):
        reference = (variable.get("valueFrom") or {}).get("fieldRef")
        if reference is not None:
            fill_zero(reference, "apiVersion", "v1")
        file_key = (variable.get("valueFrom") or {}).get("fileKeyRef")
        if file_key is not None:
            fill(file_key, "optional", False)
    for name in _PROBES:
        if container.get(name) is not None:
            _default_probe(container[name])
    for name in _HANDLERS:
        handler = (container.get("lifecycle") or {}).get(name)
        if handler is not None:
            _default_http(handler)
    context = container.get("securityContext")
    if context is not None and context.get("procMount") == "":
        del context["procMount"]


def pull_policy(image: str) -> str:
    """Always for ``:latest`` and for images without tag and digest, IfNotPresent for the rest."""
    if _DIGEST.search(image):
        return _PULLED_ONCE
    tag = image.rpartition("/")[2].partition("@")[0].partition(":")[2]
    return "Always" if tag in ("", "latest") else _PULLED_ONCE


def _default_probe(probe: Object) -> None:
    fill_zero(probe, "timeoutSeconds", 1)
    fill_zero(probe, "periodSeconds", 10)
    fill_zero(probe, "successThreshold", 1)
    fill_zero(probe, "failureThreshold", 3)
    _default_http(probe)
    if probe.get("grpc") is not None:
        fill(probe["grpc"], "service", "")


def _default_http(handler: Object) -> None:
    http = handler.get("httpGet")
    if http is not None:
        fill_zero(http, "path", "/")
        fill_zero(http, "scheme", "HTTP")


def _default_requests(container: Object) -> None:
    """A limit without a request is the request too."""
    resources = container.get("resources") or {}
    limits = resources.get("limits")
    if limits:
        requests = dict(resources.get("requests") or {})
        for name, quantity in limits.items():
            requests.setdefault(name, quantity)
        resources["requests"] = requests


def _default_pod_resources(spec: Object) -> None:
    """The same at the level of the pod, but only where containers do not ask for the resource themselves."""
    resources = spec.get("resources") or {}
    limits = resources.get("limits")
    if not limits:
        return
    asked = {name for one in _containers(spec) for name in ((one.get("resources") or {}).get("requests") or {})}
    requests = dict(resources.get("requests") or {})
    for name, quantity in limits.items():
        if name not in asked or name.startswith("hugepages-"):
            requests.setdefault(name, quantity)
    if requests:
        resources["requests"] = requests


def _default_host_ports(spec: Object) -> None:
    for container in _containers(spec):
        for port in items(container, "ports"):
            fill_zero(port, "hostPort", port.get("containerPort", 0))


def _containers(spec: Object, *, ephemeral: bool = False) -> Iterator[Object]:
    yield from items(spec, "initContainers")
    yield from items(spec, "containers")
    if ephemeral:
        yield from items(spec, "ephemeralContainers")




def default_volume(volume: Object) -> None:
    source = next((name for name in volume if name != "name" and volume[name] is not None), None)
    if source is None:
        volume["emptyDir"] = {}
        return
    body = volume[source]
    if source in ("secret", "configMap", "downwardAPI", "projected"):
        fill(body, "defaultMode", 0o644)
    if source == "downwardAPI":
        _default_downward_items(body)
    elif source == "projected":
        for projection in items(body, "sources"):
            _default_projection(projection)
    elif source == "ephemeral":
        template = body.get("volumeClaimTemplate")
        if template is not None:
            fill(section(template, "spec"), "volumeMode", "Filesystem")
    elif source == "image":
        fill_zero(body, "pullPolicy", pull_policy(body.get("reference") or ""))
    else:
        default_volume_source(source, body)


def default_volume_source(source: str, body: Object) -> None:
    """Sources that volumes of pods and persistent volumes share."""
    if source == "hostPath":
        fill(body, "type", "")
    elif source == "iscsi":
        fill_zero(body, "iscsiInterface", "default")
    elif source == "rbd":
        fill_zero(body, "pool", "rbd")
        fill_zero(body, "user", "admin")
        fill_zero(body, "keyring", "/etc/ceph/keyring")
    elif source == "azureDisk":
        fill(body, "cachingMode", "ReadWrite")
        fill(body, "kind", "Shared")
        fill(body, "fsType", "ext4")
        fill(body, "readOnly", False)
    elif source == "scaleIO":
        fill_zero(body, "storageMode", "ThinProvisioned")
        fill_zero(body, "fsType", "xfs")


def _default_projection(projection: Object) -> None:
    token = projection.get("serviceAccountToken")
    if token is not None:
        fill(token, "expirationSeconds", 3600)
    if projection.get("downwardAPI") is not None:
        _default_downward_items(projection["downwardAPI"])


def _default_downward_items(body: Object) -> None:
    for item in items(body, "items"):
        if item.get("fieldRef") is not None:
            fill_zero(item["fieldRef"], "apiVersion", "v1")


def _default_template_kind(obj: Object) -> None:
    default_pod_template(section(obj, "template"))


DEFAULTS = {("v1", "Pod"): default_pod, ("v1", "PodTemplate"): _default_template_kind}

"""Containers: regular, init and ephemeral ones share most rules."""

from __future__ import annotations

from typing import Any

from apiserver.validation.field import Errors, Object
from apiserver.validation.pods.environment import validate_env, validate_env_from
from apiserver.validation.pods.probes import validate_lifecycle, validate_probe
from apiserver.validation.pods.resources import validate_requirements
from apiserver.validation.pods.security import validate_container_security
from apiserver.validation.pods.volumes import no_backsteps
from machinery.meta import names

_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_NOT_FOR_INIT = "may not be set for init containers without restartPolicy=Always"


def validate_containers(errors: Errors, path: str, containers: list[Object], spec: Object, volumes: Object,
                        claims: frozenset[str]) -> None:
    if not containers:
        errors.required(path)
        return
    seen: set[str] = set()
    grace = spec.get("terminationGracePeriodSeconds") or 0
    for i, container in enumerate(containers):
        where = f"{path}[{i}]"
        _validate_common(errors, where, container, spec, volumes, claims)
        name = container.get("name") or ""
        if name in seen:
            errors.duplicate(where + ".name", name)
        seen.add(name)
        validate_lifecycle(errors, where + ".lifecycle", container.get("lifecycle"), grace)
        for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
            validate_probe(errors, f"{where}.{probe}", container.get(probe), probe)
        _validate_restart_policy(errors, where, container)
    _validate_host_ports(errors, path, containers)


def _validate_restart_policy(errors: Errors, path: str, container: Object) -> None:
    policy, rules = container.get("restartPolicy"), container.get("restartPolicyRules")
    if policy is not None and policy not in ("Always", "OnFailure", "Never"):
        errors.not_supported(path + ".restartPolicy", policy, ("Always", "Never", "OnFailure"))
    if rules and policy is None:
        errors.required(path + ".restartPolicy", "must specify restartPolicy when restart rules are used")


def validate_init_containers(errors: Errors, path: str, containers: list[Object], spec: Object, volumes: Object,
                             claims: frozenset[str], regular: list[Object]) -> None:
    taken = {container.get("name") or "" for container in regular}
    grace = spec.get("terminationGracePeriodSeconds") or 0
    for i, container in enumerate(containers):
        where = f"{path}[{i}]"
        _validate_common(errors, where, container, spec, volumes, claims)
        policy = container.get("restartPolicy")
        if policy is not None and policy not in ("Always", "OnFailure", "Never"):
            errors.not_supported(where + ".restartPolicy", policy, ("Always", "Never", "OnFailure"))
        name = container.get("name") or ""
        if name and name in taken:
            errors.duplicate(where + ".name", name)
        taken.add(name)
        _validate_host_ports(errors, where, [container])
        if policy == "Always":
            validate_lifecycle(errors, where + ".lifecycle", container.get("lifecycle"), grace)
            for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
                validate_probe(errors, f"{where}.{probe}", container.get(probe), probe)
        else:
            for field in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
                if container.get(field) is not None:
                    errors.forbidden(f"{where}.{field}", _NOT_FOR_INIT)


def validate_ephemeral_containers(
    errors: Errors, path: str, containers: list[Object], spec: Object, volumes: Object,
) -> None:
    everyone = (spec.get("containers") or []) + (spec.get("initContainers") or [])
    taken = {container.get("name") or "" for container in everyone}
    targets = set(taken)
    for i, container in enumerate(containers):
        where = f"{path}[{i}]"
        name = container.get("name") or ""
        _validate_common(errors, where, container, spec, volumes, frozenset())
        if name in taken:
            errors.duplicate(where + ".name", name)
        taken.add(name)
        target = container.get("targetContainerName")
        if target and target not in targets:
            errors.not_found(where + ".targetContainerName", target)
        for field in ("ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle"):
            if container.get(field):
                errors.forbidden(f"{where}.{field}", "cannot be set for an Ephemeral Container")
        if any((container.get("resources") or {}).values()):
            errors.forbidden(where + ".resources", "cannot be set for an Ephemeral Container")
        if container.get("restartPolicy") is not None:
            errors.forbidden(where + ".restartPolicy", "cannot be set for an Ephemeral Container")
        for j, mount in enumerate(container.get("volumeMounts") or ()):
            for field in ("subPath", "subPathExpr"):
                if mount.get(field):
                    errors.forbidden(f"{where}.volumeMounts[{j}].{field}", "cannot be set for an Ephemeral Container")


def _validate_common(errors: Errors, path: str, container: Object, spec: Object, volumes: Object,
                     claims: frozenset[str]) -> None:
    name, image = container.get("name") or "", container.get("image") or ""
    if not name:
        errors.required(path + ".name")
    else:
        errors.invalid_all(path + ".name", name, names.dns1123_label(name))
    if not image:
        errors.required(path + ".image")
    elif image != image.strip():
        errors.invalid(path + ".image", image, "must not have leading or trailing whitespace")
    policy = container.get("terminationMessagePolicy") or ""
    if not policy:
        errors.required(path + ".terminationMessagePolicy")
    elif policy not in ("FallbackToLogsOnError", "File"):
        errors.not_supported(path + ".terminationMessagePolicy", policy, ("File", "FallbackToLogsOnError"))
    if container.get("ports"):
        _validate_ports(errors, path + ".ports", container["ports"])
    if container.get("env"):
        validate_env(errors, path + ".env", container["env"])
    if container.get("envFrom"):
        validate_env_from(errors, path + ".envFrom", container["envFrom"])
    if container.get("volumeMounts"):
        _validate_mounts(errors, path + ".volumeMounts", container, volumes)
    if container.get("volumeDevices"):
        _validate_devices(errors, path + ".volumeDevices", container, volumes)
    pull = container.get("imagePullPolicy") or ""
    if not pull:
        errors.required(path + ".imagePullPolicy")
    elif pull not in _PULL_POLICIES:
        errors.not_supported(path + ".imagePullPolicy", pull, _PULL_POLICIES)
    if container.get("resources"):
        validate_requirements(errors, path + ".resources", container["resources"], claims)
    if container.get("resizePolicy"):
        _validate_resize(errors, path + ".resizePolicy", container["resizePolicy"], spec.get("restartPolicy"))
    validate_container_security(
        errors, path + ".securityContext", container.get("securityContext"), spec.get("hostUsers")
    )


def _validate_ports(errors: Errors, path: str, ports: list[Object]) -> None:
    seen: set[str] = set()
    for i, port in enumerate(ports):
        where = f"{path}[{i}]"
        name = port.get("name") or ""
        if name:
            complaints = names.port_name(name)
            if complaints:
                errors.invalid_all(where + ".name", name, complaints)
            elif name in seen:
                errors.duplicate(where + ".name", name)
            else:
                seen.add(name)
        number = port.get("containerPort") or 0
        if not number:
            errors.required(where + ".containerPort")
        else:
            errors.port(where + ".containerPort", number)
        if port.get("hostPort"):
            errors.port(where + ".hostPort", port["hostPort"])
        protocol = port.get("protocol") or ""
        if not protocol:
            errors.required(where + ".protocol")
        elif protocol not in _PROTOCOLS:
            errors.not_supported(where + ".protocol", protocol, _PROTOCOLS)


def _validate_host_ports(errors: Errors, path: str, containers: list[Object]) -> None:
    taken: set[str] = set()
    for i, container in enumerate(containers):
        for j, port in enumerate(container.get("ports") or ()):
            if port.get("hostPort"):
                text = f"{port.get('protocol')}/{port.get('hostIP') or ''}/{port['hostPort']}"
                if text in taken:
                    errors.duplicate(f"{path}[{i}].ports[{j}].hostPort", text)
                taken.add(text)


def _validate_mounts(errors: Errors, path: str, container: Object, volumes: Object) -> None:
    points: set[str] = set()
    devices = {device.get("name"): device.get("devicePath") for device in container.get("volumeDevices") or ()}
    device_paths = set(devices.values())
    for i, mount in enumerate(container["volumeMounts"]):
        where = f"{path}[{i}]"
        name, point = mount.get("name") or "", mount.get("mountPath") or ""
        if not name:
            errors.required(where + ".name")
        if name not in volumes:
            errors.not_found(where + ".name", name)
        if not point:
            errors.required(where + ".mountPath")
        if point in points:
            errors.invalid(where + ".mountPath", point, "must be unique")
        points.add(point)
        if name in devices:
            errors.invalid(where + ".name", name, "must not already exist in volumeDevices")
        if point in device_paths:
            errors.invalid(where + ".mountPath", point, "must not already exist as a path in volumeDevices")
        if mount.get("subPath"):
            _local(errors, path + ".subPath", mount["subPath"])
        if mount.get("subPathExpr"):
            if mount.get("subPath"):
                errors.invalid(
                    path + ".subPathExpr", mount["subPathExpr"], "subPathExpr and subPath are mutually exclusive"
                )
            _local(errors, path + ".subPathExpr", mount["subPathExpr"])
        propagation = mount.get("mountPropagation")
        if propagation is not None:
            _propagation(errors, path + ".mountPropagation", propagation, container)
        recursive = mount.get("recursiveReadOnly")
        if recursive is not None and recursive not in ("Disabled", "Enabled", "IfPossible"):
            errors.not_supported(where + ".recursiveReadOnly", recursive, ("Disabled", "Enabled", "IfPossible"))


def _local(errors: Errors, path: str, value: str) -> None:
    if value.startswith("/"):
        errors.invalid(path, value, "must be a relative path")
    no_backsteps(errors, path, value)


def _propagation(errors: Errors, path: str, value: str, container: Object) -> None:
    supported = ("Bidirectional", "HostToContainer", "None")
    if value not in supported:
        errors.not_supported(path, value, supported)
    if value == "Bidirectional" and not (container.get("securityContext") or {}).get("privileged"):
        errors.forbidden(path, "Bidirectional mount propagation is available only to privileged containers")


def _validate_devices(errors: Errors, path: str, container: Object, volumes: Object) -> None:
    paths: set[str] = set()
    names_seen: set[str] = set()
    mounts: dict[Any, Any] = {m.get("name"): m.get("mountPath") for m in container.get("volumeMounts") or ()}
    points = set(mounts.values())
    for i, device in enumerate(container["volumeDevices"]):
        where = f"{path}[{i}]"
        name, device_path = device.get("name") or "", device.get("devicePath") or ""
        if not name:
            errors.required(where + ".name")
        if name in names_seen:
            errors.invalid(where + ".name", name, "must be unique")
        volume = volumes.get(name)
        if volume is not None and volume.get("persistentVolumeClaim") is None and volume.get("ephemeral") is None:
            errors.invalid(
                where + ".name", name,
                "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            )
        if volume is None:
            errors.not_found(where + ".name", name)
        if not device_path:
            errors.required(where + ".devicePath")
        if device_path in paths:
            errors.invalid(where + ".devicePath", device_path, "must be unique")
        if device_path:
            no_backsteps(errors, where + ".devicePath", device_path)
        paths.add(device_path)
        names_seen.add(name)
        if name in mounts:
            errors.invalid(where + ".name", name, "must not already exist in volumeMounts")
        if device_path in points:
            errors.invalid(where + ".devicePath", device_path, "must not already exist as a path in volumeMounts")


def _validate_resize(errors: Errors, path: str, policies: list[Object], restart: str | None) -> None:
    seen: set[str] = set()
    for policy in policies:
        resource, action = policy.get("resourceName") or "", policy.get("restartPolicy") or ""
        if resource in seen:
            errors.duplicate(path, resource)
        seen.add(resource)
        if not resource:
            errors.required(path)
        elif resource not in ("cpu", "memory"):
            errors.not_supported(path, resource, ("cpu", "memory"))
        if not action:
            errors.required(path)
        elif action not in ("NotRequired", "RestartContainer"):
            errors.not_supported(path, action, ("NotRequired", "RestartContainer"))
        if restart == "Never" and action != "NotRequired":
            errors.invalid(path, action, "must be 'NotRequired' when `restartPolicy` is 'Never'")

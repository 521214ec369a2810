"""The request for a container."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kubelet.config.expansion import expand
from kubelet.config.resources import linux_resources
from kubelet.config.security import container_security
from kubelet.cri import names
from kubelet.logs.paths import container_log_path
from kubelet.podspec import (
    ContainerSpec,
    Pod,
    container_hash,
    grace_period_seconds,
    pod_name,
    pod_namespace,
    pod_uid,
)
from proto import cri_pb2 as cri


@dataclass(frozen=True, slots=True)
class ContainerInputs:
    """What was prepared outside: image, environment, mounts, and the machine's facts."""

    image_ref: str
    image: cri.Image | None
    environment: Mapping[str, str]
    mounts: Sequence[cri.Mount]
    message_file: str
    memory_capacity: int
    seccomp_root: str = ""
    target_id: str = ""


def container_config(
    pod: Pod, spec: ContainerSpec, inputs: ContainerInputs, *, restart_count: int, backoff_step: int
) -> cri.ContainerConfig:
    environment = inputs.environment
    config = cri.ContainerConfig(
        metadata=cri.ContainerMetadata(name=spec["name"], attempt=restart_count),
        image=cri.ImageSpec(image=inputs.image_ref, user_specified_image=spec.get("image", "")),
        command=[expand(word, environment) for word in spec.get("command") or ()],
        args=[expand(word, environment) for word in spec.get("args") or ()],
        working_dir=spec.get("workingDir") or "",
        envs=[
            cri.KeyValue(key=key, value=value.encode(errors="surrogateescape")) for key, value in environment.items()
        ],
        mounts=inputs.mounts,
        labels={
            names.CONTAINER_NAME: spec["name"], names.POD_NAME: pod_name(pod),
            names.POD_NAMESPACE: pod_namespace(pod), names.POD_UID: pod_uid(pod),
        },
        annotations=_annotations(pod, spec, inputs, restart_count, backoff_step),
        log_path=container_log_path(spec["name"], restart_count),
        stdin=bool(spec.get("stdin")),
        stdin_once=bool(spec.get("stdinOnce")),
        tty=bool(spec.get("tty")),
        linux=cri.LinuxContainerConfig(
            resources=linux_resources(pod, spec, inputs.memory_capacity),
            security_context=container_security(
                pod, spec, inputs.image, seccomp_root=inputs.seccomp_root, target_id=inputs.target_id
            ),
        ),
    )  # fmt: skip
    for device in spec.get("volumeDevices") or ():
        config.devices.append(cri.Device(container_path=device["devicePath"], permissions="mrw"))
    signal = (spec.get("lifecycle") or {}).get("stopSignal")
    if signal:
        name = f"SIGNAL_{signal.replace('+', 'PLUS').replace('-', 'MINUS')}"
        config.stop_signal = cri.Signal.Value(name)  # type: ignore[assignment]
    return config


def _annotations(
    pod: Pod, spec: ContainerSpec, inputs: ContainerInputs, restart_count: int, backoff_step: int
) -> dict[str, str]:
    found = {
        names.CONTAINER_HASH: container_hash(spec),
        names.CONTAINER_RESTART_COUNT: str(restart_count),
        names.CONTAINER_BACKOFF: str(backoff_step),
        names.CONTAINER_MESSAGE_PATH: spec.get("terminationMessagePath") or "/dev/termination-log",
        names.CONTAINER_MESSAGE_POLICY: spec.get("terminationMessagePolicy") or "File",
        names.POD_GRACE_PERIOD: str(grace_period_seconds(pod)),
    }
    if inputs.message_file:
        found[names.CONTAINER_MESSAGE_FILE] = inputs.message_file
    return found

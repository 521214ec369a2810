"""Starts one container: image, environment, mounts, create, start, postStart hook; says each step by an event."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import structlog

from kubelet.config.container import ContainerInputs, container_config
from kubelet.config.environment import Facts, compute_environment, referenced_objects
from kubelet.config.errors import ConfigError
from kubelet.config.expansion import expand, unresolved
from kubelet.config.hosts import hosts_file
from kubelet.config.security import check_run_as_non_root
from kubelet.config.serviceenv import service_variables
from kubelet.cri import CriError, Runtime
from kubelet.hooks import run_hook
from kubelet.images.puller import ImageError, ImagePuller
from kubelet.logs.paths import container_log_path, link_name, pod_log_directory
from kubelet.observed import PodRuntime, Sandbox
from kubelet.plan.actions import StartContainer
from kubelet.podspec import ContainerSpec, Pod, find_container, is_host_network, pod_namespace, pod_uid
from kubelet.probes.handlers import Target
from kubelet.settings import Options
from kubelet.source.objects import ObjectReader
from kubelet.volumes.errors import VolumeError
from kubelet.volumes.manager import VolumeManager, fs_group
from kubelet.volumes.paths import container_directory, hosts_path, sub_path_target
from kubelet.volumes.subpath import bind_sub_path
from machinery.client import ConnectError
from machinery.meta.errors import ApiError
from proto import cri_pb2 as cri

log = structlog.get_logger(__name__)

_PROPAGATION = {
    "None": cri.PROPAGATION_PRIVATE,
    "HostToContainer": cri.PROPAGATION_HOST_TO_CONTAINER,
    "Bidirectional": cri.PROPAGATION_BIDIRECTIONAL,
}
#: Volumes that a container can only read, whatever its mount says.
READ_ONLY_KINDS = ("configMap", "secret", "downwardAPI", "projected")

Tell = Callable[[Pod, Literal["Normal", "Warning"], str, str, str], None]


class StartFailed(Exception):
    """``reason`` and ``message`` for the container's status; ``retry_after_seconds`` if the cause knows.

    ``recorded``: the runtime shows the failure as an ended container, so that the restart back-off takes over.
    """

    def __init__(
        self, reason: str, message: str, retry_after_seconds: float | None = None, *, recorded: bool = False
    ) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message
        self.retry_after_seconds, self.recorded = retry_after_seconds, recorded


class NodeView:
    """What containers may learn of their node; filled in by the node's own status."""

    def __init__(self) -> None:
        self.host_ips: tuple[str, ...] = ()
        self.allocatable: Mapping[str, str] = {}
        self.memory_capacity = 1
        self.oom_floor: int | None = None


class ContainerStarter:
    def __init__(
        self, options: Options, runtime: Runtime, puller: ImagePuller, volumes: VolumeManager, objects: ObjectReader,
        services: Callable[[], Iterable[dict[str, Any]]], node: NodeView, tell: Tell,
    ) -> None:  # fmt: skip
        self._options, self._runtime, self._puller, self._volumes = options, runtime, puller, volumes
        self._objects, self._services, self._node, self._tell = objects, services, node, tell

    async def start(
        self, pod: Pod, action: StartContainer, runtime: PodRuntime, sandbox_config: cri.PodSandboxConfig
    ) -> None:
        """Raises `StartFailed`."""
        spec = find_container(pod, action.name)
        sandbox = runtime.sandbox
        if spec is None or sandbox is None:
            raise StartFailed("CreateContainerError", f"container {action.name} has no place to start")
        try:
            image = await self._image(pod, spec)
            check_run_as_non_root(pod, spec, image)
            environment = await self._environment(pod, spec, sandbox.ips)
            mounts, message_file = self._mounts(pod, spec, sandbox.ips, environment)
        except ConfigError as error:
            self._event(pod, spec, "Warning", "Failed", f"Error: {error.message}")
            raise StartFailed(error.reason, error.message) from error
        except (ApiError, ConnectError) as error:
            message = getattr(error, "message", str(error))
            self._event(pod, spec, "Warning", "Failed", f"Error: {message}")
            raise StartFailed("CreateContainerConfigError", message) from error
        inputs = ContainerInputs(
            image_ref=image.id, image=image, environment=environment, mounts=mounts, message_file=message_file,
            memory_capacity=self._node.memory_capacity, seccomp_root=str(self._options.root_dir / "seccomp"),
            target_id=self._target_id(spec, runtime),
        )  # fmt: skip
        config = container_config(
            pod, spec, inputs, restart_count=action.restart_count, backoff_step=action.backoff_step
        )
        if self._node.oom_floor is not None:
            resources = config.linux.resources
            resources.oom_score_adj = max(resources.oom_score_adj, self._node.oom_floor)
        await self._create_and_start(pod, spec, action, sandbox, sandbox_config, config)

    async def _image(self, pod: Pod, spec: ContainerSpec) -> cri.Image:
        def tell(kind: Literal["Normal", "Warning"], reason: str, message: str) -> None:
            self._event(pod, spec, kind, reason, message)

        names = {("secrets", ref["name"]) for ref in pod["spec"].get("imagePullSecrets") or () if ref.get("name")}
        policy = spec.get("imagePullPolicy")
        secrets_found: list[dict[str, Any]] = []
        if names and policy != "Never":
            _, table = await self._objects.get_all(pod_namespace(pod), names)
            secrets_found = [secret for secret in table.values() if secret is not None]
        try:
            return await self._puller.ensure(
                pod_uid(pod), spec.get("image") or "", policy, tell, secrets=secrets_found
            )
        except ImageError as error:
            tell("Warning", "Failed", f"Error: {error.reason}")
            raise StartFailed(error.reason, error.message, error.retry_after_seconds) from error
        except CriError as error:
            raise StartFailed("ImageInspectError", str(error)) from error

    async def _environment(self, pod: Pod, spec: ContainerSpec, pod_ips: tuple[str, ...]) -> dict[str, str]:
        config_maps, secrets_found = await self._objects.get_all(pod_namespace(pod), referenced_objects(spec))
        links = pod["spec"].get("enableServiceLinks")
        facts = Facts(
            config_maps=config_maps, secrets=secrets_found,
            service_variables=service_variables(self._services(), pod_namespace(pod), links=links is not False),
            pod_ips=self._node.host_ips if is_host_network(pod) else pod_ips, host_ips=self._node.host_ips,
            allocatable=self._node.allocatable,
        )  # fmt: skip
        return compute_environment(pod, spec, facts)

    # -- mounts

    def _mounts(
        self, pod: Pod, spec: ContainerSpec, pod_ips: tuple[str, ...], environment: Mapping[str, str]
    ) -> tuple[list[cri.Mount], str]:
        kinds = {volume["name"]: next((k for k in volume if k != "name"), "emptyDir")
                 for volume in pod["spec"].get("volumes") or ()}  # fmt: skip
        found = []
        for index, mount in enumerate(spec.get("volumeMounts") or ()):
            host = self._host_path(pod, spec, mount, index, environment)
            read_only = bool(mount.get("readOnly")) or kinds.get(mount["name"]) in READ_ONLY_KINDS
            propagation = _PROPAGATION[mount.get("mountPropagation") or "None"]
            found.append(_mount(mount["mountPath"], host, read_only, propagation))
        paths = {mount["mountPath"].rstrip("/") for mount in spec.get("volumeMounts") or ()}
        if "/etc/hosts" not in paths:
            found.append(_mount("/etc/hosts", self._write_hosts(pod, pod_ips), False))
        message_file = self._message_file(pod, spec)
        found.append(_mount(spec.get("terminationMessagePath") or "/dev/termination-log", message_file, False))
        return found, str(message_file)

    def _host_path(
        self, pod: Pod, spec: ContainerSpec, mount: Mapping[str, Any], index: int, environment: Mapping[str, str]
    ) -> Path:
        try:
            volume = self._volumes.path_of(pod, mount["name"])
        except KeyError as error:
            message = f'cannot find volume "{mount["name"]}" to mount into container "{spec["name"]}"'
            raise ConfigError("CreateContainerConfigError", message) from error
        sub_path = mount.get("subPath") or ""
        if mount.get("subPathExpr"):
            missing = unresolved(mount["subPathExpr"], environment)
            if missing:
                raise ConfigError("CreateContainerConfigError", f"missing value for {missing[0]!r}".replace("'", '"'))
            sub_path = expand(mount["subPathExpr"], environment)
        if not sub_path:
            if not volume.exists() and not volume.is_symlink():
                volume.mkdir(parents=True, mode=0o755)  # a hostPath without a type is made on demand
            return volume
        target = sub_path_target(self._options.root_dir, pod_uid(pod), mount["name"], spec["name"], index)
        try:
            bind_sub_path(volume, sub_path, target, mode=0o777 if _is_empty_dir(pod, mount) else 0o750,
                          gid=fs_group(pod))  # fmt: skip
        except VolumeError as error:
            message = f'failed to prepare subPath for volumeMount "{mount["name"]}" of container "{spec["name"]}"'
            log.info("subPath refused", pod=pod_uid(pod), error=error.message)
            raise ConfigError("CreateContainerConfigError", message) from error
        return target

    def _write_hosts(self, pod: Pod, pod_ips: tuple[str, ...]) -> Path:
        machine = ""
        if is_host_network(pod):
            try:
                machine = Path("/etc/hosts").read_text()
            except OSError:
                machine = ""
        path = hosts_path(self._options.root_dir, pod_uid(pod))
        content = hosts_file(pod, pod_ips, self._options.cluster_domain, machine)
        # Written in place: containers that run have this very file mounted.
        if not path.exists() or path.read_text() != content:
            path.write_text(content)
            path.chmod(0o644)
        return path

    def _message_file(self, pod: Pod, spec: ContainerSpec) -> Path:
        """A new file for each start, which any user of the container may write."""
        directory = container_directory(self._options.root_dir, pod_uid(pod), spec["name"])
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / secrets.token_hex(4)
        path.touch()
        path.chmod(0o666)
        return path

    @staticmethod
    def _target_id(spec: ContainerSpec, runtime: PodRuntime) -> str:
        target = runtime.latest(spec.get("targetContainerName") or "")
        return target.id if target is not None and target.is_running else ""

    # -- create and start

    async def _create_and_start(
        self, pod: Pod, spec: ContainerSpec, action: StartContainer, sandbox: Sandbox,
        sandbox_config: cri.PodSandboxConfig, config: cri.ContainerConfig,
    ) -> None:  # fmt: skip
        log_file = pod_log_directory(self._options.pod_logs, pod) / container_log_path(
            spec["name"], action.restart_count
        )
        log_file.parent.mkdir(parents=True, exist_ok=True)
        try:
            container_id = await self._runtime.create_container(sandbox.id, config, sandbox_config)
        except CriError as error:
            self._event(pod, spec, "Warning", "Failed", f"Error: {error.message}")
            raise StartFailed("CreateContainerError", error.message) from error
        self._event(pod, spec, "Normal", "Created", "Container created")
        self._link_log(pod, spec, container_id, log_file)
        try:
            await self._runtime.start_container(container_id)
        except CriError as error:
            self._event(pod, spec, "Warning", "Failed", f"Error: {error.message}")
            raise StartFailed("RunContainerError", error.message, recorded=True) from error
        self._event(pod, spec, "Normal", "Started", "Container started")
        log.info("container started", pod=pod["metadata"]["name"], container=spec["name"], id=container_id[:12],
                 restart=action.restart_count)  # fmt: skip
        hook = (spec.get("lifecycle") or {}).get("postStart")
        if hook:
            await self._post_start(pod, spec, container_id, self._address(pod, sandbox), hook)

    async def _post_start(
        self, pod: Pod, spec: ContainerSpec, container_id: str, address: str, hook: dict[str, Any]
    ) -> None:
        problem = await run_hook(Target(self._runtime, container_id, spec, address), hook)
        if problem is None:
            return
        log.info("postStart hook failed", pod=pod["metadata"]["name"], container=spec["name"], problem=problem)
        self._event(pod, spec, "Warning", "FailedPostStartHook", "PostStartHook failed")
        self._event(pod, spec, "Normal", "Killing", "FailedPostStartHook")
        try:
            await self._runtime.stop_container(container_id, 2)
        except CriError as error:
            log.warning("container whose hook failed does not stop", id=container_id[:12], error=str(error))
        raise StartFailed("PostStartHookError", "PostStartHook failed", recorded=True)

    def _address(self, pod: Pod, sandbox: Sandbox) -> str:
        addresses = self._node.host_ips if is_host_network(pod) else sandbox.ips
        return addresses[0] if addresses else ""

    def _link_log(self, pod: Pod, spec: ContainerSpec, container_id: str, log_file: Path) -> None:
        directory = self._options.container_logs
        directory.mkdir(parents=True, exist_ok=True)
        link = directory / link_name(pod, spec["name"], container_id)
        try:
            os.symlink(log_file, link)
        except FileExistsError:
            pass

    def _event(
        self, pod: Pod, spec: ContainerSpec, kind: Literal["Normal", "Warning"], reason: str, message: str
    ) -> None:
        self._tell(pod, kind, reason, message, field_path(pod, spec["name"]))


def field_path(pod: Pod, name: str) -> str:
    """Which part of the pod an event is about."""
    for field in ("containers", "initContainers", "ephemeralContainers"):
        if any(spec["name"] == name for spec in pod["spec"].get(field) or ()):
            return f"spec.{field}{{{name}}}"
    return ""


def _is_empty_dir(pod: Pod, mount: Mapping[str, Any]) -> bool:
    return any(v["name"] == mount["name"] and "emptyDir" in v for v in pod["spec"].get("volumes") or ())


def _mount(
    container_path: str, host_path: Path, read_only: bool, propagation: int = cri.PROPAGATION_PRIVATE
) -> cri.Mount:
    return cri.Mount(
        container_path=container_path, host_path=str(host_path), readonly=read_only,
        propagation=propagation,  # type: ignore[arg-type]
    )  # fmt: skip

"""Makes a pod's volumes ready, keeps their files current, takes them away.

Setting up is idempotent and looks at the disk, not at memory: after a restart of the agent, running it again finds
everything in place. Files that come from the API are checked again every minute, tokens when they are due.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from kubelet.podspec import Pod, pod_namespace, pod_uid
from kubelet.source.objects import ObjectReader
from kubelet.volumes import mounts
from kubelet.volumes.atomic import write_payload
from kubelet.volumes.errors import VolumeError
from kubelet.volumes.hostpath import prepare_host_path
from kubelet.volumes.paths import pod_directory, volume_directory
from kubelet.volumes.payload import VolumeFacts, compute_payload, referenced_objects, token_requests
from kubelet.volumes.tokens import TokenSource
from machinery.client import ConnectError
from machinery.meta.errors import ApiError
from machinery.meta.quantity import parse_quantity
from machinery.runtime.clock import SYSTEM_CLOCK, Clock

log = structlog.get_logger(__name__)

FILE_KINDS = ("configMap", "secret", "downwardAPI", "projected")
#: Kinds whose content must not reach a disk.
MEMORY_KINDS = ("secret", "projected")


class SetUpFailed(Exception):
    """One volume of a pod is not ready; ``volume`` is its name."""

    def __init__(self, volume: str, message: str) -> None:
        super().__init__(message)
        self.volume, self.message = volume, message

    @property
    def event_message(self) -> str:
        return f'MountVolume.SetUp failed for volume "{self.volume}" : {self.message}'


class VolumeManager:
    def __init__(
        self, root: Path, objects: ObjectReader, tokens: TokenSource, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._root, self._objects, self._tokens, self._clock = root, objects, tokens, clock

    def path_of(self, pod: Pod, name: str) -> Path:
        """The host path of a volume that is ready. Raises KeyError for one that the pod does not have."""
        for volume in pod["spec"].get("volumes") or ():
            if volume["name"] == name:
                kind = volume_kind(volume)
                if kind == "hostPath":
                    return Path(volume["hostPath"]["path"])
                return volume_directory(self._root, pod_uid(pod), kind, name)
        raise KeyError(name)

    async def ensure(
        self, pod: Pod, *, pod_ips: tuple[str, ...] = (), host_ips: tuple[str, ...] = (),
        allocatable: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """Every volume that a container mounts. Raises `SetUpFailed` for the first that is not ready."""
        volumes = pod["spec"].get("volumes") or ()
        base = pod_directory(self._root, pod_uid(pod))
        base.mkdir(parents=True, exist_ok=True, mode=0o750)
        files = [volume for volume in volumes if volume_kind(volume) in FILE_KINDS]
        for volume in volumes:
            if volume not in files:
                self._prepare(pod, volume)
        if files:
            await self._write_files(pod, files, pod_ips, host_ips, allocatable or {})

    def _prepare(self, pod: Pod, volume: dict[str, Any]) -> None:
        name, kind = volume["name"], volume_kind(volume)
        try:
            if kind == "emptyDir":
                self._prepare_empty_dir(pod, volume)
            elif kind == "hostPath":
                prepare_host_path(volume["hostPath"])
            else:
                raise VolumeError(f"volume type {kind} is not supported by this node")
        except (VolumeError, OSError) as error:
            raise SetUpFailed(name, str(error)) from error

    def _prepare_empty_dir(self, pod: Pod, volume: dict[str, Any]) -> None:
        source = volume["emptyDir"] or {}
        path = volume_directory(self._root, pod_uid(pod), "emptyDir", volume["name"])
        fresh = not path.exists()
        path.mkdir(parents=True, exist_ok=True)
        if source.get("medium") == "Memory" and not mounts.is_mounted(path):
            limit = source.get("sizeLimit")
            mounts.mount_tmpfs(path, size_bytes=parse_quantity(limit).value() if limit else None)
            fresh = True
        if fresh:
            group = fs_group(pod)
            if group is not None:
                shutil.chown(path, group=group)
            path.chmod(0o777 if group is None else 0o2777)

    async def _write_files(
        self, pod: Pod, volumes: list[dict[str, Any]], pod_ips: tuple[str, ...], host_ips: tuple[str, ...],
        allocatable: Mapping[str, str],
    ) -> None:  # fmt: skip
        try:
            facts = await self._fetch(pod, volumes, pod_ips, host_ips, allocatable)
        except (ApiError, ConnectError) as error:
            raise SetUpFailed(volumes[0]["name"], getattr(error, "message", str(error))) from error
        for volume in volumes:
            kind = volume_kind(volume)
            try:
                payload = compute_payload(pod, volume, facts)
                path = volume_directory(self._root, pod_uid(pod), kind, volume["name"])
                path.mkdir(parents=True, exist_ok=True)
                if kind in MEMORY_KINDS and not mounts.is_mounted(path):
                    mounts.mount_tmpfs(path)
                    path.chmod(0o777)
                group = fs_group(pod)
                if write_payload(path, payload, self._clock.now(), fs_group=group) and group is not None:
                    shutil.chown(path, group=group)
                    path.chmod(0o2777)
            except (VolumeError, OSError) as error:
                raise SetUpFailed(volume["name"], str(error)) from error

    async def _fetch(
        self, pod: Pod, volumes: list[dict[str, Any]], pod_ips: tuple[str, ...], host_ips: tuple[str, ...],
        allocatable: Mapping[str, str],
    ) -> VolumeFacts:  # fmt: skip
        wanted = set().union(*(referenced_objects(volume) for volume in volumes))
        requests = sorted({key for volume in volumes for key in token_requests(volume)})
        (config_maps, secrets), tokens = await asyncio.gather(
            self._objects.get_all(pod_namespace(pod), wanted),
            asyncio.gather(*(self._tokens.get(pod, audience, seconds) for audience, seconds in requests)),
        )
        return VolumeFacts(
            config_maps=config_maps, secrets=secrets, tokens=dict(zip(requests, tokens, strict=True)),
            trust_bundles={}, pod_ips=pod_ips, host_ips=host_ips, allocatable=allocatable,
        )  # fmt: skip

    def needs_refresh(self, pod: Pod) -> bool:
        """Whether a volume's files may change while the pod runs."""
        return any(volume_kind(volume) in FILE_KINDS for volume in pod["spec"].get("volumes") or ())

    def tear_down(self, uid: str, *, keep_records: bool = False) -> None:
        """Unmounts and removes everything of a pod. Raises OSError when something is still in use.

        ``keep_records`` leaves the termination messages: the pod is over but its object still tells of it.
        """
        base = pod_directory(self._root, uid)
        self._tokens.forget(uid)
        if not base.exists():
            return
        mounts.unmount_below(base)
        left = mounts.mounts_below(base)
        if left:
            raise OSError(f"still mounted: {left[0]}")
        for part in ("volumes", "volume-subpaths") if keep_records else ("",):
            shutil.rmtree(base / part, ignore_errors=keep_records)

    def known_uids(self) -> list[str]:
        """Pods that left files: for finding orphans after a restart."""
        base = self._root / "pods"
        return [entry.name for entry in base.iterdir()] if base.exists() else []


def volume_kind(volume: Mapping[str, Any]) -> str:
    """The one source that is set; a volume without any is an emptyDir."""
    return next((key for key in volume if key != "name"), "emptyDir")


def fs_group(pod: Pod) -> int | None:
    group = (pod["spec"].get("securityContext") or {}).get("fsGroup")
    return None if group is None else int(group)

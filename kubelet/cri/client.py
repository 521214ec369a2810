"""CRI v1 over a unix socket: one small method a call, protobuf messages in and out, `CriError` on failure.

Deadlines are per call, because they differ by nature: a list answers in milliseconds, a stop lasts as long as the
pod's grace period, a pull as long as it takes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, TypeVar

import grpc

from kubelet.cri.errors import CriError, from_rpc_error
from proto import cri_pb2 as cri
from proto import cri_pb2_grpc

#: Ordinary calls. Starting a sandbox sets up a network and may wait for a busy disk.
CALL_TIMEOUT_SECONDS = 15.0
START_TIMEOUT_SECONDS = 120.0
MAX_MESSAGE_BYTES = 16 * 1024 * 1024

T = TypeVar("T")


def unix_target(endpoint: str) -> str:
    """``/run/c.sock`` and ``unix:///run/c.sock`` both become a gRPC target."""
    path = endpoint.removeprefix("unix://")
    return f"unix:{path}"


def open_channel(endpoint: str) -> grpc.aio.Channel:
    options = [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        # The runtime may be restarted at any time; come back within a second, not after gRPC's two minutes.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
        # With the default, a path longer than expected or a proxy variable would change where a unix socket leads.
        ("grpc.enable_http_proxy", 0),
    ]
    return grpc.aio.insecure_channel(unix_target(endpoint), options=options)


async def _call(call: Awaitable[T]) -> T:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from error


class Runtime:
    """The runtime and image services of one node."""

    def __init__(self, endpoint: str, *, channel: grpc.aio.Channel | None = None) -> None:
        self.endpoint = endpoint
        self.channel = channel or open_channel(endpoint)
        stubs: Any = cri_pb2_grpc
        self._runtime: Any = stubs.RuntimeServiceStub(self.channel)
        self._images: Any = stubs.ImageServiceStub(self.channel)

    async def close(self) -> None:
        await self.channel.close()

    # -- the runtime itself

    async def version(self) -> cri.VersionResponse:
        return await _call(self._runtime.Version(cri.VersionRequest(version="v1"), timeout=CALL_TIMEOUT_SECONDS))

    async def status(self, *, verbose: bool = False) -> cri.StatusResponse:
        return await _call(self._runtime.Status(cri.StatusRequest(verbose=verbose), timeout=CALL_TIMEOUT_SECONDS))

    async def update_runtime_config(self, pod_cidr: str) -> None:
        config = cri.RuntimeConfig(network_config=cri.NetworkConfig(pod_cidr=pod_cidr))
        request = cri.UpdateRuntimeConfigRequest(runtime_config=config)
        await _call(self._runtime.UpdateRuntimeConfig(request, timeout=CALL_TIMEOUT_SECONDS))

    # -- sandboxes

    async def run_pod_sandbox(self, config: cri.PodSandboxConfig, handler: str = "") -> str:
        request = cri.RunPodSandboxRequest(config=config, runtime_handler=handler)
        answer = await _call(self._runtime.RunPodSandbox(request, timeout=START_TIMEOUT_SECONDS))
        return str(answer.pod_sandbox_id)

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        request = cri.StopPodSandboxRequest(pod_sandbox_id=sandbox_id)
        await _call(self._runtime.StopPodSandbox(request, timeout=START_TIMEOUT_SECONDS))

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        request = cri.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id)
        await _call(self._runtime.RemovePodSandbox(request, timeout=START_TIMEOUT_SECONDS))

    async def pod_sandbox_status(self, sandbox_id: str, *, verbose: bool = False) -> cri.PodSandboxStatusResponse:
        request = cri.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id, verbose=verbose)
        return await _call(self._runtime.PodSandboxStatus(request, timeout=CALL_TIMEOUT_SECONDS))

    async def list_pod_sandboxes(self, labels: Mapping[str, str] | None = None) -> Sequence[cri.PodSandbox]:
        request = cri.ListPodSandboxRequest(filter=cri.PodSandboxFilter(label_selector=dict(labels or {})))
        answer = await _call(self._runtime.ListPodSandbox(request, timeout=CALL_TIMEOUT_SECONDS))
        return list(answer.items)

    # -- containers

    async def create_container(
        self, sandbox_id: str, config: cri.ContainerConfig, sandbox_config: cri.PodSandboxConfig
    ) -> str:
        request = cri.CreateContainerRequest(pod_sandbox_id=sandbox_id, config=config, sandbox_config=sandbox_config)
        answer = await _call(self._runtime.CreateContainer(request, timeout=START_TIMEOUT_SECONDS))
        return str(answer.container_id)

    async def start_container(self, container_id: str) -> None:
        request = cri.StartContainerRequest(container_id=container_id)
        await _call(self._runtime.StartContainer(request, timeout=START_TIMEOUT_SECONDS))

    async def stop_container(self, container_id: str, grace_seconds: int) -> None:
        """SIGTERM, and SIGKILL after the grace. Returns when the container has ended."""
        request = cri.StopContainerRequest(container_id=container_id, timeout=grace_seconds)
        await _call(self._runtime.StopContainer(request, timeout=grace_seconds + START_TIMEOUT_SECONDS))

    async def remove_container(self, container_id: str) -> None:
        request = cri.RemoveContainerRequest(container_id=container_id)
        await _call(self._runtime.RemoveContainer(request, timeout=START_TIMEOUT_SECONDS))

    async def list_containers(self, labels: Mapping[str, str] | None = None) -> Sequence[cri.Container]:
        request = cri.ListContainersRequest(filter=cri.ContainerFilter(label_selector=dict(labels or {})))
        answer = await _call(self._runtime.ListContainers(request, timeout=CALL_TIMEOUT_SECONDS))
        return list(answer.containers)

    async def container_status(self, container_id: str, *, verbose: bool = False) -> cri.ContainerStatusResponse:
        request = cri.ContainerStatusRequest(container_id=container_id, verbose=verbose)
        return await _call(self._runtime.ContainerStatus(request, timeout=CALL_TIMEOUT_SECONDS))

    async def update_container_resources(self, container_id: str, resources: cri.LinuxContainerResources) -> None:
        request = cri.UpdateContainerResourcesRequest(container_id=container_id, linux=resources)
        await _call(self._runtime.UpdateContainerResources(request, timeout=CALL_TIMEOUT_SECONDS))

    async def reopen_container_log(self, container_id: str) -> None:
        request = cri.ReopenContainerLogRequest(container_id=container_id)
        await _call(self._runtime.ReopenContainerLog(request, timeout=CALL_TIMEOUT_SECONDS))

    async def exec_sync(
        self, container_id: str, command: Sequence[str], timeout_seconds: float = 0
    ) -> cri.ExecSyncResponse:
        """Runs a command and returns its output. A timeout ends the command and raises DEADLINE_EXCEEDED."""
        whole_seconds = max(int(timeout_seconds), 0)
        request = cri.ExecSyncRequest(container_id=container_id, cmd=list(command), timeout=whole_seconds)
        deadline = timeout_seconds + CALL_TIMEOUT_SECONDS if timeout_seconds else None
        return await _call(self._runtime.ExecSync(request, timeout=deadline))

    # -- streams: the runtime answers with the address of its own streaming server

    async def exec_url(self, request: cri.ExecRequest) -> str:
        return str((await _call(self._runtime.Exec(request, timeout=CALL_TIMEOUT_SECONDS))).url)

    async def attach_url(self, request: cri.AttachRequest) -> str:
        return str((await _call(self._runtime.Attach(request, timeout=CALL_TIMEOUT_SECONDS))).url)

    async def port_forward_url(self, request: cri.PortForwardRequest) -> str:
        return str((await _call(self._runtime.PortForward(request, timeout=CALL_TIMEOUT_SECONDS))).url)

    # -- statistics

    async def list_container_stats(self, labels: Mapping[str, str] | None = None) -> Sequence[cri.ContainerStats]:
        request = cri.ListContainerStatsRequest(filter=cri.ContainerStatsFilter(label_selector=dict(labels or {})))
        answer = await _call(self._runtime.ListContainerStats(request, timeout=CALL_TIMEOUT_SECONDS))
        return list(answer.stats)

    async def list_pod_sandbox_stats(self) -> Sequence[cri.PodSandboxStats]:
        request = cri.ListPodSandboxStatsRequest()
        return list((await _call(self._runtime.ListPodSandboxStats(request, timeout=CALL_TIMEOUT_SECONDS))).stats)

    # -- images

    async def list_images(self) -> Sequence[cri.Image]:
        answer = await _call(self._images.ListImages(cri.ListImagesRequest(), timeout=CALL_TIMEOUT_SECONDS))
        return list(answer.images)

    async def image_status(self, image: str) -> cri.Image | None:
        request = cri.ImageStatusRequest(image=cri.ImageSpec(image=image))
        answer = await _call(self._images.ImageStatus(request, timeout=CALL_TIMEOUT_SECONDS))
        return answer.image if answer.HasField("image") and answer.image.id else None

    async def pull_image(
        self, image: str, *, auth: cri.AuthConfig | None = None, sandbox_config: cri.PodSandboxConfig | None = None
    ) -> str:
        request = cri.PullImageRequest(image=cri.ImageSpec(image=image), auth=auth, sandbox_config=sandbox_config)
        return str((await _call(self._images.PullImage(request))).image_ref)

    async def remove_image(self, image: str) -> None:
        request = cri.RemoveImageRequest(image=cri.ImageSpec(image=image))
        await _call(self._images.RemoveImage(request, timeout=START_TIMEOUT_SECONDS))

    async def image_fs_info(self) -> Sequence[cri.FilesystemUsage]:
        request = cri.ImageFsInfoRequest()
        answer = await _call(self._images.ImageFsInfo(request, timeout=CALL_TIMEOUT_SECONDS))
        return list(answer.image_filesystems)


__all__ = ["CriError", "Runtime", "open_channel", "unix_target"]

"""Which runtime handler a pod's RuntimeClass stands for."""

from __future__ import annotations

from kubelet.cri import CriError
from kubelet.podspec import Pod
from machinery.client import Client, ConnectError
from machinery.meta.errors import ApiError


class RuntimeClasses:
    """Asked when a sandbox is made, which is rare enough to need no cache."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def handler_of(self, pod: Pod) -> str:
        """Empty for the runtime's default. Raises `CriError` when the class cannot be read."""
        name = pod["spec"].get("runtimeClassName")
        if not name:
            return ""
        try:
            found = await self._client.get("node.k8s.io/v1", "runtimeclasses", name)
        except (ApiError, ConnectError) as error:
            message = f'failed to get sandbox runtime: {getattr(error, "message", error)}'
            raise CriError("UNKNOWN", message) from error
        return str(found.get("handler") or "")

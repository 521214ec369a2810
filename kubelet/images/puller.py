"""Brings a container's image to the node by its pull policy, with the back-off and the words of upstream.

Pulls run one after another by default: a node that starts thirty pods should not ask a registry thirty times at once.
Several containers that want the same image wait for one pull.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import structlog

from kubelet.cri import CriError, Runtime
from kubelet.images.reference import InvalidReference, apply_default_tag, default_pull_policy, parse_reference
from machinery.runtime.clock import SYSTEM_CLOCK, Clock
from proto import cri_pb2 as cri

log = structlog.get_logger(__name__)

BACKOFF_BASE_SECONDS = 10.0
BACKOFF_CAP_SECONDS = 300.0

Tell = Callable[[Literal["Normal", "Warning"], str, str], None]


class ImageError(Exception):
    """The container waits for its image: ``reason`` and ``message`` for its status, ``retry_at`` on the wall clock."""

    def __init__(self, reason: str, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.reason, self.message, self.retry_after_seconds = reason, message, retry_after_seconds


@dataclass(slots=True)
class _BackOff:
    delay_seconds: float
    until: float
    last_error: str


class ImagePuller:
    def __init__(self, runtime: Runtime, *, parallel: int = 1, clock: Clock = SYSTEM_CLOCK) -> None:
        self._runtime, self._clock = runtime, clock
        self._slots = asyncio.Semaphore(parallel)
        self._backoff: dict[tuple[str, str], _BackOff] = {}

    async def ensure(
        self, owner: str, image: str, policy: str | None, tell: Tell, *, secrets: list[dict[str, Any]] | None = None
    ) -> cri.Image:
        """The image, present. ``owner`` separates the back-off of different pods. Raises `ImageError`."""
        try:
            name = apply_default_tag(image)
        except InvalidReference as error:
            tell("Warning", "InspectFailed", str(error))
            raise ImageError("InvalidImageName", str(error), BACKOFF_BASE_SECONDS) from error
        policy = policy or default_pull_policy(image)
        present = await self._runtime.image_status(name)
        if present is not None and policy != "Always":
            message = f'Container image "{image}" already present on machine and can be accessed by the pod'
            tell("Normal", "Pulled", message)
            return present
        if policy == "Never":
            message = f'Container image "{image}" is not present with pull policy of Never'
            tell("Warning", "ErrImageNeverPull", message)
            raise ImageError("ErrImageNeverPull", message, BACKOFF_BASE_SECONDS)
        return await self._pull(owner, image, name, tell, secrets or [])

    async def _pull(
        self, owner: str, image: str, name: str, tell: Tell, secrets: list[dict[str, Any]]
    ) -> cri.Image:
        key = (owner, name)
        backoff = self._backoff.get(key)
        left = 0.0 if backoff is None else backoff.until - self._clock.monotonic()
        if backoff is not None and left > 0:
            tell("Normal", "BackOff", f'Back-off pulling image "{image}"')
            message = f'Back-off pulling image "{image}": ErrImagePull: {backoff.last_error}'
            raise ImageError("ImagePullBackOff", message, left)
        tell("Normal", "Pulling", f'Pulling image "{image}"')
        asked = self._clock.monotonic()
        async with self._slots:
            began = self._clock.monotonic()
            try:
                reference = await self._try_credentials(name, credentials_for(name, secrets))
                found = await self._runtime.image_status(reference) or await self._runtime.image_status(name)
            except CriError as error:
                raise self._failed(key, image, str(error), tell) from error
        if found is None:
            raise self._failed(key, image, f"image {name} is gone after its pull", tell)
        self._backoff.pop(key, None)
        ended = self._clock.monotonic()
        size = f"Image size: {found.size} bytes."
        took = f"in {_seconds(ended - began)} ({_seconds(ended - asked)} including waiting)"
        tell("Normal", "Pulled", f'Successfully pulled image "{image}" {took}. {size}')
        return found

    async def _try_credentials(self, name: str, found: list[cri.AuthConfig]) -> str:
        """With each credential that fits the registry, then without; the first success counts."""
        last: CriError | None = None
        for auth in [*found, None]:
            try:
                return await self._runtime.pull_image(name, auth=auth)
            except CriError as error:
                last = last or error
        assert last is not None
        raise last

    def _failed(self, key: tuple[str, str], image: str, error: str, tell: Tell) -> ImageError:
        before = self._backoff.get(key)
        delay = BACKOFF_BASE_SECONDS if before is None else min(before.delay_seconds * 2, BACKOFF_CAP_SECONDS)
        self._backoff[key] = _BackOff(delay, self._clock.monotonic() + delay, error)
        log.warning("image pull failed", image=image, error=error, retry_seconds=delay)
        tell("Warning", "Failed", f'Failed to pull image "{image}": {error}')
        # Asked again at once: the answer is then the back-off, which is what the status should show meanwhile.
        return ImageError("ErrImagePull", error, 1.0)

    def forget(self, owner: str) -> None:
        for key in [key for key in self._backoff if key[0] == owner]:
            del self._backoff[key]


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f}ms" if seconds < 1 else f"{seconds:.3f}s"


def credentials_for(image: str, secrets: list[dict[str, Any]]) -> list[cri.AuthConfig]:
    """The entries of the pull secrets that fit the image's registry, the most specific first."""
    name = parse_reference(image).name
    registry = registry_of(name)
    found: list[tuple[int, cri.AuthConfig]] = []
    for secret in secrets:
        for server, entry in _entries(secret).items():
            where = server.removeprefix("https://").removeprefix("http://").rstrip("/")
            for suffix in ("/v1", "/v2"):
                where = where.removesuffix(suffix)
            if where == "index.docker.io":
                where = "docker.io"
            if where in (registry, name) or name.startswith(where + "/"):
                found.append((len(where), _auth(server, entry)))
    return [auth for _, auth in sorted(found, key=lambda item: -item[0])]


def registry_of(name: str) -> str:
    first, slash, _ = name.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"


def _entries(secret: dict[str, Any]) -> dict[str, Any]:
    data = secret.get("data") or {}
    try:
        if ".dockerconfigjson" in data:
            return json.loads(base64.b64decode(data[".dockerconfigjson"])).get("auths") or {}
        if ".dockercfg" in data:
            return json.loads(base64.b64decode(data[".dockercfg"])) or {}
    except (ValueError, AttributeError):
        log.warning("pull secret is no docker configuration", secret=secret["metadata"]["name"])
    return {}


def _auth(server: str, entry: dict[str, Any]) -> cri.AuthConfig:
    username, password = entry.get("username", ""), entry.get("password", "")
    if entry.get("auth") and not username:
        username, _, password = base64.b64decode(entry["auth"]).decode(errors="replace").partition(":")
    return cri.AuthConfig(
        username=username, password=password, server_address=server, identity_token=entry.get("identitytoken", "")
    )

"""Static pods: manifests in a directory, run without asking the API, and shown there by mirror pods."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import structlog
import yaml

from kubelet.podspec import CONFIG_HASH, CONFIG_MIRROR, CONFIG_SEEN, CONFIG_SOURCE, Pod
from machinery.client import Client, ConnectError
from machinery.meta.errors import ApiError, is_already_exists, is_not_found
from machinery.meta.objects import deep_copy, format_time
from machinery.runtime.clock import SYSTEM_CLOCK, Clock

log = structlog.get_logger(__name__)

CHECK_SECONDS = 5.0


def parse_manifest(text: bytes, path: str, node_name: str, seen: datetime) -> Pod:
    """One pod as the node runs it: a name with the node's, an identity from its content. Raises ValueError."""
    try:
        document = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: {error}") from error
    is_pod = isinstance(document, dict) and document.get("kind") == "Pod"
    if not is_pod or not (document.get("spec") or {}).get("containers"):
        raise ValueError(f"{path}: not a Pod with containers")
    pod: Pod = orjson.loads(orjson.dumps(document))
    meta = pod.setdefault("metadata", {})
    if not meta.get("name"):
        raise ValueError(f"{path}: metadata.name is missing")
    digest = hashlib.md5(f"host:{node_name} file:{path} ".encode() + orjson.dumps(document), usedforsecurity=False)
    meta["uid"] = digest.hexdigest()
    meta["name"] = f"{meta['name']}-{node_name}"
    meta.setdefault("namespace", "default")
    meta["annotations"] = {
        **(meta.get("annotations") or {}), CONFIG_SOURCE: "file", CONFIG_SEEN: format_time(seen),
        CONFIG_HASH: meta["uid"],
    }  # fmt: skip
    pod["spec"]["nodeName"] = node_name
    tolerations = pod["spec"].setdefault("tolerations", [])
    if not any(t.get("operator") == "Exists" and t.get("effect") == "NoExecute" for t in tolerations):
        tolerations.append({"operator": "Exists", "effect": "NoExecute"})
    pod["spec"].setdefault("terminationGracePeriodSeconds", 30)
    pod.setdefault("status", {"phase": "Pending"})
    return pod


def mirror_of(pod: Pod, node: dict[str, Any]) -> Pod:
    """What the API shows of a static pod."""
    mirror: Pod = deep_copy(pod)
    meta = mirror["metadata"]
    meta["annotations"][CONFIG_MIRROR] = meta["annotations"][CONFIG_HASH]
    del meta["uid"]
    meta["ownerReferences"] = [
        {"apiVersion": "v1", "kind": "Node", "name": node["metadata"]["name"], "uid": node["metadata"]["uid"],
         "controller": True}
    ]  # fmt: skip
    mirror.pop("status", None)
    return mirror


class StaticSource:
    """Looks into the directory every few seconds; tells what came, changed (as another pod) and went."""

    def __init__(
        self, directory: Path, node_name: str, *, on_add: Callable[[Pod], None], on_remove: Callable[[Pod], None],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:  # fmt: skip
        self._directory, self._node_name, self._clock = directory, node_name, clock
        self._on_add, self._on_remove = on_add, on_remove
        self.pods: dict[str, Pod] = {}
        self._complained: set[str] = set()

    async def run(self) -> None:
        while True:
            self.scan()
            await self._clock.sleep(CHECK_SECONDS)

    def scan(self) -> None:
        found: dict[str, Pod] = {}
        files = sorted(self._directory.iterdir()) if self._directory.is_dir() else []
        for path in files:
            if path.name.startswith(".") or path.suffix not in (".yaml", ".yml", ".json"):
                continue
            try:
                pod = parse_manifest(path.read_bytes(), str(path), self._node_name, self._clock.now())
            except (OSError, ValueError) as error:
                if str(error) not in self._complained:
                    self._complained.add(str(error))
                    log.warning("manifest is not run", path=str(path), error=str(error))
                continue
            found[pod["metadata"]["uid"]] = self.pods.get(pod["metadata"]["uid"], pod)
        for uid in [uid for uid in self.pods if uid not in found]:
            self._on_remove(self.pods.pop(uid))
        for uid, pod in found.items():
            if uid not in self.pods:
                self.pods[uid] = pod
                self._on_add(pod)


class Mirrors:
    """Keeps one mirror pod for each static pod, and none for what is gone. Deleting a mirror only makes it anew."""

    def __init__(self, client: Client, node: Callable[[], dict[str, Any] | None]) -> None:
        self._client, self._node = client, node

    async def ensure(self, static: dict[str, Pod], mirrors: dict[str, Pod]) -> None:
        """``static`` by uid, ``mirrors`` (the API's) by the uid they mirror."""
        node = self._node()
        if node is None or not node["metadata"].get("uid"):
            return
        for uid, pod in static.items():
            mirror = mirrors.get(uid)
            if mirror is not None and mirror["metadata"].get("deletionTimestamp"):
                await self._delete(mirror)
                mirror = None
            if mirror is None:
                await self._create(mirror_of(pod, node))
        for uid, mirror in mirrors.items():
            if uid not in static:
                await self._delete(mirror)

    async def _create(self, mirror: Pod) -> None:
        try:
            await self._client.create("v1", "pods", mirror)
        except ApiError as error:
            if not is_already_exists(error):
                log.warning("mirror pod refused", pod=mirror["metadata"]["name"], error=error.message)
        except ConnectError as error:
            log.info("mirror pod waits for the API", error=str(error))

    async def _delete(self, mirror: Pod) -> None:
        meta = mirror["metadata"]
        try:
            await self._client.delete(
                "v1", "pods", meta["name"], namespace=meta["namespace"], grace_period_seconds=0, uid=meta["uid"]
            )
        except ApiError as error:
            if not is_not_found(error):
                log.warning("mirror pod not deleted", pod=meta["name"], error=error.message)
        except ConnectError as error:
            log.info("mirror pod waits for the API", error=str(error))

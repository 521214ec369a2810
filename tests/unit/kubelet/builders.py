"""Small pods and runtime states for tests of pure code."""

from __future__ import annotations

from typing import Any

from kubelet.observed import EXITED, RUNNING, Container, Observed, PodRuntime, Sandbox
from kubelet.podspec import container_hash

IMAGE = "localhost/busybox:1"


def container(name: str = "c", **more: Any) -> dict[str, Any]:
    return {"name": name, "image": IMAGE, **more}


def pod(*containers: dict[str, Any], init: list[dict[str, Any]] | None = None, **spec: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {"containers": list(containers) or [container()], **spec}
    if init:
        whole["initContainers"] = init
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "ns", "uid": "u1", "generation": 1},
        "spec": whole,
        "status": {"phase": "Pending", "qosClass": "BestEffort"},
    }


SANDBOX = Sandbox("s0", 0, True, 1.0, ("10.244.0.5",))


def running(name: str = "c", **more: Any) -> Container:
    spec = {
        "id": f"{name}-0",
        "name": name,
        "sandbox_id": "s0",
        "state": RUNNING,
        "created_at": 5.0,
        "started_at": 5.0,
        "hash": container_hash(container(name)),
        "image": IMAGE,
        "image_id": "sha256:1",
    }
    return Container(**{**spec, **more})


def exited(name: str = "c", code: int = 0, **more: Any) -> Container:
    return running(name, **{"state": EXITED, "exit_code": code, "finished_at": 8.0, **more})


def observed(*containers: Container, sandboxes: tuple[Sandbox, ...] = (SANDBOX,), **more: Any) -> Observed:
    """Every running container is started and ready unless the test says otherwise."""
    alive = frozenset(c.id for c in containers if c.is_running)
    return Observed(
        PodRuntime("u1", "ns", "p", sandboxes, tuple(containers)), **{"started": alive, "ready": alive, **more}
    )

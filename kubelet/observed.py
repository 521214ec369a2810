"""What the runtime has of a pod, as plain values: the input of every decision.

Built by `observer.py` from CRI answers, or by a test from nothing. Times are seconds since the epoch; 0 means "not
yet". Containers and sandboxes are newest first, because "the latest of that name" is the question everyone asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubelet.plan.resize import Resize

CREATED, RUNNING, EXITED, UNKNOWN = "created", "running", "exited", "unknown"


@dataclass(frozen=True, slots=True)
class Container:
    id: str
    name: str
    sandbox_id: str
    state: str
    restart_count: int = 0
    created_at: float = 0.0
    started_at: float = 0.0
    finished_at: float = 0.0
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    image: str = ""
    image_id: str = ""
    hash: str = ""
    backoff_step: int = 0
    log_path: str = ""
    grace_seconds: int = 30
    user: Mapping[str, object] | None = None

    @property
    def is_running(self) -> bool:
        return self.state == RUNNING

    @property
    def is_exited(self) -> bool:
        return self.state == EXITED

    @property
    def succeeded(self) -> bool:
        return self.state == EXITED and self.exit_code == 0


@dataclass(frozen=True, slots=True)
class Sandbox:
    id: str
    attempt: int
    ready: bool
    created_at: float = 0.0
    ips: tuple[str, ...] = ()
    host_network: bool = False


@dataclass(frozen=True, slots=True)
class PodRuntime:
    """Everything of one pod that the runtime knows."""

    uid: str
    namespace: str = ""
    name: str = ""
    sandboxes: tuple[Sandbox, ...] = ()
    containers: tuple[Container, ...] = ()

    @property
    def sandbox(self) -> Sandbox | None:
        """The newest sandbox, ready or not."""
        return self.sandboxes[0] if self.sandboxes else None

    def history(self, name: str) -> list[Container]:
        return [container for container in self.containers if container.name == name]

    def latest(self, name: str) -> Container | None:
        return next((container for container in self.containers if container.name == name), None)

    def running(self) -> list[Container]:
        return [container for container in self.containers if container.is_running]

    def unfinished(self) -> list[Container]:
        """Containers that still have to end: running, created, or in a state the runtime cannot tell."""
        return [container for container in self.containers if not container.is_exited]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a container could not be started, in the API's words, and when to try again."""

    reason: str
    message: str
    retry_at: float


@dataclass(frozen=True, slots=True)
class Ending:
    """The pod has to end. ``reason`` and ``message`` go to its status (empty for a deletion).

    ``refused`` means that the node never admitted it: no container statuses are reported.
    """

    since: float
    grace_seconds: int
    reason: str = ""
    message: str = ""
    refused: bool = False
    #: Told as a DisruptionTarget condition: the node, not the pod, is the cause.
    disruption: bool = False


@dataclass(frozen=True, slots=True)
class Observed:
    """The runtime's state plus what the agent learned by itself: probe results, failures, the decision to end."""

    runtime: PodRuntime
    started: frozenset[str] = frozenset()
    ready: frozenset[str] = frozenset()
    unhealthy: Mapping[str, str] = field(default_factory=dict)
    failures: Mapping[str, Failure] = field(default_factory=dict)
    ending: Ending | None = None
    volumes_ready: bool = True
    in_force: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    resize: Resize | None = None

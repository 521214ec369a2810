"""The vocabulary between deciding and doing. A plan is a list of these; the executor does them in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class CreateSandbox:
    attempt: int


@dataclass(frozen=True, slots=True)
class StopSandbox:
    sandbox_id: str


@dataclass(frozen=True, slots=True)
class StartContainer:
    """Pull if needed, create, start, run the postStart hook."""

    name: str
    restart_count: int = 0
    backoff_step: int = 0


@dataclass(frozen=True, slots=True)
class Stop:
    """One container's end. ``message`` becomes the Killing event; an empty one makes no event."""

    container_id: str
    name: str
    grace_seconds: int
    message: str
    run_pre_stop: bool = True


@dataclass(frozen=True, slots=True)
class StopContainers:
    """All at the same time; done when the last has ended."""

    stops: tuple[Stop, ...]


@dataclass(frozen=True, slots=True)
class ResizeContainer:
    """New CPU and memory for a running container."""

    container_id: str
    name: str


@dataclass(frozen=True, slots=True)
class RemoveContainer:
    container_id: str


@dataclass(frozen=True, slots=True)
class RemoveSandbox:
    sandbox_id: str


@dataclass(frozen=True, slots=True)
class ReportBackOff:
    """Tells by an event, once for each end of the container, that its restart is delayed."""

    container_id: str
    name: str


Action = (
    CreateSandbox
    | StopSandbox
    | StartContainer
    | StopContainers
    | ResizeContainer
    | RemoveContainer
    | RemoveSandbox
    | ReportBackOff
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a container is not running, for the status."""

    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, when to look again without being woken, and what to say meanwhile.

    ``finished``: nothing of the pod runs and nothing will; its resources may go.
    """

    actions: tuple[Action, ...] = ()
    wake_at: float | None = None
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    finished: bool = False


class Draft:
    """A plan in the making: the parts of the planner add to it."""

    def __init__(self) -> None:
        self.actions: list[Action] = []
        self.waiting: dict[str, Waiting] = {}
        self.wake_at: float | None = None

    def add(self, *actions: Action) -> None:
        self.actions.extend(actions)

    def wake(self, at: float) -> None:
        self.wake_at = at if self.wake_at is None else min(self.wake_at, at)

    def done(self, *, finished: bool = False) -> Plan:
        return Plan(tuple(self.actions), self.wake_at, dict(self.waiting), finished)

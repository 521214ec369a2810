"""How a pod prints: one word for its whole state."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from machinery.api.printers.cells import NONE, age, container_cells, format_labels, name_of, spec_of, status_of
from machinery.api.printers.columns import AGE, CONTAINERS, IMAGES, NAME, Cells, Column, Printer, wide
from machinery.api.printers.durations import human_duration, parse_instant

Object = dict[str, Any]

POD_COLUMNS = (
    NAME,
    Column("Ready", text="The aggregate readiness state of this pod for accepting traffic."),
    Column("Status", text="The aggregate status of the containers in this pod."),
    Column(
        "Restarts",
        text="The number of times the containers in this pod have been restarted and when the last container in this "
        "pod has restarted.",
    ),
    AGE,
    wide("IP", doc="core.v1.PodStatus.podIP"),
    wide("Node", doc="core.v1.PodSpec.nodeName"),
    wide("Nominated Node", doc="core.v1.PodStatus.nominatedNodeName"),
    wide("Readiness Gates", doc="core.v1.PodSpec.readinessGates"),
)


class _Restarts:
    """How often containers were restarted, and when the last time was."""

    def __init__(self) -> None:
        self.count = 0
        self.last_at: datetime | None = None

    def add(self, status: Object) -> None:
        self.count += status.get("restartCount", 0)
        ended = (status.get("lastState") or {}).get("terminated")
        at = parse_instant(ended.get("finishedAt")) if ended else None
        if at is not None and (self.last_at is None or self.last_at < at):
            self.last_at = at

    def text(self, now: datetime) -> str:
        if self.count and self.last_at is not None:
            return f"{self.count} ({human_duration((now - self.last_at).total_seconds())} ago)"
        return str(self.count)


class PodSummary:
    """The words of one pod: ``reason``, ready and total containers, restarts."""

    def __init__(self, pod: Object) -> None:
        self.spec, self.status = spec_of(pod), status_of(pod)
        self.total = len(self.spec.get("containers") or ())
        self.ready = 0
        self.restarts = _Restarts()
        self.reason = self.status.get("reason") or self.status.get("phase") or ""
        for condition in self.status.get("conditions") or ():
            if condition.get("type") == "PodScheduled" and condition.get("reason") == "SchedulingGated":
                self.reason = "SchedulingGated"
        sidecars = _Restarts()
        initializing = self._init_containers(sidecars)
        if not initializing or self._condition("Initialized"):
            self.restarts = sidecars
            self._containers()
        if pod["metadata"].get("deletionTimestamp"):
            if self.status.get("reason") == "NodeLost":
                self.reason = "Unknown"
            elif self.status.get("phase") not in ("Succeeded", "Failed"):
                self.reason = "Terminating"

    def _init_containers(self, sidecars: _Restarts) -> bool:
        """Judge the init containers in order; True while one of them still has to finish."""
        containers = self.spec.get("initContainers") or ()
        restartable = {one.get("name") for one in containers if one.get("restartPolicy") == "Always"}
        self.total += len(restartable)
        for index, status in enumerate(self.status.get("initContainerStatuses") or ()):
            self.restarts.add(status)
            sidecar = status.get("name") in restartable
            if sidecar:
                sidecars.add(status)
            state = status.get("state") or {}
            ended, waiting = state.get("terminated"), state.get("waiting")
            if ended is not None and ended.get("exitCode", 0) == 0:
                continue
            if sidecar and status.get("started"):
                self.ready += bool(status.get("ready"))
                continue
            if ended is not None:
                self.reason = "Init:" + (ended.get("reason") or _exit_word(ended))
            elif waiting is not None and waiting.get("reason") not in (None, "", "PodInitializing"):
                self.reason = f"Init:{waiting['reason']}"
            else:
                self.reason = f"Init:{index}/{len(containers)}"
            return True
        return False

    def _containers(self) -> None:
        running = False
        for status in reversed(self.status.get("containerStatuses") or ()):
            self.restarts.add(status)
            state = status.get("state") or {}
            waiting, ended = state.get("waiting") or {}, state.get("terminated")
            if waiting.get("reason"):
                self.reason = waiting["reason"]
            elif ended is not None and ended.get("reason"):
                self.reason = ended["reason"]
            elif ended is not None:
                self.reason = _exit_word(ended)
            elif status.get("ready") and state.get("running") is not None:
                running = True
                self.ready += 1
        if self.reason == "Completed" and running:
            self.reason = "Running" if self._condition("Ready") else "NotReady"

    def _condition(self, type_: str) -> bool:
        conditions = self.status.get("conditions") or ()
        return any(one.get("type") == type_ and one.get("status") == "True" for one in conditions)


def _exit_word(ended: Object) -> str:
    return f"Signal:{ended['signal']}" if ended.get("signal") else f"ExitCode:{ended.get('exitCode', 0)}"


def _pod_row(pod: Object, now: datetime) -> Cells:
    summary = PodSummary(pod)
    status = summary.status
    addresses = status.get("podIPs") or [{}]
    return [
        name_of(pod), f"{summary.ready}/{summary.total}", summary.reason, summary.restarts.text(now), age(pod, now),
        addresses[0].get("ip") or status.get("podIP") or NONE, summary.spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE, _readiness_gates(summary),
    ]  # fmt: skip


def _readiness_gates(summary: PodSummary) -> str:
    gates = summary.spec.get("readinessGates") or ()
    if not gates:
        return NONE
    conditions = {one.get("type"): one.get("status") for one in summary.status.get("conditions") or ()}
    return f"{sum(conditions.get(gate.get('conditionType')) == 'True' for gate in gates)}/{len(gates)}"


_COMPLETED = {
    "Succeeded": ("Succeeded", "The pod has completed successfully."),
    "Failed": ("Failed", "The pod failed."),
}


def _pod_conditions(pod: Object) -> list[Object]:
    found = _COMPLETED.get(status_of(pod).get("phase", ""))
    if found is None:
        return []
    return [{"type": "Completed", "status": "True", "reason": found[0], "message": found[1]}]


def _template_row(obj: Object, now: datetime) -> Cells:
    template = obj.get("template") or {}
    return [name_of(obj), *container_cells(template), format_labels((template.get("metadata") or {}).get("labels"))]


PRINTERS = {
    ("v1", "Pod"): Printer(POD_COLUMNS, _pod_row, _pod_conditions),
    ("v1", "PodTemplate"): Printer(
        (
            NAME,
            Column("Containers", text=CONTAINERS.text),
            Column("Images", text=IMAGES.text),
            Column("Pod Labels", text="The labels for the pod template."),
        ),
        _template_row,
    ),
}

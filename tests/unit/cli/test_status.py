"""Why something is not well, in one line."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from cli.local.node_health import why_not_ready
from cli.local.status import pod_problem
from cli.objects.rollout_state import rollout_state

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
NOW_TEXT, BEFORE_TEXT = "2026-11-24T12:00:00Z", "2026-11-24T11:00:00Z"


def node(status: str = "True", heartbeat: str = NOW_TEXT, message: str = "") -> dict[str, Any]:
    condition = {"type": "Ready", "status": status, "lastHeartbeatTime": heartbeat, "message": message, "reason": "R"}
    return {"metadata": {"name": "n"}, "status": {"conditions": [condition]}}


@pytest.mark.parametrize(
    ("api_node", "lease", "since", "reason"),
    [
        (node(), None, None, "its agent is not running"),
        (None, None, NOW.timestamp(), "it has not registered yet"),
        ({"metadata": {}, "status": {}}, None, NOW.timestamp(), "it has not reported its status yet"),
        (node(heartbeat=BEFORE_TEXT), None, NOW.timestamp(), "its new agent has not reported yet"),
        (node(heartbeat=BEFORE_TEXT), {"spec": {"renewTime": NOW_TEXT}}, NOW.timestamp(), None),
        (node("False", message="no network"), None, NOW.timestamp(), "no network"),
        (node("Unknown"), None, NOW.timestamp(), "R"),
        (node(), None, NOW.timestamp() + 0.9, None),
    ],
)
def test_why_a_node_is_not_ready(
    api_node: dict[str, Any] | None, lease: dict[str, Any] | None, since: float | None, reason: str | None
) -> None:
    assert why_not_ready(api_node, lease, since) == reason


def pod(**status: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "d", "name": "p"}, "spec": {}, "status": status}


def test_problems_of_pods() -> None:
    waiting = {"name": "c", "state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}}
    assert pod_problem(pod(containerStatuses=[waiting])) == "pod d/p: c: ErrImagePull: no such image"
    starting = {"name": "c", "state": {"waiting": {"reason": "ContainerCreating"}}}
    assert pod_problem(pod(containerStatuses=[starting])) is None
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    assert pod_problem(pod(conditions=[unscheduled])) == "pod d/p: Unschedulable: 0/1 nodes"
    assert pod_problem(pod(phase="Running")) is None


def deployment(**status: Any) -> dict[str, Any]:
    return {"kind": "Deployment", "metadata": {"name": "w", "generation": 2}, "spec": {"replicas": 3},
            "status": {"observedGeneration": 2, **status}}  # fmt: skip


FINISHING = 'Waiting for deployment "w" rollout to finish: '


@pytest.mark.parametrize(
    ("status", "message", "complete"),
    [
        ({"observedGeneration": 1}, "Waiting for deployment spec update to be observed...", False),
        ({"updatedReplicas": 1}, f"{FINISHING}1 out of 3 new replicas have been updated...", False),
        ({"updatedReplicas": 3, "replicas": 4}, f"{FINISHING}1 old replicas are pending termination...", False),
        (
            {"updatedReplicas": 3, "replicas": 3, "availableReplicas": 2},
            f"{FINISHING}2 of 3 updated replicas are available...",
            False,
        ),
        ({"updatedReplicas": 3, "replicas": 3, "availableReplicas": 3}, 'deployment "w" successfully rolled out', True),
    ],
)
def test_a_rollout_in_kubectls_words(status: dict[str, Any], message: str, complete: bool) -> None:
    state = rollout_state(deployment(**status))
    assert (state.message, state.complete) == (message, complete)


def test_a_rollout_that_exceeded_its_deadline_has_failed() -> None:
    condition = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    state = rollout_state(deployment(conditions=[condition]))
    assert state.failed
    assert state.message == 'deployment "w" exceeded its progress deadline'

"""What is said about a pod in each state; recorded answers are the model."""

from __future__ import annotations

from dataclasses import replace

from kubelet.observed import Ending
from kubelet.plan import plan_pod
from kubelet.status import NodeFacts, compute_status
from kubelet.status.writer import status_patch
from tests.unit.kubelet.builders import SANDBOX, container, exited, observed, pod, running

NODE = NodeFacts(("10.200.0.11",))
STOPPED = replace(SANDBOX, ready=False)


def status(p, seen, now: float = 10.0):
    plan = plan_pod(p, seen, now)
    return compute_status(p, seen, plan.waiting, NODE, now, ended=plan.finished)


def conditions(found):
    return [(c["type"], c["status"], c.get("reason")) for c in found["conditions"]]


def test_running() -> None:
    found = status(pod(), observed(running()))
    assert found["phase"] == "Running"
    assert conditions(found) == [
        (t, "True", None)
        for t in ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    ]
    assert found["podIP"] == "10.244.0.5"
    assert found["hostIPs"] == [{"ip": "10.200.0.11"}]
    assert found["observedGeneration"] == 1
    (c,) = found["containerStatuses"]
    assert c["state"] == {"running": {"startedAt": "1970-01-01T00:00:05Z"}}
    assert (c["ready"], c["started"], c["restartCount"], c["lastState"], c["resources"]) == (True, True, 0, {}, {})
    assert c["containerID"] == "containerd://c-0"


def test_before_the_sandbox() -> None:
    found = status(pod(), observed(sandboxes=()))
    assert found["phase"] == "Pending"
    assert found["containerStatuses"][0]["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert conditions(found)[0] == ("PodReadyToStartContainers", "False", None)
    assert conditions(found)[2] == ("Ready", "False", "ContainersNotReady")
    assert found["conditions"][2]["message"] == "containers with unready status: [c]"


def test_success_is_told_when_the_sandbox_is_gone() -> None:
    p = pod(restartPolicy="Never")
    ending = Ending(9.0, 30)
    assert status(p, observed(exited(), ending=ending))["phase"] == "Running"
    found = status(p, observed(exited(), sandboxes=(STOPPED,), ending=ending))
    assert found["phase"] == "Succeeded"
    assert conditions(found) == [
        ("PodReadyToStartContainers", "False", None),
        ("Initialized", "True", "PodCompleted"),
        ("Ready", "False", "PodCompleted"),
        ("ContainersReady", "False", "PodCompleted"),
        ("PodScheduled", "True", None),
    ]
    assert found["containerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"


def test_failure_with_a_message() -> None:
    end = exited(code=3, message="last words\n")
    found = status(pod(restartPolicy="Never"), observed(end, sandboxes=(STOPPED,), ending=Ending(9.0, 30)))
    assert found["phase"] == "Failed"
    state = found["containerStatuses"][0]["state"]["terminated"]
    assert (state["exitCode"], state["reason"], state["message"]) == (3, "Error", "last words\n")
    assert conditions(found)[1:4] == [
        ("Initialized", "True", None),
        ("Ready", "False", "PodFailed"),
        ("ContainersReady", "False", "PodFailed"),
    ]


def test_crash_loop_is_running_by_phase() -> None:
    end = exited(code=1, restart_count=1, backoff_step=1)
    found = status(pod(), observed(end))
    c = found["containerStatuses"][0]
    assert found["phase"] == "Running"
    assert c["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert c["lastState"]["terminated"]["exitCode"] == 1
    assert (c["ready"], c["started"]) == (False, False)


def test_an_init_container_that_runs() -> None:
    found = status(pod(init=[container("i1")]), observed(running("i1")))
    assert found["phase"] == "Pending"
    assert conditions(found)[1] == ("Initialized", "False", "ContainersNotInitialized")
    assert found["conditions"][1]["message"] == "containers with incomplete status: [i1]"
    assert found["containerStatuses"][0]["state"] == {"waiting": {"reason": "PodInitializing"}}
    assert (found["initContainerStatuses"][0]["started"], found["initContainerStatuses"][0]["ready"]) == (True, False)


def test_an_init_container_that_failed_for_good() -> None:
    p = pod(init=[container("i1")], restartPolicy="Never")
    found = status(p, observed(exited("i1", 2), sandboxes=(STOPPED,), ending=Ending(9.0, 30)))
    assert found["phase"] == "Failed"
    assert conditions(found)[1:3] == [
        ("Initialized", "False", "ContainersNotInitialized"),
        ("Ready", "False", "PodFailed"),
    ]
    assert found["containerStatuses"][0]["state"] == {"waiting": {"reason": "PodInitializing"}}


def test_a_sidecar_counts_among_the_ready() -> None:
    p = pod(init=[container("s", restartPolicy="Always")])
    seen = observed(running("c"), running("s"), ready=frozenset({"c-0"}))
    assert status(p, seen)["conditions"][2]["message"] == "containers with unready status: [s]"


def test_a_refused_pod_shows_no_containers() -> None:
    refused = Ending(9.0, 0, "OutOfcpu", "Node didn't have enough resource: cpu", refused=True)
    found = status(pod(), observed(sandboxes=(), ending=refused))
    assert (found["phase"], found["reason"], "containerStatuses" in found) == ("Failed", "OutOfcpu", False)


def test_a_deadline_fails_the_pod_once_it_has_ended() -> None:
    ending = Ending(9.0, 30, "DeadlineExceeded", "too long")
    assert status(pod(), observed(running(), ending=ending))["phase"] == "Running"
    found = status(pod(), observed(exited(code=137), sandboxes=(STOPPED,), ending=ending))
    assert (found["phase"], found["reason"], found["message"]) == ("Failed", "DeadlineExceeded", "too long")


def test_readiness_gates_of_others() -> None:
    p = pod(readinessGates=[{"conditionType": "x/y"}])
    found = status(p, observed(running()))
    assert conditions(found)[2] == ("Ready", "False", "ReadinessGatesNotReady")
    p["status"]["conditions"] = [{"type": "x/y", "status": "True"}]
    assert conditions(status(p, observed(running())))[2] == ("Ready", "True", None)


def test_computing_again_from_what_was_written_changes_nothing() -> None:
    p = pod()
    first = status(p, observed(running()), 10.0)
    again = status({**p, "status": first}, observed(running()), 99.0)
    assert status_patch(first, again) == {}


def test_what_a_collected_container_was_stays() -> None:
    p = pod(restartPolicy="Never")
    first = status(p, observed(exited(), sandboxes=(STOPPED,), ending=Ending(9.0, 30)))
    later = status({**p, "status": first}, observed(sandboxes=(), ending=Ending(9.0, 30)))
    assert later["containerStatuses"][0]["state"] == first["containerStatuses"][0]["state"]
    assert later["phase"] == "Succeeded"


def test_a_patch_keeps_the_conditions_of_others_and_clears_what_is_gone() -> None:
    before = {"conditions": [{"type": "x/y", "status": "True"}], "reason": "Old", "phase": "Pending"}
    patch = status_patch(before, {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]})
    assert [c["type"] for c in patch["conditions"]] == ["Ready", "x/y"]
    assert patch["reason"] is None
    assert patch["phase"] == "Running"


def test_a_deleted_pod_ends_in_the_phase_that_its_containers_earned() -> None:
    ending = Ending(9.0, 30)
    assert status(pod(), observed(exited(), sandboxes=(STOPPED,), ending=ending))["phase"] == "Succeeded"
    assert status(pod(), observed(exited(code=137), sandboxes=(STOPPED,), ending=ending))["phase"] == "Failed"
    assert status(pod(), observed(sandboxes=(), ending=ending))["phase"] == "Pending"


def test_an_eviction_by_the_node_is_told_as_a_disruption_once() -> None:
    ending = Ending(9.0, 0, "Evicted", "The node was low on resource: memory. ", disruption=True)
    found = status(pod(), observed(exited(code=137), sandboxes=(STOPPED,), ending=ending))
    assert (found["phase"], found["reason"]) == ("Failed", "Evicted")
    assert found["conditions"][0]["type"] == "DisruptionTarget"
    assert found["conditions"][0]["reason"] == "TerminationByKubelet"
    ours = {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}
    theirs = {**ours, "reason": "DeletionByTaintManager"}
    assert status_patch({"conditions": []}, {"conditions": [ours]})["conditions"] == [ours]
    assert status_patch({"conditions": [theirs]}, {"conditions": [ours]}) == {}


def test_a_start_that_was_broken_off_never_shows_as_an_end() -> None:
    broken = exited(code=128, reason="StartError", message="context canceled")
    found = status(pod(restartPolicy="Never"), observed(broken))
    assert found["containerStatuses"][0]["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert found["phase"] == "Pending"

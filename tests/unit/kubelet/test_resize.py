"""Resources that change under a running container."""

from __future__ import annotations

import json

from kubelet.observed import Failure
from kubelet.plan import plan_pod
from kubelet.plan.actions import ResizeContainer, Stop, StopContainers
from kubelet.plan.resize import Resize, compute_resize, describe_resize, differing_resources, resources_in_force
from kubelet.status import NodeFacts, compute_status
from tests.unit.kubelet.builders import container, observed, pod, running

NODE = {"status": {"allocatable": {"cpu": "2", "memory": "1Gi"}}}
OLD = {"requests": {"cpu": "100m", "memory": "64Mi"}}


def asking(cpu: str = "100m", memory: str = "64Mi", **more):
    return pod(container(resources={"requests": {"cpu": cpu, "memory": memory}}, **more))


def resize(p, others=(), in_force=None):
    return compute_resize(p, observed(running()).runtime, {"c-0": in_force or OLD}, list(others), NODE)


def test_equal_amounts_are_no_change() -> None:
    assert resize(asking("0.1", "65536Ki")) is None
    assert differing_resources({"limits": {"cpu": "1"}}, {}) == {"cpu"}


def test_what_fits_is_done_in_place_or_by_a_restart() -> None:
    found = resize(asking("200m"))
    assert found is not None
    seen = observed(running(), resize=found, in_force={"c-0": OLD})
    assert plan_pod(asking("200m"), seen, 1.0).actions == (ResizeContainer("c-0", "c"),)
    policy = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
    p = asking(memory="128Mi", resizePolicy=policy)
    found = resize(p)
    seen = observed(running(), resize=found, in_force={"c-0": OLD})
    assert plan_pod(p, seen, 1.0).actions == (
        StopContainers((Stop("c-0", "c", 30, "Container c resize requires restart"),)),
    )
    assert resize(asking("200m", resizePolicy=policy)).changes[0].restart is False


def test_what_never_fits_and_what_does_not_fit_now() -> None:
    assert resize(asking("800")) == Resize(
        (), "Infeasible", "Node didn't have enough capacity: cpu, requested: 800000, capacity: 2000"
    )
    found = resize(asking("1500m"), [asking("600m")])
    assert found is not None
    assert found.reason == "Deferred"
    assert found.message == "Node didn't have enough resource: cpu, requested: 1500, used: 600, capacity: 2000"
    plan = plan_pod(asking("1500m"), observed(running(), resize=found, in_force={"c-0": OLD}), 1.0)
    assert (plan.actions, plan.wake_at) == ((), 11.0)


def test_the_status_says_what_is_in_force_and_why_it_waits() -> None:
    p = asking("800")
    seen = observed(running(), resize=resize(p), in_force={"c-0": OLD})
    status = compute_status(p, seen, {}, NodeFacts(), 1.0)
    assert status["containerStatuses"][0]["resources"] == OLD
    assert status["containerStatuses"][0]["allocatedResources"] == OLD["requests"]
    first = status["conditions"][0]
    assert (first["type"], first["status"], first["reason"]) == ("PodResizePending", "True", "Infeasible")
    p["status"]["conditions"] = status["conditions"]
    after = compute_status(p, observed(running(), in_force={"c-0": OLD}), {}, NodeFacts(), 1.0)
    assert after["conditions"][0]["type"] == "PodReadyToStartContainers"
    broken = observed(running(), resize=Resize((), error="busy"))
    assert compute_status(p, broken, {}, NodeFacts(), 1.0)["conditions"][0]["reason"] == "Error"


def test_a_failed_try_waits() -> None:
    p = asking("200m")
    seen = observed(running(), resize=resize(p), failures={"resize/c": Failure("Error", "busy", 9.0)})
    plan = plan_pod(p, seen, 1.0)
    assert (plan.actions, plan.wake_at) == ((), 9.0)


def test_a_restarted_agent_reads_what_is_in_force_from_the_status() -> None:
    status = {
        "containerStatuses": [
            {"containerID": "containerd://c-0", "resources": OLD},
            {"containerID": "containerd://gone", "resources": {}},
        ]
    }
    assert resources_in_force(status, observed(running()).runtime) == {"c-0": OLD}


def test_events_carry_the_whole_request() -> None:
    p = asking("200m")
    assert json.loads(describe_resize(p, "why")) == {
        "containers": [{"name": "c", "resources": {"requests": {"cpu": "200m", "memory": "64Mi"}}}],
        "generation": 1,
        "error": "why",
    }

"""What is done for a pod in each state."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kubelet.observed import CREATED, Ending, Failure
from kubelet.plan import completion, plan_pod
from kubelet.plan.actions import (
    CreateSandbox,
    RemoveContainer,
    ReportBackOff,
    StartContainer,
    Stop,
    StopContainers,
    StopSandbox,
)
from kubelet.plan.restart import format_duration, next_restart
from tests.unit.kubelet.builders import SANDBOX, container, exited, observed, pod, running


def actions(*arguments):
    return list(plan_pod(*arguments).actions)


def test_a_new_pod_gets_a_sandbox_then_its_containers() -> None:
    two = pod(container("a"), container("b"))
    assert actions(two, observed(sandboxes=()), 10.0) == [CreateSandbox(0)]
    assert actions(two, observed(), 10.0) == [StartContainer("a"), StartContainer("b")]


def test_nothing_starts_before_the_volumes_are_ready() -> None:
    assert actions(pod(), observed(sandboxes=(), volumes_ready=False), 10.0) == []


def test_a_running_pod_needs_nothing() -> None:
    plan = plan_pod(pod(), observed(running()), 10.0)
    assert plan.actions == ()
    assert plan.wake_at is None


def test_a_dead_sandbox_is_replaced_and_its_containers_are_ended() -> None:
    dead = replace(SANDBOX, ready=False)
    plan = actions(pod(), observed(running(), sandboxes=(dead,)), 10.0)
    assert plan[0] == StopContainers((Stop("c-0", "c", 0, "", run_pre_stop=False),))
    assert plan[1:] == [StopSandbox("s0"), CreateSandbox(1)]


def test_a_sandbox_without_an_address_is_made_anew_but_on_the_hosts_network_it_needs_none() -> None:
    without = replace(SANDBOX, ips=())
    assert CreateSandbox(1) in actions(pod(), observed(sandboxes=(without,)), 10.0)
    on_host = replace(without, host_network=True)
    assert actions(pod(hostNetwork=True), observed(sandboxes=(on_host,)), 10.0) == [StartContainer("c")]


def test_a_container_of_an_earlier_sandbox_counts_on() -> None:
    new = replace(SANDBOX, id="s1", attempt=1)
    plan = actions(pod(), observed(exited(code=137, restart_count=2), sandboxes=(new,)), 10.0)
    assert plan == [StartContainer("c", 3)]


def test_init_containers_run_one_after_another() -> None:
    p = pod(init=[container("i1"), container("i2")])
    assert actions(p, observed(), 10.0) == [StartContainer("i1")]
    assert actions(p, observed(running("i1")), 10.0) == []
    assert actions(p, observed(exited("i1")), 10.0) == [StartContainer("i2")]
    assert actions(p, observed(exited("i2"), exited("i1")), 10.0) == [StartContainer("c")]


def test_init_results_are_not_needed_once_the_pod_runs() -> None:
    assert actions(pod(init=[container("i1")]), observed(running("c")), 10.0) == []


def test_a_failed_init_container_may_be_tried_again_or_fails_the_pod() -> None:
    p = pod(init=[container("i1")])
    assert actions(p, observed(exited("i1", 1)), 10.0) == [StartContainer("i1", 1, 1)]
    never = pod(init=[container("i1")], restartPolicy="Never")
    assert actions(never, observed(exited("i1", 1)), 10.0) == []
    assert completion(never, observed(exited("i1", 1)))
    assert not completion(p, observed(exited("i1", 1)))


def test_a_sidecar_must_have_started_before_the_next() -> None:
    p = pod(init=[container("s", restartPolicy="Always"), container("i")])
    assert actions(p, observed(), 10.0) == [StartContainer("s")]
    assert actions(p, observed(running("s"), started=frozenset()), 10.0) == []
    assert actions(p, observed(running("s")), 10.0) == [StartContainer("i")]


def test_the_first_restart_is_immediate_then_the_delay_doubles() -> None:
    p = pod()
    assert actions(p, observed(exited(code=1)), 8.0) == [StartContainer("c", 1, 1)]
    second = exited(code=1, restart_count=1, backoff_step=1)
    plan = plan_pod(p, observed(second), 9.0)
    assert plan.actions == (ReportBackOff("c-0", "c"),)
    assert plan.wake_at == 18.0
    assert plan.waiting["c"].reason == "CrashLoopBackOff"
    assert plan.waiting["c"].message == "back-off 10s restarting failed container=c pod=p_ns(u1)"
    assert actions(p, observed(second), 18.0) == [StartContainer("c", 2, 2)]


@pytest.mark.parametrize(("step", "delay"), [(0, 0), (1, 10), (2, 20), (5, 160), (6, 300), (40, 300)])
def test_back_off_steps(step: int, delay: float) -> None:
    assert next_restart(exited(code=1, backoff_step=step)).delay_seconds == delay


def test_ten_minutes_of_running_forgive() -> None:
    long = exited(code=1, backoff_step=5, started_at=0.1, finished_at=700.0)
    assert next_restart(long).delay_seconds == 0
    assert next_restart(long).step == 1


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [
        ("Always", 0, True),
        ("Always", 1, True),
        ("OnFailure", 0, False),
        ("OnFailure", 1, True),
        ("Never", 0, False),
        ("Never", 1, False),
    ],
)
def test_restart_policies(policy: str, code: int, again: bool) -> None:
    p = pod(restartPolicy=policy)
    assert bool(actions(p, observed(exited(code=code)), 8.0)) is again
    assert completion(p, observed(exited(code=code))) is not again


def test_rules_of_a_container_come_before_its_policy() -> None:
    rule = {"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}
    p = pod(container(restartPolicy="Never", restartPolicyRules=[rule]), restartPolicy="Never")
    assert actions(p, observed(exited(code=42)), 8.0) == [StartContainer("c", 1, 1)]
    assert actions(p, observed(exited(code=1)), 8.0) == []


def test_a_changed_image_replaces_the_container_whatever_the_policy() -> None:
    p = pod(container(image="localhost/busybox:2"), restartPolicy="Never")
    plan = actions(p, observed(running()), 10.0)
    assert plan == [StopContainers((Stop("c-0", "c", 30, "Container c definition changed, will be restarted"),))]
    assert actions(p, observed(exited(code=137)), 10.0) == [StartContainer("c", 1)]


def test_an_unhealthy_container_is_stopped_with_the_probes_own_grace() -> None:
    p = pod(container(livenessProbe={"terminationGracePeriodSeconds": 4}))
    plan = actions(p, observed(running(), unhealthy={"c-0": "liveness"}), 10.0)
    assert plan == [StopContainers((Stop("c-0", "c", 4, "Container c failed liveness probe, will be restarted"),))]


def test_a_container_that_was_made_and_not_started_is_made_again() -> None:
    half = running(state=CREATED, restart_count=2)
    assert actions(pod(), observed(half), 10.0) == [RemoveContainer("c-0"), StartContainer("c", 2, 0)]


def test_a_failed_start_waits_with_its_reason() -> None:
    failure = Failure("CreateContainerConfigError", 'secret "x" not found', 20.0)
    plan = plan_pod(pod(), observed(failures={"c": failure}), 10.0)
    assert plan.actions == ()
    assert plan.wake_at == 20.0
    assert plan.waiting["c"].reason == "CreateContainerConfigError"
    again = plan_pod(pod(), observed(failures={"c": failure}), 20.0)
    assert again.actions == (StartContainer("c"),)
    assert again.waiting["c"].message == 'secret "x" not found'


def test_ephemeral_containers_start_once() -> None:
    p = pod(ephemeralContainers=[container("dbg")])
    assert actions(p, observed(running()), 10.0) == [StartContainer("dbg")]
    assert actions(p, observed(running(), exited("dbg", 1)), 10.0) == []


def test_the_end_stops_main_containers_together_then_sidecars_backwards_then_the_sandbox() -> None:
    p = pod(
        container("a"),
        container("b"),
        init=[container("s1", restartPolicy="Always"), container("s2", restartPolicy="Always")],
    )
    ending = Ending(10.0, 30)
    everything = [running(name) for name in ("a", "b", "s1", "s2")]
    (first,) = actions(p, observed(*everything, ending=ending), 12.0)
    assert [(s.name, s.grace_seconds) for s in first.stops] == [("a", 28), ("b", 28)]
    (second,) = actions(p, observed(running("s1"), running("s2"), ending=ending), 50.0)
    assert [(s.name, s.grace_seconds) for s in second.stops] == [("s2", 2)]
    assert actions(p, observed(exited("s1"), ending=ending), 50.0) == [StopSandbox("s0")]
    assert plan_pod(p, observed(sandboxes=(replace(SANDBOX, ready=False),), ending=ending), 50.0).finished


def test_a_pod_with_sidecars_is_complete_when_its_main_containers_are() -> None:
    p = pod(init=[container("s", restartPolicy="Always")], restartPolicy="Never")
    assert completion(p, observed(exited("c"), running("s")))
    assert not completion(p, observed(running("c"), running("s")))


def test_old_dead_containers_go_and_the_last_one_before_the_newest_stays() -> None:
    newest = running(id="n", created_at=9.0, restart_count=3)
    plan = actions(pod(), observed(newest, exited(id="b", code=1), exited(id="a", code=1)), 10.0)
    assert plan == [RemoveContainer("a")]


@pytest.mark.parametrize(("seconds", "text"), [(10, "10s"), (80, "1m20s"), (300, "5m0s"), (3600, "1h0m0s")])
def test_durations_read_as_in_go(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize("words", ["failed to create shim task: context canceled", "start failed: : signal: killed"])
def test_a_start_that_the_agents_death_broke_off_counts_for_nothing(words: str) -> None:
    broken = exited(code=128, reason="StartError", message=words, restart_count=2, backoff_step=1)
    for policy in ("Always", "Never"):
        assert actions(pod(restartPolicy=policy), observed(broken), 8.0) == [
            RemoveContainer("c-0"), StartContainer("c", 2, 1),
        ]  # fmt: skip
    real = exited(code=128, reason="StartError", message='exec: "/no/such": no such file')
    assert actions(pod(restartPolicy="Never"), observed(real), 8.0) == []

"""The controllers together on a small API in memory: chains, ends, refusals, and a server that fails by chance."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest

from controllers.context import Context, SharedInformers, drop_managed_fields
from controllers.manager import run_controllers
from controllers.options import Options
from machinery.meta import errors
from machinery.meta.conditions import get_condition
from machinery.meta.objects import format_time
from machinery.runtime.clock import SYSTEM_CLOCK
from tests.unit.controllers.builders import template
from tests.unit.controllers.fake_api import FakeApi

PATIENCE_SECONDS = 20.0


@contextlib.asynccontextmanager
async def cluster(*, without=()):
    api = FakeApi()
    options = Options(
        controllers=["*", *(f"-{name}" for name in without)], use_service_account_credentials=False,
        node_monitor_period=0.05, node_monitor_grace_period=0.4, node_startup_grace_period=0.4,
    )  # fmt: skip
    context = Context(api, SharedInformers(api, drop_managed_fields), options)
    await api.create("v1", "namespaces", {"metadata": {"name": "ns"}})
    running = asyncio.create_task(run_controllers(context))
    try:
        yield api
        assert not running.done(), running.exception()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until(condition, what=""):
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"not reached: {what or condition}"
        await asyncio.sleep(0.01)


def labelled(api, **labels):
    return [pod for pod in api.all("pods") if labels.items() <= pod["metadata"]["labels"].items()]


def run_pods(api):
    """What agents would do: every pending pod runs and is ready."""
    for pod in api.all("pods"):
        if pod["status"]["phase"] == "Pending" and not pod["metadata"].get("deletionTimestamp"):
            serial = pod["metadata"]["uid"].rpartition("-")[2]
            ready = {"type": "Ready", "status": "True", "lastTransitionTime": format_time(SYSTEM_CLOCK.now())}
            ip = f"10.1.{int(serial) // 250}.{int(serial) % 250}"
            api.set_status("pods", pod["metadata"]["name"], {
                "phase": "Running", "conditions": [ready], "podIP": ip, "podIPs": [{"ip": ip}]})  # fmt: skip


async def keep_running(api):
    while True:
        run_pods(api)
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def agents(api):
    task = asyncio.create_task(keep_running(api))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def deployment(name="web", replicas=3, image="x:1"):
    return {"metadata": {"name": name, "namespace": "ns"}, "spec": {
        "replicas": replicas, "selector": {"matchLabels": {"app": "a"}}, "template": template(image),
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "progressDeadlineSeconds": 600, "revisionHistoryLimit": 2}}  # fmt: skip


def is_rolled_out(api, name="web"):
    found = api.one("deployments", name)
    status, wanted = found.get("status") or {}, found["spec"]["replicas"]
    progress = get_condition(status.get("conditions"), "Progressing") or {}
    return (
        status.get("observedGeneration") == found["metadata"]["generation"]
        and status.get("availableReplicas", 0) == status.get("updatedReplicas", 0) == wanted
        and status.get("replicas", 0) == wanted and progress.get("reason") == "NewReplicaSetAvailable"
    )  # fmt: skip


async def test_a_namespace_gets_its_account():
    async with cluster() as api:
        await until(lambda: api.one("serviceaccounts", "default"))
        await api.delete("v1", "serviceaccounts", "default", namespace="ns")
        await until(lambda: api.one("serviceaccounts", "default"))


async def test_a_deployment_rolls_out_rolls_over_and_goes_in_the_foreground():
    async with cluster() as api, agents(api):
        await api.create("apps/v1", "deployments", deployment())
        await until(lambda: is_rolled_out(api))
        assert len(labelled(api, app="a")) == 3
        for image in ("x:2", "x:3", "x:1"):
            await api.patch("apps/v1", "deployments", "web", {"spec": {"template": template(image)}}, namespace="ns")
            await asyncio.sleep(0.02)
        await until(lambda: is_rolled_out(api))
        images = {pod["spec"]["containers"][0]["image"] for pod in labelled(api, app="a")}
        assert images == {"x:1"}
        await api.delete("apps/v1", "deployments", "web", namespace="ns", propagation_policy="Foreground")
        await until(lambda: not api.all("deployments"))
        assert api.all("replicasets") == []
        assert labelled(api, app="a") == []


async def test_orphans_stay_and_are_adopted():
    async with cluster() as api, agents(api):
        await api.create("apps/v1", "deployments", deployment())
        await until(lambda: is_rolled_out(api))
        uids = {pod["metadata"]["uid"] for pod in labelled(api, app="a")}
        await api.delete("apps/v1", "deployments", "web", namespace="ns", propagation_policy="Orphan")
        await until(lambda: not api.all("deployments"))
        assert not api.all("replicasets")[0]["metadata"].get("ownerReferences")
        await api.create("apps/v1", "deployments", deployment())
        await until(lambda: is_rolled_out(api))
        assert {pod["metadata"]["uid"] for pod in labelled(api, app="a")} == uids


async def test_a_pod_that_loses_its_label_is_released_and_replaced():
    async with cluster() as api, agents(api):
        await api.create("apps/v1", "deployments", deployment())
        await until(lambda: is_rolled_out(api))
        name = labelled(api, app="a")[0]["metadata"]["name"]
        await api.patch("v1", "pods", name, {"metadata": {"labels": {"app": "b"}}}, namespace="ns")
        await until(lambda: not api.one("pods", name)["metadata"].get("ownerReferences"))
        await until(lambda: len(labelled(api, app="a")) == 3)


async def test_a_refusal_becomes_a_condition_and_goes_away_with_its_cause():
    async with cluster() as api, agents(api):
        def refuse(method, plural, body):
            if method == "POST" and plural == "pods":
                raise errors.forbidden("", "pods", "", "exceeded quota: q")

        api.fault = refuse
        await api.create("apps/v1", "deployments", deployment())

        def failure():
            status = api.one("deployments", "web").get("status") or {}
            return get_condition(status.get("conditions"), "ReplicaFailure")

        await until(failure)
        assert failure()["reason"] == "FailedCreate"
        assert "exceeded quota: q" in failure()["message"]
        api.fault = lambda method, plural, body: None
        await until(lambda: is_rolled_out(api))
        assert failure() is None


async def test_a_thousand_replicas_without_one_too_many():
    async with cluster() as api:
        await api.create("apps/v1", "replicasets", {"metadata": {"name": "rs", "namespace": "ns"}, "spec": {
            "replicas": 1000, "selector": {"matchLabels": {"app": "a"}}, "template": template()}})  # fmt: skip
        await until(lambda: (api.one("replicasets", "rs").get("status") or {}).get("replicas") == 1000)
        assert len(labelled(api, app="a")) == 1000
        await api.patch("apps/v1", "replicasets", "rs", {"spec": {"replicas": 7}}, namespace="ns")
        await until(lambda: (api.one("replicasets", "rs").get("status") or {}).get("replicas") == 7)
        assert len(labelled(api, app="a")) == 7


def job(**spec):
    labels = {"job-name": "j"}
    return {"metadata": {"name": "j", "namespace": "ns"}, "spec": {
        "parallelism": 2, "completions": 3, "backoffLimit": 6, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"restartPolicy": "Never", "containers": [{"name": "c"}]}},
        **spec}}  # fmt: skip


def end_pods(api, phase):
    for pod in api.all("pods"):
        if pod["status"]["phase"] == "Pending":
            api.set_status("pods", pod["metadata"]["name"], {"phase": phase})


async def test_a_job_completes_and_frees_its_pods():
    async with cluster() as api:
        await api.create("batch/v1", "jobs", job())

        def done():
            end_pods(api, "Succeeded")
            return get_condition((api.one("jobs", "j").get("status") or {}).get("conditions"), "Complete")

        await until(done)
        assert api.one("jobs", "j")["status"]["succeeded"] == 3
        assert all(not pod["metadata"].get("finalizers") for pod in api.all("pods"))


async def test_the_pods_of_a_deleted_job_are_freed_and_collected():
    async with cluster() as api:
        await api.create("batch/v1", "jobs", job())
        await until(lambda: len(api.all("pods")) == 2)
        await api.delete("batch/v1", "jobs", "j", namespace="ns", propagation_policy="Background")
        await until(lambda: not api.all("pods"))


async def test_a_daemon_set_follows_the_nodes():
    async with cluster(without=["node-lifecycle-controller"]) as api:
        await api.create("apps/v1", "daemonsets", {"metadata": {"name": "ds", "namespace": "ns"}, "spec": {
            "selector": {"matchLabels": {"app": "a"}}, "template": template()}})  # fmt: skip
        for name in ("n1", "n2"):
            await api.create("v1", "nodes", {"metadata": {"name": name}, "spec": {}, "status": {}})
        await until(lambda: len(labelled(api, app="a")) == 2)
        cidrs = {node["spec"].get("podCIDR") for node in api.all("nodes")}
        assert cidrs == {"10.244.0.0/24", "10.244.1.0/24"}
        await until(lambda: (api.one("daemonsets", "ds").get("status") or {}).get("desiredNumberScheduled") == 2)
        await api.delete("v1", "nodes", "n1")
        await until(lambda: len(labelled(api, app="a")) == 1)


async def test_a_silent_node_is_tainted_and_its_pods_leave():
    async with cluster() as api:
        for name in ("n1", "n2"):
            await api.create("v1", "nodes", {"metadata": {"name": name}, "spec": {}, "status": {"conditions": [
                {"type": "Ready", "status": "True"}]}})  # fmt: skip
        await api.create("v1", "pods", {"metadata": {"name": "p", "namespace": "ns", "labels": {}}, "spec": {
            "nodeName": "n1", "tolerations": [{"operator": "Exists", "tolerationSeconds": 0}]}, "status": {
            "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}})  # fmt: skip
        for _ in range(12):  # n2 renews its lease, n1 does not
            lease = {"metadata": {"name": "n2", "namespace": "kube-node-lease"}, "spec": {
                "renewTime": format_time(SYSTEM_CLOCK.now()) + str(_)}}  # fmt: skip
            with contextlib.suppress(errors.ApiError):
                await api.delete("coordination.k8s.io/v1", "leases", "n2", namespace="kube-node-lease")
            await api.create("coordination.k8s.io/v1", "leases", lease)
            await asyncio.sleep(0.1)
        await until(lambda: len(api.one("nodes", "n1")["spec"].get("taints") or ()) == 2)
        assert {taint["key"] for taint in api.one("nodes", "n1")["spec"]["taints"]} == {
            "node.kubernetes.io/unreachable"
        }
        await until(lambda: api.one("pods", "p")["metadata"].get("deletionTimestamp"))
        assert get_condition(api.one("pods", "p")["status"]["conditions"], "Ready")["status"] == "False"
        assert get_condition(api.one("pods", "p")["status"]["conditions"], "DisruptionTarget")


async def test_a_service_gets_endpoints_and_slices():
    async with cluster() as api, agents(api):
        await api.create("v1", "nodes", {"metadata": {"name": "n1"}, "spec": {}, "status": {}})
        await api.create("v1", "services", {"metadata": {"name": "svc", "namespace": "ns"}, "spec": {
            "selector": {"app": "a"}, "ports": [{"port": 80}]}})  # fmt: skip
        await api.create("apps/v1", "deployments", deployment(replicas=120))
        await until(lambda: is_rolled_out(api))

        def ready():
            slices = api.all("endpointslices")
            assert all(len(item.get("endpoints") or ()) <= 100 for item in slices)
            return [e for item in slices for e in item.get("endpoints") or () if e["conditions"]["ready"]]

        await until(lambda: len(ready()) == 120)
        assert len(api.all("endpointslices")) == 2
        await until(lambda: len(api.one("endpoints", "svc")["subsets"][0]["addresses"]) == 120)
        await api.delete("v1", "services", "svc", namespace="ns")
        await until(lambda: not api.all("endpointslices") and not api.all("endpoints"))


async def test_a_namespace_ends_pods_first_and_waits_for_finalizers():
    async with cluster() as api, agents(api):
        await api.create("apps/v1", "deployments", deployment())
        await api.create("v1", "secrets", {"metadata": {"name": "s", "namespace": "ns", "finalizers": ["x/y"]}})
        await until(lambda: is_rolled_out(api))
        await api.delete("v1", "namespaces", "ns")

        def message():
            conditions = (api.one("namespaces", "ns").get("status") or {}).get("conditions")
            return (get_condition(conditions, "NamespaceContentRemaining") or {}).get("message", "")

        await until(lambda: "secrets. has 1 resource instances" in message())
        assert api.all("deployments") == []
        await api.patch("v1", "secrets", "s", {"metadata": {"finalizers": None}}, namespace="ns")
        await until(lambda: api.one("namespaces", "ns") is None)
        assert api.all("pods") == []


async def test_stateful_pods_come_in_order():
    async with cluster() as api:
        spec = {"replicas": 3, "serviceName": "db", "selector": {"matchLabels": {"app": "a"}}, "template": template()}
        await api.create("apps/v1", "statefulsets", {"metadata": {"name": "db", "namespace": "ns"}, "spec": spec})
        for number in range(3):
            await until(lambda number=number: api.one("pods", f"db-{number}"))
            await asyncio.sleep(0.05)
            assert len(api.all("pods")) == number + 1
            run_pods(api)
        await until(lambda: (api.one("statefulsets", "db").get("status") or {}).get("readyReplicas") == 3)


async def test_volumes_are_bound_and_protected_while_used():
    async with cluster() as api:
        await api.create("v1", "persistentvolumes", {"metadata": {"name": "v"}, "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}})  # fmt: skip
        await api.create("v1", "persistentvolumeclaims", {"metadata": {"name": "c", "namespace": "ns"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}})  # fmt: skip
        await until(lambda: (api.one("persistentvolumeclaims", "c").get("status") or {}).get("phase") == "Bound")
        await api.create("v1", "pods", {"metadata": {"name": "p", "namespace": "ns", "labels": {}}, "spec": {
            "nodeName": "n", "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "c"}}]}})  # fmt: skip
        await until(lambda: api.one("persistentvolumeclaims", "c")["metadata"].get("finalizers"))
        await api.delete("v1", "persistentvolumeclaims", "c", namespace="ns")
        await asyncio.sleep(0.1)
        assert api.one("persistentvolumeclaims", "c") is not None
        await api.delete("v1", "pods", "p", namespace="ns", grace_period_seconds=0)
        await until(lambda: api.one("persistentvolumeclaims", "c") is None)
        await until(lambda: (api.one("persistentvolumes", "v").get("status") or {}).get("phase") == "Released")


@pytest.mark.parametrize("seed", range(3))
async def test_a_server_that_fails_by_chance_only_delays(seed):
    """One write in five is refused, conflicts, or fails; nothing is made twice and everything ends as wanted."""
    rng = random.Random(seed)

    def fault(method, plural, body):
        if rng.random() < 0.2 and plural != "events":
            raise rng.choice([errors.conflict("", plural, "x"), errors.internal("boom"),
                              errors.too_many_requests("slow down", 1)])  # fmt: skip

    async with cluster() as api, agents(api):
        await api.create("apps/v1", "deployments", deployment(replicas=8))
        await api.create("batch/v1", "jobs", job())
        api.fault = fault
        await until(lambda: is_rolled_out(api))
        api.fault = lambda method, plural, body: None
        await api.patch("apps/v1", "deployments", "web", {"spec": {"template": template("x:2")}}, namespace="ns")
        api.fault = fault
        await until(lambda: is_rolled_out(api))
        assert len(labelled(api, app="a")) == 8
        for pod in labelled(api, **{"job-name": "j"}):
            api.set_status("pods", pod["metadata"]["name"], {"phase": "Succeeded"})

        def done():
            for pod in labelled(api, **{"job-name": "j"}):
                if pod["status"]["phase"] == "Running":
                    api.set_status("pods", pod["metadata"]["name"], {"phase": "Succeeded"})
            return get_condition((api.one("jobs", "j").get("status") or {}).get("conditions"), "Complete")

        await until(done)
        assert api.one("jobs", "j")["status"]["succeeded"] == 3
        assert len(labelled(api, **{"job-name": "j"})) == 3


async def test_a_recount_takes_nothing_back_that_was_just_granted():
    """Admission has counted three; the cache shows one. The recount waits, and gives back what nobody used."""
    async with cluster(without=["serviceaccount-controller"]) as api:
        await api.create("v1", "secrets", {"metadata": {"name": "s", "namespace": "ns"}})
        await api.create("v1", "resourcequotas", {"metadata": {"name": "q", "namespace": "ns"}, "spec": {
            "hard": {"secrets": "5"}}, "status": {}})  # fmt: skip
        await until(lambda: (api.one("resourcequotas", "q").get("status") or {}).get("used") == {"secrets": "1"})
        await asyncio.sleep(1.2)
        api.set_status("resourcequotas", "q", {"used": {"secrets": "3"}})
        await asyncio.sleep(1.0)
        assert api.one("resourcequotas", "q")["status"]["used"] == {"secrets": "3"}
        await until(lambda: api.one("resourcequotas", "q")["status"]["used"] == {"secrets": "1"})


async def test_who_could_not_hear_does_not_judge(monkeypatch):
    monkeypatch.setattr("controllers.nodelifecycle.controller.PROBE_SECONDS", 0.1)
    async with cluster() as api:
        await api.create("v1", "nodes", {"metadata": {"name": "n1"}, "spec": {}, "status": {"conditions": [
            {"type": "Ready", "status": "True"}]}})  # fmt: skip

        def away(method, plural, body):
            if plural == "/livez":
                raise errors.service_unavailable("starting")

        api.fault = away
        await asyncio.sleep(1.0)  # far longer than the grace period of 0.4 s
        assert api.one("nodes", "n1")["status"]["conditions"][0]["status"] == "True"
        api.fault = lambda method, plural, body: None
        await asyncio.sleep(0.25)
        assert api.one("nodes", "n1")["status"]["conditions"][0]["status"] == "True"
        await until(lambda: api.one("nodes", "n1")["status"]["conditions"][0]["status"] == "Unknown")


async def test_an_autoscaler_follows_the_load(monkeypatch):
    monkeypatch.setattr("controllers.autoscaling.controller.PERIOD_SECONDS", 0.05)
    async with cluster() as api, agents(api):
        made = deployment(replicas=2)
        made["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"memory": "100Mi"}}
        await api.create("apps/v1", "deployments", made)
        target = {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 50}}
        await api.create("autoscaling/v2", "horizontalpodautoscalers", {
            "metadata": {"name": "h", "namespace": "ns"}, "spec": {
                "maxReplicas": 5, "metrics": [{"type": "Resource", "resource": target}],
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}})  # fmt: skip

        def condition(type_):
            status = api.one("horizontalpodautoscalers", "h").get("status") or {}
            return get_condition(status.get("conditions"), type_) or {}

        await until(lambda: condition("ScalingActive").get("reason") == "FailedGetResourceMetric")
        await until(lambda: is_rolled_out(api))
        api.metrics = [
            {"metadata": {"name": pod["metadata"]["name"]}, "containers": [{"name": "c", "usage": {"memory": "90Mi"}}]}
            for pod in labelled(api, app="a")
        ]
        await until(lambda: api.one("deployments", "web")["spec"]["replicas"] == 4)
        status = api.one("horizontalpodautoscalers", "h")["status"]
        assert condition("ScalingActive")["reason"] == "ValidMetricFound"
        assert status["currentMetrics"][0]["resource"]["current"] == {
            "averageValue": "94371840", "averageUtilization": 90,
        }  # fmt: skip

"""NodeMetrics and PodMetrics out of an agent's Summary."""

from apiserver.metricsapi.documents import node_metrics, pod_metrics, pods_of_summaries


def measured(cpu=250_000_000, memory=64 * 1024 * 1024, **more):
    at = "2026-01-01T00:00:00Z"
    return {"cpu": {"time": at, "usageNanoCores": cpu}, "memory": {"time": at, "workingSetBytes": memory}, **more}


def test_a_node():
    node = {"metadata": {"name": "n1", "labels": {"a": "b"}}}
    made = node_metrics(node, {"node": measured()})
    assert made["usage"] == {"cpu": "250000000n", "memory": "65536Ki"}
    assert made["metadata"] == {"name": "n1", "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"a": "b"}}
    assert node_metrics(node, {}) is None


def test_a_pod_is_left_out_until_all_its_containers_are_measured():
    pod = {"metadata": {"namespace": "d", "name": "p"}}
    whole = {"podRef": {"namespace": "d", "name": "p"}, "containers": [measured(name="a"), measured(name="b", cpu=0)]}
    made = pod_metrics(pod, pods_of_summaries([{"pods": [whole]}])["d", "p"])
    assert [(c["name"], c["usage"]["cpu"]) for c in made["containers"]] == [("a", "250000000n"), ("b", "0n")]
    assert pod_metrics(pod, {"containers": [measured(name="a"), {"name": "b"}]}) is None
    assert pod_metrics(pod, {}) is None

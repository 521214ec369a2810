"""Nodes and pods in a line each."""

from scheduler.node_table import NodeTable
from scheduler.pod_info import pod_info


def node(name, *, cpu="4", memory="8Gi", pods="110", labels=None, taints=(), unschedulable=False, **extra):
    allocatable = {"cpu": cpu, "memory": memory, "pods": pods, "ephemeral-storage": "20Gi"}
    allocatable.update({key.replace("_", "/"): value for key, value in extra.items()})
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}},
        "spec": {"taints": list(taints), "unschedulable": unschedulable},
        "status": {"allocatable": allocatable},
    }


def pod(name, *, namespace="default", labels=None, requests=None, node_name="", priority=0, init=(), start="", **spec):
    containers = [{"name": "c", "image": "x", "resources": {"requests": requests or {}}}]
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}", "labels": labels or {}},
        "spec": {"containers": containers, "nodeName": node_name, "priority": priority, "initContainers": list(init), **spec},
        "status": {"startTime": start},
    }


def table(*nodes, pods=()):
    made = NodeTable()
    made.set_namespace("default", {})
    for each in nodes:
        made.set_node(each)
    for each in pods:
        info = pod_info(each)
        made.add_pod(info, info.node_name)
    return made

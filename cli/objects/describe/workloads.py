"""Deployments, ReplicaSets, DaemonSets, StatefulSets, Jobs."""

from __future__ import annotations

from collections import Counter
from typing import Any

from cli.objects.describe.pods import write_template
from cli.objects.describe.writer import NONE, Writer, head, labels, selector_text, shown_time
from machinery.meta.objects import controller_of

Object = dict[str, Any]


def write_deployment(out: Writer, obj: Object, related: Object) -> None:
    spec, status = obj["spec"], obj.get("status") or {}
    head(out, obj)
    out.field("CreationTimestamp", shown_time(obj["metadata"].get("creationTimestamp")))
    labels(out, obj)
    out.field("Selector", selector_text(spec.get("selector")))
    out.field("Replicas", f"{spec.get('replicas', 1)} desired | {status.get('updatedReplicas', 0)} updated | "
                          f"{status.get('replicas', 0)} total | {status.get('availableReplicas', 0)} available | "
                          f"{status.get('unavailableReplicas', 0)} unavailable")  # fmt: skip
    strategy = spec.get("strategy") or {}
    out.field("StrategyType", strategy.get("type", ""))
    out.field("MinReadySeconds", spec.get("minReadySeconds", 0))
    if strategy.get("rollingUpdate"):
        rolling = strategy["rollingUpdate"]
        limits = f"{rolling['maxUnavailable']} max unavailable, {rolling['maxSurge']} max surge"
        out.field("RollingUpdateStrategy", limits)
    write_template(out, spec["template"])
    if status.get("conditions"):
        out.line(0, "Conditions:")
        out.line(1, "Type", "Status", "Reason")
        out.line(1, "----", "------", "------")
        for condition in status["conditions"]:
            out.line(1, f"{condition['type']} ", f"{condition['status']} ", condition.get("reason", ""))
    owned = [rs for rs in related.get("replicasets", ()) if _is_owned(rs, obj)]
    revision = (obj["metadata"].get("annotations") or {}).get("deployment.kubernetes.io/revision")
    newest = [rs for rs in owned if _revision(rs) == revision]
    old = [rs for rs in owned if rs not in newest]
    out.field("OldReplicaSets", ", ".join(_replica_set(rs) for rs in old) or NONE)
    out.field("NewReplicaSet", _replica_set(newest[0]) if newest else NONE)


def _is_owned(child: Object, parent: Object) -> bool:
    return bool((controller_of(child) or {}).get("uid") == parent["metadata"]["uid"])


def _revision(obj: Object) -> str | None:
    return (obj["metadata"].get("annotations") or {}).get("deployment.kubernetes.io/revision")


def _replica_set(rs: Object) -> str:
    created, wanted = (rs.get("status") or {}).get("replicas", 0), rs["spec"].get("replicas", 0)
    return f"{rs['metadata']['name']} ({created}/{wanted} replicas created)"


def _pods_status(out: Writer, obj: Object, related: Object) -> None:
    phases = Counter((pod.get("status") or {}).get("phase") for pod in related.get("pods", ()) if _is_owned(pod, obj))
    words = (("Running", "Running"), ("Pending", "Waiting"), ("Succeeded", "Succeeded"), ("Failed", "Failed"))
    out.field("Pods Status", " / ".join(f"{phases[phase]} {word}" for phase, word in words))


def write_replica_set(out: Writer, obj: Object, related: Object) -> None:
    spec, status = obj["spec"], obj.get("status") or {}
    head(out, obj)
    selector = spec.get("selector")
    if obj["kind"] == "ReplicationController":
        selector = {"matchLabels": selector}
    out.field("Selector", selector_text(selector))
    labels(out, obj)
    owner = controller_of(obj)
    if owner:
        out.field("Controlled By", f"{owner['kind']}/{owner['name']}")
    out.field("Replicas", f"{status.get('replicas', 0)} current / {spec.get('replicas', 1)} desired")
    _pods_status(out, obj, related)
    write_template(out, spec["template"])


def write_daemon_set(out: Writer, obj: Object, related: Object) -> None:
    spec, status = obj["spec"], obj.get("status") or {}
    head(out, obj)
    out.field("Selector", selector_text(spec.get("selector")))
    out.mapping("Node-Selector", spec["template"]["spec"].get("nodeSelector"))
    labels(out, obj)
    for title, key in (
        ("Desired Number of Nodes Scheduled", "desiredNumberScheduled"),
        ("Current Number of Nodes Scheduled", "currentNumberScheduled"),
        ("Number of Nodes Scheduled with Up-to-date Pods", "updatedNumberScheduled"),
        ("Number of Nodes Scheduled with Available Pods", "numberAvailable"),
        ("Number of Nodes Misscheduled", "numberMisscheduled"),
    ):
        out.field(title, status.get(key, 0))
    _pods_status(out, obj, related)
    write_template(out, spec["template"])


def write_stateful_set(out: Writer, obj: Object, related: Object) -> None:
    spec, status = obj["spec"], obj.get("status") or {}
    head(out, obj)
    out.field("CreationTimestamp", shown_time(obj["metadata"].get("creationTimestamp")))
    out.field("Selector", selector_text(spec.get("selector")))
    labels(out, obj)
    out.field("Replicas", f"{spec.get('replicas', 1)} desired | {status.get('replicas', 0)} total")
    strategy = spec.get("updateStrategy") or {}
    out.field("Update Strategy", strategy.get("type", ""))
    if (strategy.get("rollingUpdate") or {}).get("partition") is not None:
        out.field("Partition", strategy["rollingUpdate"]["partition"], 1)
    _pods_status(out, obj, related)
    write_template(out, spec["template"])
    claims = spec.get("volumeClaimTemplates") or []
    if not claims:
        out.field("Volume Claims", NONE)
        return
    out.line(0, "Volume Claims:")
    for claim in claims:
        out.field("Name", claim["metadata"]["name"], 1)
        out.field("StorageClass", claim["spec"].get("storageClassName", ""), 1)
        out.mapping("Labels", claim["metadata"].get("labels"), 1)
        out.mapping("Annotations", claim["metadata"].get("annotations"), 1, separator=": ")
        out.field("Capacity", ((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage", ""), 1)
        out.field("Access Modes", f"[{' '.join(claim['spec'].get('accessModes') or ())}]", 1)


def write_job(out: Writer, obj: Object, related: Object) -> None:
    spec, status = obj["spec"], obj.get("status") or {}
    head(out, obj)
    out.field("Selector", selector_text(spec.get("selector")))
    labels(out, obj)
    owner = controller_of(obj)
    if owner:
        out.field("Controlled By", f"{owner['kind']}/{owner['name']}")
    out.field("Parallelism", spec.get("parallelism", "<unset>"))
    out.field("Completions", spec.get("completions", "<unset>"))
    out.field("Completion Mode", spec.get("completionMode", "NonIndexed"))
    if spec.get("suspend") is not None:
        out.field("Suspend", str(bool(spec["suspend"])).lower())
    if spec.get("backoffLimit") is not None:
        out.field("Backoff Limit", spec["backoffLimit"])
    for title, key in (("Start Time", "startTime"), ("Completed At", "completionTime")):
        if status.get(key):
            out.field(title, shown_time(status[key]))
    active = f"{status.get('active', 0)} Active ({status.get('ready', 0)} Ready)"
    ended = f"{status.get('succeeded', 0)} Succeeded / {status.get('failed', 0)} Failed"
    out.field("Pods Statuses", f"{active} / {ended}")
    write_template(out, spec["template"])

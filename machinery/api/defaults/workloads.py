"""Defaults of apps/v1."""

from __future__ import annotations

from typing import Any

from machinery.api.defaults.fill import fill, fill_zero, items, section
from machinery.api.defaults.pods import default_pod_template
from machinery.api.defaults.storage import default_claim

Object = dict[str, Any]


def default_deployment(deployment: Object) -> None:
    spec = section(deployment, "spec")
    default_pod_template(section(spec, "template"))
    fill(spec, "replicas", 1)
    strategy = section(spec, "strategy")
    fill_zero(strategy, "type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = section(strategy, "rollingUpdate")
        fill(rolling, "maxUnavailable", "25%")
        fill(rolling, "maxSurge", "25%")
    fill(spec, "revisionHistoryLimit", 10)
    fill(spec, "progressDeadlineSeconds", 600)


def default_replica_set(replica_set: Object) -> None:
    spec = section(replica_set, "spec")
    fill(spec, "replicas", 1)
    default_pod_template(section(spec, "template"))


def default_daemon_set(daemon_set: Object) -> None:
    spec = section(daemon_set, "spec")
    default_pod_template(section(spec, "template"))
    strategy = section(spec, "updateStrategy")
    fill_zero(strategy, "type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = section(strategy, "rollingUpdate")
        fill(rolling, "maxUnavailable", 1)
        fill(rolling, "maxSurge", 0)
    fill(spec, "revisionHistoryLimit", 10)


def default_stateful_set(stateful_set: Object) -> None:
    spec = section(stateful_set, "spec")
    default_pod_template(section(spec, "template"))
    fill_zero(spec, "podManagementPolicy", "OrderedReady")
    strategy = section(spec, "updateStrategy")
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
        fill(section(strategy, "rollingUpdate"), "partition", 0)
    elif strategy["type"] == "RollingUpdate" and strategy.get("rollingUpdate") is not None:
        fill(strategy["rollingUpdate"], "partition", 0)
    policy = section(spec, "persistentVolumeClaimRetentionPolicy")
    fill_zero(policy, "whenDeleted", "Retain")
    fill_zero(policy, "whenScaled", "Retain")
    fill(spec, "replicas", 1)
    fill(spec, "revisionHistoryLimit", 10)
    for claim in items(spec, "volumeClaimTemplates"):
        fill_zero(claim, "apiVersion", "v1")
        fill_zero(claim, "kind", "PersistentVolumeClaim")
        default_claim(claim)


DEFAULTS = {
    ("apps/v1", "Deployment"): default_deployment,
    ("apps/v1", "ReplicaSet"): default_replica_set,
    ("apps/v1", "DaemonSet"): default_daemon_set,
    ("apps/v1", "StatefulSet"): default_stateful_set,
}

"""How workloads print: replicas of all kinds, jobs, autoscalers, budgets."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from machinery.api.printers.cells import (
    NONE,
    UNSET,
    age,
    bool_text,
    container_cells,
    format_labels,
    format_selector,
    name_of,
    shortened,
    spec_of,
    status_of,
)
from machinery.api.printers.columns import AGE, CONTAINERS, IMAGES, NAME, Cells, Column, Printer, wide
from machinery.api.printers.durations import human_duration, parse_instant, since
from machinery.meta.objects import controller_of

Object = dict[str, Any]


def _controller_row(obj: Object, now: datetime) -> Cells:
    spec, status = spec_of(obj), status_of(obj)
    selector = spec.get("selector")
    words = format_labels(selector) if obj.get("kind") == "ReplicationController" else format_selector(selector)
    return [
        name_of(obj), spec.get("replicas", 0), status.get("replicas", 0), status.get("readyReplicas", 0), age(obj, now),
        *container_cells(spec.get("template")), words,
    ]  # fmt: skip


def _deployment_row(obj: Object, now: datetime) -> Cells:
    spec, status = spec_of(obj), status_of(obj)
    return [
        name_of(obj), f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}", status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0), age(obj, now), *container_cells(spec.get("template")),
        format_selector(spec.get("selector")),
    ]  # fmt: skip


def _daemon_set_row(obj: Object, now: datetime) -> Cells:
    spec, status = spec_of(obj), status_of(obj)
    fields = (
        "desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled", "numberAvailable"
    )  # fmt: skip
    template = spec.get("template") or {}
    return [
        name_of(obj), *(status.get(field, 0) for field in fields),
        format_labels(spec_of(template).get("nodeSelector")), age(obj, now), *container_cells(template),
        format_selector(spec.get("selector")),
    ]  # fmt: skip


def _stateful_set_row(obj: Object, now: datetime) -> Cells:
    spec, status = spec_of(obj), status_of(obj)
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    return [name_of(obj), ready, age(obj, now), *container_cells(spec.get("template"))]


def _job_row(job: Object, now: datetime) -> Cells:
    spec, status = spec_of(job), status_of(job)
    succeeded = status.get("succeeded", 0)
    if spec.get("completions") is not None:
        completions = f"{succeeded}/{spec['completions']}"
    elif spec.get("parallelism", 0) > 1:
        completions = f"{succeeded}/1 of {spec['parallelism']}"
    else:
        completions = f"{succeeded}/1"
    return [
        name_of(job), _job_word(job), completions, _job_duration(status, now), age(job, now),
        *container_cells(spec.get("template")), format_selector(spec.get("selector")),
    ]  # fmt: skip


def _job_word(job: Object) -> str:
    true = {one["type"] for one in status_of(job).get("conditions") or () if one.get("status") == "True"}
    for word in ("Complete", "Failed"):
        if word in true:
            return word
    if job["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return next((word for word in ("Suspended", "FailureTarget", "SuccessCriteriaMet") if word in true), "Running")


def _job_duration(status: Object, now: datetime) -> str:
    started = parse_instant(status.get("startTime"))
    if started is None:
        return ""
    ended = parse_instant(status.get("completionTime")) or now
    return human_duration((ended - started).total_seconds())


def _cron_job_row(cron_job: Object, now: datetime) -> Cells:
    spec, status = spec_of(cron_job), status_of(cron_job)
    last = status.get("lastScheduleTime")
    job_spec = spec_of(spec.get("jobTemplate") or {})
    return [
        name_of(cron_job), spec.get("schedule", ""), spec.get("timeZone") or NONE, bool_text(spec.get("suspend")),
        len(status.get("active") or ()), since(last, now) if last else NONE, age(cron_job, now),
        *container_cells(job_spec.get("template")), format_selector(job_spec.get("selector")),
    ]  # fmt: skip


def _budget_row(budget: Object, now: datetime) -> Cells:
    spec = spec_of(budget)
    bounds = (spec.get("minAvailable"), spec.get("maxUnavailable"))
    return [
        name_of(budget), *("N/A" if bound is None else str(bound) for bound in bounds),
        status_of(budget).get("disruptionsAllowed", 0), age(budget, now),
    ]  # fmt: skip


def _revision_row(revision: Object, now: datetime) -> Cells:
    owner = controller_of(revision)
    word = NONE
    if owner is not None:
        group = owner["apiVersion"].rpartition("/")[0]
        kind = owner["kind"].lower()
        word = f"{kind}.{group}/{owner['name']}" if group else f"{kind}/{owner['name']}"
    return [name_of(revision), word, revision.get("revision", 0), age(revision, now)]


# -- autoscalers -----------------------------------------------------------------------------------------------------


def _autoscaler_row(autoscaler: Object, now: datetime) -> Cells:
    spec, status = spec_of(autoscaler), status_of(autoscaler)
    reference = spec.get("scaleTargetRef") or {}
    least = spec.get("minReplicas")
    return [
        name_of(autoscaler), f"{reference.get('kind', '')}/{reference.get('name', '')}", _metrics(spec, status),
        UNSET if least is None else str(least), spec.get("maxReplicas", 0), status.get("currentReplicas", 0),
        age(autoscaler, now),
    ]  # fmt: skip


def _metrics(spec: Object, status: Object) -> str:
    metrics, current = _v2_metrics(spec, status)
    words = [_metric(one, current[i] if i < len(current) else {}) for i, one in enumerate(metrics)]
    return shortened(words, limit=2, separator=", ")


def _v2_metrics(spec: Object, status: Object) -> tuple[list[Object], list[Object]]:
    """Metrics of either version in the form of v2."""
    percent = spec.get("targetCPUUtilizationPercentage")
    if percent is None:
        return spec.get("metrics") or [], status.get("currentMetrics") or []
    target = {"type": "Utilization", "averageUtilization": percent}
    metrics = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    seen = status.get("currentCPUUtilizationPercentage")
    current = {} if seen is None else {"averageUtilization": seen}
    return metrics, [{"type": "Resource", "resource": {"name": "cpu", "current": current}}]


_FIELD_OF_TYPE = {
    "External": "external", "Pods": "pods", "Object": "object", "Resource": "resource",
    "ContainerResource": "containerResource",
}  # fmt: skip


def _metric(metric: Object, status: Object) -> str:
    type_ = metric.get("type", "")
    field = _FIELD_OF_TYPE.get(type_)
    if field is None:
        return "<unknown type>"
    source = metric.get(field) or {}
    target = source.get("target") or {}
    current = (status.get(field) or {}).get("current") or {}
    if field in ("resource", "containerResource"):
        if target.get("averageValue") is not None:
            return f"{source.get('name')}: {current.get('averageValue', '<unknown>')}/{target['averageValue']}"
        wanted = target.get("averageUtilization")
        seen = current.get("averageUtilization")
        return (
            f"{source.get('name')}: {'<unknown>' if seen is None else f'{seen}%'}"
            f"/{'<auto>' if wanted is None else f'{wanted}%'}"
        )
    if field == "pods":
        return f"{current.get('averageValue', '<unknown>')}/{target.get('averageValue')}"
    if target.get("averageValue") is not None:
        return f"{current.get('averageValue', '<unknown>')}/{target['averageValue']} (avg)"
    return f"{current.get('value', '<unknown>')}/{target.get('value')}"


def _replica_columns(prefix: str) -> tuple[Column, ...]:
    return (
        NAME, Column("Desired", "integer", doc=f"{prefix}Spec.replicas"),
        Column("Current", "integer", doc=f"{prefix}Status.replicas"),
        Column("Ready", "integer", doc=f"{prefix}Status.readyReplicas"), AGE, CONTAINERS, IMAGES,
        wide("Selector", doc=f"{prefix}Spec.selector"),
    )  # fmt: skip


_READY = Column("Ready", text="Number of the pod with ready state")
_DAEMON = "apps.v1.DaemonSetStatus."
_SCALER = "autoscaling.v2.HorizontalPodAutoscaler"
_AUTOSCALER = Printer(
    (
        NAME, Column("Reference", doc=f"{_SCALER}Spec.scaleTargetRef"), Column("Targets", doc=f"{_SCALER}Spec.metrics"),
        Column("MinPods", doc=f"{_SCALER}Spec.minReplicas"), Column("MaxPods", doc=f"{_SCALER}Spec.maxReplicas"),
        Column("Replicas", doc=f"{_SCALER}Status.currentReplicas"), AGE,
    ),
    _autoscaler_row,
)  # fmt: skip

PRINTERS = {
    ("v1", "ReplicationController"): Printer(_replica_columns("core.v1.ReplicationController"), _controller_row),
    ("apps/v1", "ReplicaSet"): Printer(_replica_columns("apps.v1.ReplicaSet"), _controller_row),
    ("apps/v1", "Deployment"): Printer(
        (
            NAME, _READY, Column("Up-to-date", doc="apps.v1.DeploymentStatus.updatedReplicas"),
            Column("Available", doc="apps.v1.DeploymentStatus.availableReplicas"), AGE, CONTAINERS, IMAGES,
            wide("Selector", doc="apps.v1.DeploymentSpec.selector"),
        ),
        _deployment_row,
    ),
    ("apps/v1", "DaemonSet"): Printer(
        (
            NAME, Column("Desired", "integer", doc=_DAEMON + "desiredNumberScheduled"),
            Column("Current", "integer", doc=_DAEMON + "currentNumberScheduled"),
            Column("Ready", "integer", doc=_DAEMON + "numberReady"),
            Column("Up-to-date", "integer", doc=_DAEMON + "updatedNumberScheduled"),
            Column("Available", "integer", doc=_DAEMON + "numberAvailable"),
            Column("Node Selector", doc="core.v1.PodSpec.nodeSelector"), AGE, CONTAINERS, IMAGES,
            wide("Selector", doc="apps.v1.DaemonSetSpec.selector"),
        ),
        _daemon_set_row,
    ),
    ("apps/v1", "StatefulSet"): Printer((NAME, _READY, AGE, CONTAINERS, IMAGES), _stateful_set_row),
    ("apps/v1", "ControllerRevision"): Printer(
        (
            NAME, Column("Controller", text="Controller of the object"),
            Column("Revision", doc="apps.v1.ControllerRevision.revision"), AGE,
        ),
        _revision_row,
    ),
    ("batch/v1", "Job"): Printer(
        (
            NAME, Column("Status", text="Status of the job."),
            Column("Completions", doc="batch.v1.JobStatus.succeeded"),
            Column("Duration", text="Time required to complete the job."), AGE, CONTAINERS, IMAGES,
            wide("Selector", doc="batch.v1.JobSpec.selector"),
        ),
        _job_row,
    ),
    ("batch/v1", "CronJob"): Printer(
        (
            NAME, Column("Schedule", doc="batch.v1.CronJobSpec.schedule"),
            Column("Timezone", doc="batch.v1.CronJobSpec.timeZone"),
            Column("Suspend", "boolean", doc="batch.v1.CronJobSpec.suspend"),
            Column("Active", "integer", doc="batch.v1.CronJobStatus.active"),
            Column("Last Schedule", doc="batch.v1.CronJobStatus.lastScheduleTime"), AGE, CONTAINERS, IMAGES,
            wide("Selector", doc="batch.v1.JobSpec.selector"),
        ),
        _cron_job_row,
    ),
    ("policy/v1", "PodDisruptionBudget"): Printer(
        (
            NAME, Column("Min Available", text="The minimum number of pods that must be available."),
            Column("Max Unavailable", text="The maximum number of pods that may be unavailable."),
            Column(
                "Allowed Disruptions", "integer",
                text="Calculated number of pods that may be disrupted at this time.",
            ),
            AGE,
        ),
        _budget_row,
    ),
    ("autoscaling/v1", "HorizontalPodAutoscaler"): _AUTOSCALER,
    ("autoscaling/v2", "HorizontalPodAutoscaler"): _AUTOSCALER,
}  # fmt: skip

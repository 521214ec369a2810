"""How a Job's pod is made: its tracking finalizer, and for Indexed Jobs its index in every place people look. Pure."""

from __future__ import annotations

from typing import Any

from controllers.job.indexes import INDEX
from controllers.pods import pod_from_template
from machinery.meta.objects import owner_reference

Object = dict[str, Any]

TRACKING = "batch.kubernetes.io/job-tracking"
FAILURE_COUNT = "batch.kubernetes.io/job-index-failure-count"
IGNORED_FAILURE_COUNT = "batch.kubernetes.io/job-index-ignored-failure-count"
MAX_GENERATED_NAME = 58
MAX_HOSTNAME = 63


def make_job_pod(job: Object, index: int | None, failures: int | None = None) -> Object:
    """``failures``: how often this index has failed before (with backoffLimitPerIndex)."""
    pod = pod_from_template(job["spec"]["template"], job, owner_reference(job, "batch/v1", "Job"))
    meta = pod["metadata"]
    meta["finalizers"] = [*(meta.get("finalizers") or ()), TRACKING]
    if index is None:
        return pod
    text, name = str(index), job["metadata"]["name"]
    meta["labels"][INDEX] = text
    meta["annotations"] = {**(meta.get("annotations") or {}), INDEX: text}
    if failures is not None:
        meta["annotations"][FAILURE_COUNT] = str(failures)
    suffix = f"-{index}"
    meta["generateName"] = f"{name[: MAX_GENERATED_NAME - len(suffix) - 1]}{suffix}-"
    pod["spec"]["hostname"] = f"{name[: MAX_HOSTNAME - len(suffix)]}{suffix}"
    variable = {
        "name": "JOB_COMPLETION_INDEX", "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}},
    }  # fmt: skip
    for field in ("initContainers", "containers"):
        for container in pod["spec"].get(field) or ():
            if all(item["name"] != variable["name"] for item in container.get("env") or ()):
                container["env"] = [*(container.get("env") or ()), variable]
    return pod

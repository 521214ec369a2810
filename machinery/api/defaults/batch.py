"""Defaults of batch/v1."""

from __future__ import annotations

from typing import Any

from machinery.api.defaults.fill import fill, fill_zero, items, section
from machinery.api.defaults.pods import default_pod_template

Object = dict[str, Any]

_NO_LIMIT = 2**31 - 1


def default_job(job: Object) -> None:
    spec = section(job, "spec")
    default_job_spec(spec)
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    if labels:
        fill_zero(section(job, "metadata"), "labels", dict(labels))


def default_job_spec(spec: Object, *, of_cron_job: bool = False) -> None:
    default_pod_template(section(spec, "template"))
    if of_cron_job:
        return
    # With neither given, one pod runs once.
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    fill(spec, "parallelism", 1)
    fill(spec, "backoffLimit", 6 if spec.get("backoffLimitPerIndex") is None else _NO_LIMIT)
    fill(spec, "completionMode", "NonIndexed")
    fill(spec, "suspend", False)
    fill(spec, "manualSelector", False)
    policy = spec.get("podFailurePolicy")
    fill(spec, "podReplacementPolicy", "TerminatingOrFailed" if policy is None else "Failed")
    for rule in items(policy or {}, "rules"):
        for pattern in items(rule, "onPodConditions"):
            fill_zero(pattern, "status", "True")


def default_cron_job(cron_job: Object) -> None:
    spec = section(cron_job, "spec")
    default_job_spec(section(section(spec, "jobTemplate"), "spec"), of_cron_job=True)
    fill_zero(spec, "concurrencyPolicy", "Allow")
    fill(spec, "suspend", False)
    fill(spec, "successfulJobsHistoryLimit", 3)
    fill(spec, "failedJobsHistoryLimit", 1)


DEFAULTS = {("batch/v1", "Job"): default_job, ("batch/v1", "CronJob"): default_cron_job}

"""What a CronJob does now: which Job to start, which to delete, when to look again. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from controllers.cronjob.schedule import Schedule, ScheduleError, parse_schedule
from machinery.meta.conditions import condition_is
from machinery.meta.objects import deep_copy, format_time, is_terminating, owner_reference, parse_time

Object = dict[str, Any]

SCHEDULED_AT = "batch.kubernetes.io/cronjob-scheduled-timestamp"
TOO_MANY = 100
SLACK_SECONDS = 0.1


@dataclass
class CronPlan:
    status: Object
    start: Object | None = None
    scheduled_at: datetime | None = None
    replace: list[Object] = field(default_factory=list)
    """Running Jobs that make way for the new one."""
    discard: list[Object] = field(default_factory=list)
    """Finished Jobs beyond the history limits."""
    requeue_seconds: float | None = None
    events: list[tuple[str, str, str]] = field(default_factory=list)


def finished_as(job: Object) -> str:
    """Complete, Failed or "" while it runs."""
    conditions = (job.get("status") or {}).get("conditions")
    return next((type_ for type_ in ("Complete", "Failed") if condition_is(conditions, type_)), "")


def reference_to(job: Object) -> Object:
    meta = job["metadata"]
    return {"kind": "Job", "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"],
            "apiVersion": "batch/v1", "resourceVersion": meta.get("resourceVersion", "")}  # fmt: skip


def plan_cron_job(cron_job: Object, jobs: Sequence[Object], now: datetime) -> CronPlan:
    plan = CronPlan(deep_copy(cron_job.get("status") or {}))
    _follow_jobs(plan, jobs)
    plan.discard = _beyond_history(cron_job, jobs)
    if is_terminating(cron_job):
        return plan
    spec = cron_job["spec"]
    try:
        zone: tzinfo = ZoneInfo(spec["timeZone"]) if spec.get("timeZone") else UTC
    except (ZoneInfoNotFoundError, ValueError):
        message = f'invalid timeZone: "{spec["timeZone"]}": unknown time zone {spec["timeZone"]}'
        plan.events.append(("Warning", "UnknownTimeZone", message))
        return plan
    if spec.get("suspend"):
        return plan
    try:
        schedule = parse_schedule(spec["schedule"])
    except ScheduleError as error:
        plan.events.append(("Warning", "UnparseableSchedule", f'unparseable schedule: "{spec["schedule"]}" : {error}'))
        return plan
    _decide(plan, cron_job, jobs, schedule, zone, now)
    following = schedule.next_after(now, zone)
    if following is not None:
        plan.requeue_seconds = (following - now).total_seconds() + SLACK_SECONDS
    return plan


def _decide(
    plan: CronPlan, cron_job: Object, jobs: Sequence[Object], schedule: Schedule, zone: tzinfo, now: datetime
) -> None:
    spec = cron_job["spec"]
    deadline = spec.get("startingDeadlineSeconds")
    last = (cron_job.get("status") or {}).get("lastScheduleTime")
    since = parse_time(last or cron_job["metadata"]["creationTimestamp"])
    earliest = since if deadline is None else max(since, now - timedelta(seconds=int(deadline)))
    due = schedule.last_until(now, earliest, zone)
    if due is None:
        missed = schedule.last_until(now, since, zone) if earliest > since else None
        if missed is not None:
            plan.events.append(("Warning", "MissSchedule", f"Missed scheduled time to start a job: {_rfc1123(missed)}"))
        return
    if _missed_many(schedule, earliest, due, zone):
        plan.events.append(("Warning", "TooManyMissedTimes", "too many missed start times. Set or decrease "
                            ".spec.startingDeadlineSeconds or check clock skew"))  # fmt: skip
    running = [job for job in jobs if not finished_as(job)]
    name = job_name(cron_job, due)
    if any(job["metadata"]["name"] == name for job in jobs):
        plan.status["lastScheduleTime"] = format_time(due)  # started, and then we crashed before writing it down
        return
    policy = spec.get("concurrencyPolicy", "Allow")
    if running and policy == "Forbid":
        plan.events.append(("Normal", "JobAlreadyActive", "Not starting job because prior execution is running and "
                            "concurrency policy is Forbid"))  # fmt: skip
        return
    if policy == "Replace":
        plan.replace = running
    plan.start, plan.scheduled_at = make_job(cron_job, due, zone), due


def _missed_many(schedule: Schedule, since: datetime, until: datetime, zone: tzinfo) -> bool:
    at: datetime | None = since
    for _ in range(TOO_MANY + 1):
        at = schedule.next_after(at, zone) if at is not None else None
        if at is None or at > until:
            return False
    return True


def _follow_jobs(plan: CronPlan, jobs: Sequence[Object]) -> None:
    """Bring ``status.active`` up to date with the Jobs that are there."""
    by_uid = {job["metadata"]["uid"]: job for job in jobs}
    active = []
    for reference in plan.status.get("active") or ():
        job = by_uid.get(reference.get("uid"))
        if job is None:
            plan.events.append(("Normal", "MissingJob", f"Active job went missing: {reference.get('name')}"))
        elif finished_as(job):
            message = f"Saw completed job: {job['metadata']['name']}, condition: {finished_as(job)}"
            plan.events.append(("Normal", "SawCompletedJob", message))
        else:
            active.append(reference)
    listed = {reference.get("uid") for reference in active}
    active += [
        reference_to(job) for uid, job in by_uid.items()
        if uid not in listed and not finished_as(job) and not is_terminating(job)
    ]  # fmt: skip
    plan.status.pop("active", None)
    if active:
        plan.status["active"] = active
    ends = [job["status"].get("completionTime") for job in jobs if finished_as(job) == "Complete"]
    latest = max((end for end in [*ends, plan.status.get("lastSuccessfulTime")] if end), default=None)
    if latest:
        plan.status["lastSuccessfulTime"] = latest


def _beyond_history(cron_job: Object, jobs: Sequence[Object]) -> list[Object]:
    found: list[Object] = []
    limits = (("Complete", "successfulJobsHistoryLimit", 3), ("Failed", "failedJobsHistoryLimit", 1))
    for verdict, name, default in limits:
        limit = cron_job["spec"].get(name)
        kept = default if limit is None else int(limit)
        finished = [job for job in jobs if finished_as(job) == verdict and not is_terminating(job)]
        finished.sort(key=lambda job: ((job.get("status") or {}).get("startTime") or "", job["metadata"]["name"]))
        found += finished[: max(0, len(finished) - kept)]
    return found


def job_name(cron_job: Object, at: datetime) -> str:
    return f"{cron_job['metadata']['name']}-{int(at.timestamp()) // 60}"


def make_job(cron_job: Object, at: datetime, zone: tzinfo) -> Object:
    template = cron_job["spec"]["jobTemplate"]
    meta = template.get("metadata") or {}
    local = at.astimezone(zone)
    stamp = format_time(at) if zone is UTC else local.isoformat(timespec="seconds")
    return {
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": job_name(cron_job, at), "namespace": cron_job["metadata"]["namespace"],
            "labels": dict(meta.get("labels") or {}),
            "annotations": {**(meta.get("annotations") or {}), SCHEDULED_AT: stamp},
            "ownerReferences": [owner_reference(cron_job, "batch/v1", "CronJob")],
        },
        "spec": deep_copy(template["spec"]),
    }  # fmt: skip


def _rfc1123(at: datetime) -> str:
    return at.strftime("%a, %d %b %Y %H:%M:%S +0000")

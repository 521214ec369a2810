"""Jobs and CronJobs."""

from __future__ import annotations

import re
import zoneinfo
from typing import Any

from apiserver.validation.differences import struct_value
from apiserver.validation.field import IMMUTABLE, Errors, Object
from apiserver.validation.objectmeta import (
    SUBDOMAIN,
    shown_selector,
    validate_metadata,
    validate_metadata_update,
    validate_selector,
)
from apiserver.validation.rules import Rules
from apiserver.validation.schedules import schedule_complaint
from apiserver.validation.workloads import validate_template
from machinery.meta import names
from machinery.meta.selectors import SelectorError, label_selector_from_dict

_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_STATUSES = ("False", "True", "Unknown")
_UID_LABELS = ("batch.kubernetes.io/controller-uid", "controller-uid")
_NAME_LABELS = ("batch.kubernetes.io/job-name", "job-name")
_MAX_RULES = 20


def create_job(errors: Errors, job: Object) -> None:
    validate_metadata(errors, job, True, SUBDOMAIN)
    _generated_selector(errors, job)
    _job_spec(errors, "spec", job.get("spec") or {}, bare=True)
    _pod_names(errors, job)


def _pod_names(errors: Errors, job: Object) -> None:
    """Indexed Jobs name their pods after themselves: the longest such name must be one."""
    spec = job.get("spec") or {}
    completions = spec.get("completions")
    if spec.get("completionMode") == "Indexed" and completions:
        name = (job.get("metadata") or {}).get("name") or ""
        pod = f"{name}-{completions - 1}"
        if names.dns1123_label(pod):
            errors.invalid("metadata.name", name, f"will not able to create pod with invalid DNS label: {pod}")


def _generated_selector(errors: Errors, job: Object) -> None:
    spec, meta = job.get("spec") or {}, job.get("metadata") or {}
    if spec.get("manualSelector"):
        return
    if spec.get("selector") is None:
        return
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    selector = spec.get("selector") or {}
    for keys, wanted in ((_UID_LABELS, meta.get("uid") or ""), (_NAME_LABELS, meta.get("name") or "")):
        for key in keys:
            if key not in labels:
                errors.required(f"spec.template.metadata.labels[{key}]", f"must be '{wanted}'")
            elif labels[key] != wanted:
                errors.invalid(f"spec.template.metadata.labels[{key}]", labels, f"must be '{wanted}'")
    expected = {_UID_LABELS[0]: meta.get("uid") or ""}
    if (selector.get("matchLabels") or {}) not in (expected, {_UID_LABELS[1]: meta.get("uid") or ""}):
        errors.invalid("spec.selector", selector, "`selector` not auto-generated")


def _job_spec(errors: Errors, path: str, spec: Object, bare: bool) -> None:
    selector = spec.get("selector")
    if bare:
        if selector is None:
            errors.required(path + ".selector")
        else:
            validate_selector(errors, path + ".selector", selector)
        template = spec.get("template") or {}
        labels = (template.get("metadata") or {}).get("labels")
        try:
            if selector is not None and not label_selector_from_dict(selector).matches(labels):
                errors.invalid(
                    path + ".template.metadata.labels", labels, "`selector` does not match template `labels`"
                )
        except SelectorError:
            pass
    _numbers(errors, path, spec)
    mode = spec.get("completionMode")
    if mode is not None:
        if mode not in ("NonIndexed", "Indexed"):
            errors.not_supported(path + ".completionMode", mode, ("NonIndexed", "Indexed"))
        if mode == "Indexed":
            _indexed(errors, path, spec)
    if spec.get("backoffLimitPerIndex") is not None and mode != "Indexed":
        errors.invalid(path + ".backoffLimitPerIndex", spec["backoffLimitPerIndex"], "requires indexed completion mode")
    replacement = spec.get("podReplacementPolicy")
    if spec.get("podFailurePolicy") is not None:
        _failure_policy(errors, path + ".podFailurePolicy", spec)
    if spec.get("successPolicy") is not None:
        if mode != "Indexed":
            errors.invalid(path + ".successPolicy", shown_success_policy(spec["successPolicy"]),
                           "requires indexed completion mode")
        else:
            _success_policy(errors, path + ".successPolicy", spec)
    if replacement is not None:
        supported = ("Failed",) if spec.get("podFailurePolicy") is not None else ("Failed", "TerminatingOrFailed")
        if replacement not in supported:
            errors.not_supported(path + ".podReplacementPolicy", replacement, supported)
    manager = spec.get("managedBy")
    if manager is not None:
        errors.invalid_all(path + ".managedBy", manager, names.qualified_name(manager))
        if "/" not in manager:
            errors.invalid(path + ".managedBy", manager, "must be a domain-prefixed path (such as \"acme.io/foo\")")
    template = spec.get("template") or {}
    validate_template(errors, path + ".template", template)
    restart = (template.get("spec") or {}).get("restartPolicy") or ""
    if restart in ("", "Always"):
        errors.required(path + ".template.spec.restartPolicy", 'valid values: "OnFailure", "Never"')
    elif restart not in ("OnFailure", "Never"):
        errors.not_supported(path + ".template.spec.restartPolicy", restart, ("OnFailure", "Never"))
    elif spec.get("podFailurePolicy") is not None and restart != "Never":
        errors.invalid(
            path + ".template.spec.restartPolicy", restart,
            "only \"Never\" is supported when podFailurePolicy is specified"
        )


def _numbers(errors: Errors, path: str, spec: Object) -> None:
    for field in ("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished",
                  "backoffLimitPerIndex"):
        errors.not_negative(f"{path}.{field}", spec.get(field))
    failed = spec.get("maxFailedIndexes")
    if failed is not None:
        errors.not_negative(path + ".maxFailedIndexes", failed)
        if spec.get("backoffLimitPerIndex") is None:
            errors.required(path + ".backoffLimitPerIndex", "when maxFailedIndexes is specified")


def _indexed(errors: Errors, path: str, spec: Object) -> None:
    completions = spec.get("completions")
    if completions is None:
        errors.required(path + ".completions", "when completion mode is Indexed")
    if (spec.get("parallelism") or 0) > 100000:
        errors.invalid(path + ".parallelism", spec["parallelism"],
                       "must be less than or equal to 100000 when completion mode is Indexed")
    failed = spec.get("maxFailedIndexes")
    if completions is not None and failed is not None and failed > completions:
        errors.invalid(path + ".maxFailedIndexes", failed, "must be less than or equal to completions")


def _failure_policy(errors: Errors, path: str, spec: Object) -> None:
    rules = spec["podFailurePolicy"].get("rules") or []
    if len(rules) > _MAX_RULES:
        errors.too_many(path + ".rules", len(rules), _MAX_RULES)
    pod = (spec.get("template") or {}).get("spec") or {}
    known = {c.get("name") for kind in ("containers", "initContainers") for c in pod.get(kind) or ()}
    for i, rule in enumerate(rules):
        _failure_rule(errors, f"{path}.rules[{i}]", rule, spec, known)


def _failure_rule(errors: Errors, path: str, rule: Object, spec: Object, known: set[Any]) -> None:
    action, codes, conditions = rule.get("action") or "", rule.get("onExitCodes"), rule.get("onPodConditions") or []
    if not action:
        errors.required(path + ".action", "valid values: " + _quoted(_ACTIONS))
    elif action == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
        errors.invalid(path + ".action", action, "requires the backoffLimitPerIndex to be set")
    elif action not in _ACTIONS:
        errors.not_supported(path + ".action", action, _ACTIONS)
    if codes is not None:
        _exit_codes(errors, path + ".onExitCodes", codes, known)
    for j, condition in enumerate(conditions):
        where = f"{path}.onPodConditions[{j}]"
        kind, status = condition.get("type") or "", condition.get("status") or ""
        errors.invalid_all(where + ".type", kind, names.qualified_name(kind))
        if not status:
            errors.required(where + ".status", "valid values: " + _quoted(_STATUSES))
        elif status not in _STATUSES:
            errors.not_supported(where + ".status", status, _STATUSES)
    if codes is not None and conditions:
        _say(errors, path, "specifying both OnExitCodes and OnPodConditions is not supported")
    elif codes is None and not conditions:
        _say(errors, path, "specifying one of OnExitCodes and OnPodConditions is required")


def _say(errors: Errors, path: str, text: str) -> None:
    """A complaint about a value that is not shown."""
    errors.append({"reason": "FieldValueInvalid", "message": f"Invalid value: {text}", "field": path})


def _quoted(words: tuple[str, ...]) -> str:
    return "[" + " ".join(f'"{word}"' for word in words) + "]"


def _exit_codes(errors: Errors, path: str, codes: Object, known: set[Any]) -> None:
    operator, values = codes.get("operator") or "", codes.get("values")
    if not operator:
        errors.required(path + ".operator", 'valid values: ["In" "NotIn"]')
    elif operator not in ("In", "NotIn"):
        errors.not_supported(path + ".operator", operator, ("In", "NotIn"))
    name = codes.get("containerName")
    if name is not None and name not in known:
        errors.invalid(
            path + ".containerName", name, "must be one of the container or initContainer names in the pod template"
        )
    if not values:
        errors.invalid(path + ".values", values, "at least one value is required")
        return
    if len(values) > 255:
        errors.too_many(path + ".values", len(values), 255)
    seen: set[int] = set()
    for j, value in enumerate(values):
        where = f"{path}.values[{j}]"
        if operator == "In" and value == 0:
            errors.invalid(where, value, "must not be 0 for the In operator")
        if value in seen:
            errors.duplicate(where, value)
        seen.add(value)
    if sorted(values) != values:
        errors.invalid(path + ".values", values, "must be ordered")


def _success_policy(errors: Errors, path: str, spec: Object) -> None:
    rules = spec["successPolicy"].get("rules") or []
    if not rules:
        errors.required(path + ".rules", "at least one rules must be specified when the successPolicy is specified")
    if len(rules) > _MAX_RULES:
        errors.too_many(path + ".rules", len(rules), _MAX_RULES)
    completions = spec.get("completions") or 0
    for i, rule in enumerate(rules):
        where = f"{path}.rules[{i}]"
        indexes, count = rule.get("succeededIndexes"), rule.get("succeededCount")
        if indexes is None and count is None:
            errors.required(where, "at least one of succeededCount or succeededIndexes must be specified")
        total = 0
        if indexes is not None:
            total, complaint = _count_indexes(indexes, completions)
            if complaint:
                errors.invalid(where + ".succeededIndexes", indexes, f"error parsing succeededIndexes: {complaint}")
        if count is not None:
            errors.not_negative(where + ".succeededCount", count)
            if count > completions:
                errors.invalid(where + ".succeededCount", count,
                               f"must be less than or equal to {completions} (the number of specified completions)")
            if indexes is not None and count > total:
                errors.invalid(where + ".succeededCount", count,
                               f"must be less than or equal to {total} (the number of indexes in the specified "
                               "succeededIndexes field)")


def shown_success_policy(policy: Object | None) -> Any:
    """The policy as upstream's own struct prints."""
    if policy is None:
        return None
    rules = policy.get("rules")
    return {"Rules": None if rules is None else [
        {"SucceededIndexes": rule.get(
            "succeededIndexes"
        ), "SucceededCount": rule.get("succeededCount")} for rule in rules]}


def shown_failure_policy(policy: Object | None) -> Any:
    if policy is None:
        return None
    out = []
    for rule in policy.get("rules") or []:
        codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions")
        out.append({
            "Action": rule.get("action") or "",
            "OnExitCodes": None if codes is None else {
                "ContainerName": codes.get("containerName"), "Operator": codes.get("operator") or "",
                "Values": codes.get("values")},
            "OnPodConditions": None if conditions is None else [
                {"Type": c.get("type") or "", "Status": c.get("status") or ""} for c in conditions]})
    return {"Rules": out if policy.get("rules") is not None else None}


def _count_indexes(text: str, completions: int) -> tuple[int, str]:
    """How many indexes `0-3,5` names, or what is wrong with it."""
    if not text:
        return 0, ""
    total, last = 0, -1
    for part in text.split(","):
        bounds = part.split("-")
        if len(bounds) > 2:
            return 0, f'cannot parse index interval "{part}"'
        numbers: list[int] = []
        for bound in bounds:
            if not re.fullmatch(r"[+-]?[0-9]+", bound):
                return 0, f'cannot convert string to integer for index: "{bound}"'
            if int(bound) >= completions:
                return 0, f'too large index: "{bound}"'
            numbers.append(int(bound))
        if numbers[0] <= last:
            return 0, f'non-increasing order, previous: {last}, current: {numbers[0]}'
        if len(numbers) == 2 and numbers[1] <= numbers[0]:
            return 0, f'non-increasing order, previous: {numbers[0]}, current: {numbers[1]}'
        total += numbers[-1] - numbers[0] + 1
        last = numbers[-1]
    return total, ""


def update_job(errors: Errors, job: Object, old: Object, subresource: str) -> None:
    if subresource == "status":
        validate_metadata_update(errors, job, old)
        return
    create_job(errors, job)
    validate_metadata_update(errors, job, old)
    spec, before = job.get("spec") or {}, old.get("spec") or {}
    _job_spec(errors, "spec", spec, bare=True)
    was, now = before.get("completions"), spec.get("completions")
    if was != now:
        if spec.get("completionMode") != "Indexed" or was is None or now is None:
            errors.invalid("spec.completions", now, IMMUTABLE)
        elif now != spec.get("parallelism"):
            errors.invalid("spec.completions", now, "can only be modified in tandem with spec.parallelism")
    for field in ("selector",):
        if spec.get(field) != before.get(field):
            errors.invalid(f"spec.{field}", shown_selector(spec.get(field)), IMMUTABLE)
    if _template_changed(spec, before, old):
        errors.invalid("spec.template", struct_value("PodTemplateSpec", spec.get("template")), IMMUTABLE)
    shown = {"podFailurePolicy": shown_failure_policy, "successPolicy": shown_success_policy}
    for field in ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"):
        if spec.get(field) != before.get(field):
            value = spec.get(field)
            errors.invalid(f"spec.{field}", shown[field](value) if field in shown else value, IMMUTABLE)


def _template_changed(spec: Object, before: Object, old: Object) -> bool:
    new, was = spec.get("template") or {}, before.get("template") or {}
    if new == was:
        return False
    status = old.get("status") or {}
    if not (before.get("suspend") and status.get("startTime") is None):
        return True
    # A Job that never started may still be placed elsewhere.
    free = ("nodeSelector", "tolerations", "schedulingGates", "affinity")

    def fixed(template: Object) -> Any:
        pod = {key: value for key, value in (template.get("spec") or {}).items() if key not in free}
        return pod

    return bool(fixed(new) != fixed(was))


def create_cron_job(errors: Errors, cron: Object) -> None:
    validate_metadata(errors, cron, True, SUBDOMAIN)
    _cron_job_spec(errors, cron)
    name = (cron.get("metadata") or {}).get("name") or ""
    if len(name) > 52:
        errors.invalid("metadata.name", name, "must be no more than 52 characters")


def _cron_job_spec(errors: Errors, cron: Object) -> None:
    spec = cron.get("spec") or {}
    schedule = spec.get("schedule") or ""
    if not schedule:
        errors.required("spec.schedule")
    else:
        complaint = schedule_complaint(schedule)
        if complaint:
            errors.invalid("spec.schedule", schedule, complaint)
        if "TZ" in schedule:
            errors.invalid("spec.schedule", schedule,
                           "cannot use TZ or CRON_TZ in schedule, use timeZone field instead")
    errors.not_negative("spec.startingDeadlineSeconds", spec.get("startingDeadlineSeconds"))
    zone = spec.get("timeZone")
    if zone is not None:
        _time_zone(errors, zone)
    policy = spec.get("concurrencyPolicy") or ""
    if not policy:
        errors.required("spec.concurrencyPolicy")
    elif policy not in ("Allow", "Forbid", "Replace"):
        errors.not_supported("spec.concurrencyPolicy", policy, ("Allow", "Forbid", "Replace"))
    template = spec.get("jobTemplate") or {}
    _job_template(errors, template)
    errors.not_negative("spec.successfulJobsHistoryLimit", spec.get("successfulJobsHistoryLimit"))
    errors.not_negative("spec.failedJobsHistoryLimit", spec.get("failedJobsHistoryLimit"))


def _job_template(errors: Errors, template: Object) -> None:
    spec = template.get("spec") or {}
    if spec.get("manualSelector"):
        errors.not_supported("spec.jobTemplate.spec.manualSelector", True, ("nil", "false"))
    _job_spec(errors, "spec.jobTemplate.spec", spec, bare=False)


def _time_zone(errors: Errors, zone: str) -> None:
    if not zone:
        errors.invalid("spec.timeZone", zone, "timeZone must be nil or non-empty string")
    elif zone.casefold() == "local":
        errors.invalid("spec.timeZone", zone, "timeZone must be an explicit time zone as defined in "
                                              "https://www.iana.org/time-zones")
    elif not _known_zone(zone):
        errors.invalid("spec.timeZone", zone, f"unknown time zone {zone}")


def _known_zone(name: str) -> bool:
    try:
        return bool(zoneinfo.ZoneInfo(name))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False


def update_cron_job(errors: Errors, cron: Object, old: Object, subresource: str) -> None:
    validate_metadata_update(errors, cron, old)
    if subresource != "status":
        _cron_job_spec(errors, cron)


RULES = {
    ("batch", "Job"): Rules(create_job, update_job),
    ("batch", "CronJob"): Rules(create_cron_job, update_cron_job),
}

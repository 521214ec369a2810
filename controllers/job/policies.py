"""podFailurePolicy and successPolicy: rules that end a Job early, or let failures not count. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from controllers.job.indexes import parse_indexes
from machinery.meta.conditions import get_condition
from machinery.meta.objects import object_key

Object = dict[str, Any]


def match_failure(policy: Object | None, pod: Object) -> tuple[str, str]:
    """(action, message) of the first rule that a failed pod meets; ("Count", "") when none does."""
    for number, rule in enumerate((policy or {}).get("rules") or ()):
        if (codes := rule.get("onExitCodes")) is not None:
            found = _match_exit_codes(codes, pod)
            if found is not None:
                name, code = found
                message = (
                    f"Container {name} for pod {object_key(pod)} failed with exit code {code} matching "
                    f"{rule['action']} rule at index {number}"
                )
                return rule["action"], message
        else:
            for pattern in rule.get("onPodConditions") or ():
                condition = get_condition(pod.get("status", {}).get("conditions"), pattern["type"])
                if condition is not None and condition.get("status") == pattern.get("status", "True"):
                    message = (
                        f"Pod {object_key(pod)} has condition {pattern['type']} matching {rule['action']} rule at "
                        f"index {number}"
                    )
                    return rule["action"], message
    return "Count", ""


def _match_exit_codes(rule: Object, pod: Object) -> tuple[str, int] | None:
    status = pod.get("status", {})
    statuses = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    for item in statuses:
        if rule.get("containerName") and item["name"] != rule["containerName"]:
            continue
        ended = (item.get("state") or {}).get("terminated")
        if ended is None or not ended.get("exitCode"):
            continue
        listed = ended["exitCode"] in (rule.get("values") or ())
        if listed == (rule["operator"] == "In"):
            return item["name"], ended["exitCode"]
    return None


def match_success(job: Object, succeeded: Iterable[int]) -> str | None:
    """The message of the first success rule that is met."""
    done = set(succeeded)
    completions = int(job["spec"].get("completions") or 0)
    for number, rule in enumerate((job["spec"].get("successPolicy") or {}).get("rules") or ()):
        wanted = parse_indexes(rule["succeededIndexes"], completions) if rule.get("succeededIndexes") else None
        counted = done if wanted is None else done & wanted
        needed = rule.get("succeededCount")
        if needed is None:
            needed = len(wanted or ())
        if wanted is None and rule.get("succeededCount") is None:
            continue
        if len(counted) >= needed:
            return f"Matched rules at index {number}"
    return None

"""Levels and versions as a namespace's labels say them, and the judgement of a pod by them. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apiserver.admission.pod_security.checks import BASELINE, CHECKS, RESTRICTED
from apiserver.auth.text import quote

Object = dict[str, Any]
Cause = dict[str, str]

PREFIX = "pod-security.kubernetes.io/"
PRIVILEGED = "privileged"
LEVELS = (PRIVILEGED, BASELINE, RESTRICTED)
MODES = ("enforce", "audit", "warn")
LATEST = 1_000_000  # a minor version that includes every check

_VERSION = re.compile(r"v1\.(0|[1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class LevelVersion:
    level: str = PRIVILEGED
    version: int = LATEST

    def __str__(self) -> str:
        return f"{self.level}:{'latest' if self.version == LATEST else f'v1.{self.version}'}"

    def is_stricter_than(self, other: LevelVersion) -> bool:
        return LEVELS.index(self.level) > LEVELS.index(other.level)


@dataclass(frozen=True, slots=True)
class Policy:
    enforce: LevelVersion = LevelVersion()
    audit: LevelVersion = LevelVersion()
    warn: LevelVersion = LevelVersion()

    @property
    def is_privileged(self) -> bool:
        return all(mode.level == PRIVILEGED for mode in (self.enforce, self.audit, self.warn))


def parse_labels(labels: Mapping[str, str]) -> tuple[Policy, list[Cause]]:
    """The policy, and what is wrong with the labels. What cannot be read counts as the strictest."""
    causes: list[Cause] = []
    parsed: dict[str, LevelVersion] = {}
    for mode in MODES:
        level, version = PRIVILEGED, LATEST
        if (text := labels.get(f"{PREFIX}{mode}")) is not None:
            level = text if text in LEVELS else RESTRICTED
            if text not in LEVELS:
                causes.append(_cause(mode, text, f"must be one of {', '.join(LEVELS)}"))
        if (text := labels.get(f"{PREFIX}{mode}-version")) is not None and text != "latest":
            match = _VERSION.fullmatch(text)
            if match:
                version = int(match.group(1))
            else:
                causes.append(_cause(f"{mode}-version", text, 'must be "latest" or "v1.x"'))
        parsed[mode] = LevelVersion(level, version)
    # Who enforces and says nothing about warnings is warned of what will be refused, also in templates.
    if f"{PREFIX}warn" not in labels and parsed["enforce"].is_stricter_than(parsed["warn"]):
        parsed["warn"] = parsed["enforce"]
    return Policy(**parsed), causes


def findings(pod: Object, wanted: LevelVersion) -> list[tuple[str, str]]:
    """(reason, detail) of every check that a pod fails."""
    if wanted.level == PRIVILEGED:
        return []
    active = [
        check
        for check in CHECKS
        if check.since <= wanted.version and (check.level == BASELINE or wanted.level == RESTRICTED)
    ]
    replaced = {name for check in active for name in check.replaces}
    results = (check.find(pod, wanted.version) for check in active if check.id not in replaced)
    return [result for result in results if result is not None]


def describe(found: list[tuple[str, str]]) -> str:
    return ", ".join(f"{reason} ({detail})" if detail else reason for reason, detail in found)


def _cause(label: str, value: str, why: str) -> Cause:
    return {
        "reason": "FieldValueInvalid",
        "message": f"Invalid value: {quote(value)}: {why}",
        "field": f"metadata.labels[{PREFIX}{label}]",
    }

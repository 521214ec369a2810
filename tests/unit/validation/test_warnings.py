"""Warnings about good writes: the recorded ones, and no others. Of several the recorder kept the last."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from apiserver.validation.warnings import warnings_for
from machinery.api.kinds import Kind
from machinery.api.table import KINDS

from .judge import TRANSCRIPTS, UID, allocate, as_registry, changed, kind_of, prepared
from .test_recorded import FILES

ELSEWHERE = ("unknown field", "Endpoints is deprecated", "unrecognized format")  # decoding, versions, definitions


def recorded(name: str) -> Iterator[tuple[str, list[str], list[str]]]:
    templates: dict[str, Any] = {}
    stored = None
    for line in (TRANSCRIPTS / name).read_text().splitlines():
        step = json.loads(line.replace("${ns}", "g-ns"))
        if "templates" in step:
            templates = step["templates"]
            continue
        source = stored if step.get("base") == "cur" else templates.get(step.get("base", ""))
        if step["method"] not in ("POST", "PUT") or source is None or step["expect"]["status"] >= 300:
            continue
        kind = kind_of(step["path"])
        if kind is None:
            continue  # a custom resource
        obj = prepared(kind, changed(source, step))
        old = copy.deepcopy(stored) if step["method"] == "PUT" else None
        as_registry(kind, obj, old)
        if step.get("save"):
            stored = obj
            obj["metadata"].update(uid=UID, creationTimestamp="2026-01-01T00:00:00Z", resourceVersion="1")
            allocate(kind, obj)
        header = (step["expect"].get("headers") or {}).get("warning", "")
        wanted = [json.loads(header.removeprefix("299 - "))] if header else []
        if any(other in header for other in ELSEWHERE):
            wanted = []
        yield step["id"], wanted, warnings_for(kind, obj, old)[-1:]


@pytest.mark.parametrize("name", FILES)
def test_recorded_warnings(name: str) -> None:
    assert [case for case in recorded(name) if case[1] != case[2]] == []


def warn(kind: Kind, spec: dict[str, Any], old: dict[str, Any] | None = None) -> list[str]:
    return warnings_for(kind, {"metadata": {}, "spec": spec}, old)


def test_a_variable_may_extend_its_former_self() -> None:
    pods = KINDS.by_resource("", "v1", "pods")
    assert pods is not None
    former = {"name": "PATH", "value": "/bin"}
    assert warn(pods, {"containers": [{"env": [former, {"name": "PATH", "value": "$(PATH):/x"}]}]}) == []
    assert warn(pods, {"containers": [{"env": [former, former]}]}) == [
        'spec.containers[0].env[1]: hides previous definition of "PATH", which may be dropped when using apply']


def test_an_untouched_template_is_not_mentioned_again() -> None:
    deployments = KINDS.by_resource("apps", "v1", "deployments")
    assert deployments is not None
    spec = {"template": {"spec": {"terminationGracePeriodSeconds": -1}}}
    assert len(warn(deployments, spec)) == 1
    assert warn(deployments, spec, {"metadata": {}, "spec": spec}) == []

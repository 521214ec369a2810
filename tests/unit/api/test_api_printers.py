"""Tables: recorded columns and rows, pods in every state, ages, custom columns."""

from __future__ import annotations

import copy
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from machinery.api.decode import decode
from machinery.api.defaults import apply_defaults
from machinery.api.jsonpath import find
from machinery.api.kinds import Kind
from machinery.api.printers import columns, printer_for, row, table
from machinery.api.printers.columns import definitions
from machinery.api.printers.custom import custom_printer
from machinery.api.printers.durations import human_duration
from machinery.api.schema import schema_for
from machinery.api.table import KINDS
from tests.unit.api.api_transcripts import Step, steps

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
AGE = re.compile(r"^(\d+[smhdy])+$")
#: What strategies and controllers write before a table is asked for.
WRITTEN_ELSEWHERE: dict[str, dict[str, Any]] = {
    "Pod": {"status": {"phase": "Pending"}},
    "FlowSchema": {"status": {"conditions": [{"type": "Dangling", "status": "False"}]}},
    "APIService": {"status": {"conditions": [{"type": "Available", "status": "False", "reason": "ServiceNotFound"}]}},
}


def _kind(word: str) -> Kind:
    kind = KINDS.resolve(word)
    assert kind is not None
    return kind


def _tables() -> list[Step]:
    found = []
    for step in steps("tables.jsonl"):
        if step.kind and isinstance(step.answer, dict) and step.answer.get("kind") == "Table":
            found.append(step)
    return found


def test_recorded_columns() -> None:
    compared = 0
    for step in _tables():
        assert step.kind is not None
        assert columns(step.kind) == step.answer["columnDefinitions"], step
        compared += 1
    assert compared > 150


def _created() -> dict[tuple[str, str, str], Any]:
    """What the server holds after each recorded create, as far as its rows show it."""
    objects: dict[tuple[str, str, str], Any] = {}
    for step in steps("tables.jsonl"):
        if step.method != "POST" or step.kind is None or not isinstance(step.body, dict):
            continue
        obj = copy.deepcopy(step.body) | {"kind": step.kind.kind, "apiVersion": step.kind.api_version}
        decode(obj, schema_for(step.kind))
        apply_defaults(step.kind, obj)
        obj["metadata"]["creationTimestamp"] = "2026-06-01T11:59:00Z"
        obj |= copy.deepcopy(WRITTEN_ELSEWHERE.get(step.kind.kind, {}))
        if step.kind.kind == "Job" and not obj["spec"].get("selector"):
            obj["spec"]["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": "<uid>"}}
        objects[step.kind.group, step.kind.plural, obj["metadata"].get("name", "")] = obj
    return objects


def test_recorded_rows() -> None:
    objects = _created()
    compared = 0
    for step in _tables():
        assert step.kind is not None
        named = [column["format"] == "name" for column in step.answer["columnDefinitions"]].index(True)
        for recorded in step.answer["rows"]:
            name = recorded["cells"][named]
            group = "" if step.kind.plural == "events" else step.kind.group
            obj = objects.get((group, step.kind.plural, name)) or objects.get((step.kind.group, step.kind.plural, name))
            if obj is None or "Terminating" in recorded["cells"]:
                continue  # made by the server itself, or since marked for deletion
            cells = [_masked(cell) for cell in row(step.kind, obj, NOW)]
            assert cells == recorded["cells"], step
            compared += 1
    assert compared > 150


def _masked(cell: Any) -> Any:
    if isinstance(cell, str):
        return "<age>" if AGE.match(cell) else re.sub(r"^2026-06-01T11:59:00Z$", "<time>", cell)
    return cell


def _pod(status: dict[str, Any], spec: dict[str, Any] | None = None, **meta: Any) -> dict[str, Any]:
    containers = {"containers": [{"name": "a"}, {"name": "b"}]}
    return {"metadata": {"name": "p", **meta}, "spec": containers | (spec or {}), "status": status}


def _status(name: str, state: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "state": state, **more}


RUNNING = {"running": {"startedAt": "2026-06-01T11:00:00Z"}}
DONE = {"terminated": {"exitCode": 0, "reason": "Completed"}}
INIT = {"initContainers": [{"name": "i"}, {"name": "s", "restartPolicy": "Always"}]}


@pytest.mark.parametrize(
    ("pod", "cells"),
    [
        (_pod({"phase": "Running", "containerStatuses": [_status("a", RUNNING, ready=True),
                                                         _status("b", RUNNING, ready=False, restartCount=2)]}),
         ["1/2", "Running", "2"]),
        (_pod({"phase": "Running", "containerStatuses": [
            _status("a", {"waiting": {"reason": "CrashLoopBackOff"}}, restartCount=3,
                    lastState={"terminated": {"finishedAt": "2026-06-01T11:58:00Z"}})]}),
         ["0/2", "CrashLoopBackOff", "3 (2m ago)"]),
        (_pod({"phase": "Succeeded", "containerStatuses": [_status("a", DONE)]}), ["0/2", "Completed", "0"]),
        (_pod({"phase": "Failed", "reason": "Evicted"}), ["0/2", "Evicted", "0"]),
        (_pod({"phase": "Failed", "containerStatuses": [_status("a", {"terminated": {"exitCode": 3}})]}),
         ["0/2", "ExitCode:3", "0"]),
        (_pod({"phase": "Failed", "containerStatuses": [_status("a", {"terminated": {"exitCode": 3, "signal": 9}})]}),
         ["0/2", "Signal:9", "0"]),
        (_pod({"phase": "Pending", "initContainerStatuses": [_status("i", RUNNING), _status("s", {})]}, INIT),
         ["0/3", "Init:0/2", "0"]),
        (_pod({"phase": "Pending", "initContainerStatuses": [
            _status("i", DONE), _status("s", {"waiting": {"reason": "ImagePullBackOff"}})]}, INIT),
         ["0/3", "Init:ImagePullBackOff", "0"]),
        (_pod({"phase": "Pending", "initContainerStatuses": [
            _status("i", DONE), _status("s", RUNNING, started=True, ready=True, restartCount=1)],
            "containerStatuses": [_status("a", {"waiting": {"reason": "ContainerCreating"}})]}, INIT),
         ["1/3", "ContainerCreating", "1"]),
        (_pod({"phase": "Running"}, deletionTimestamp="2026-06-01T11:59:00Z"), ["0/2", "Terminating", "0"]),
        (_pod({"phase": "Succeeded"}, deletionTimestamp="2026-06-01T11:59:00Z"), ["0/2", "Succeeded", "0"]),
        (_pod({"phase": "Running", "reason": "NodeLost"}, deletionTimestamp="2026-06-01T11:59:00Z"),
         ["0/2", "Unknown", "0"]),
        (_pod({"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]}),
         ["0/2", "SchedulingGated", "0"]),
        (_pod({"phase": "Running", "containerStatuses": [_status("a", RUNNING, ready=True), _status("b", DONE)]}),
         ["1/2", "NotReady", "0"]),
    ],
)  # fmt: skip
def test_a_pod_in_one_word(pod: dict[str, Any], cells: list[str]) -> None:
    assert row(_kind("pod"), pod, NOW)[1:4] == cells


def test_completed_pods_carry_a_row_condition() -> None:
    document = table(_kind("pod"), [_pod({"phase": "Succeeded"}), _pod({"phase": "Running"})], NOW)
    assert document["rows"][0]["conditions"][0]["reason"] == "Succeeded"
    assert "conditions" not in document["rows"][1]


@pytest.mark.parametrize("include", ["None", "Metadata", "Object"])
def test_rows_carry_what_was_asked_for(include: str) -> None:
    pod = _pod({"phase": "Running"})
    found = table(_kind("pod"), [pod], NOW, include_object=include)["rows"][0]["object"]
    wanted = {
        "None": None,
        "Metadata": {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "p"}},
        "Object": pod,
    }
    assert found == wanted[include]


def test_every_row_is_as_long_as_its_head() -> None:
    """An object with nothing but a name prints, whatever its kind."""
    for kind in KINDS:
        cells = row(kind, {"kind": kind.kind, "metadata": {"name": "x"}}, NOW)
        assert len(cells) == len(printer_for(kind).columns), kind


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"), (-1, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (423, "7m3s"), (600, "10m"),
        (10799, "179m"), (10800, "3h"), (27000, "7h30m"), (28800, "8h"), (172799, "47h"), (172800, "2d"),
        (187200, "2d4h"), (691200, "8d"), (63071999, "729d"), (63072000, "2y"), (100000000, "3y62d"), (252288000, "8y"),
    ],
)  # fmt: skip
def test_ages(seconds: int, text: str) -> None:
    assert human_duration(seconds) == text


def test_custom_columns() -> None:
    printer = custom_printer([
        {"name": "Oars", "type": "integer", "jsonPath": ".spec.oars", "description": "how many"},
        {"name": "Tags", "type": "string", "jsonPath": ".spec.tags"},
        {"name": "First", "type": "string", "jsonPath": ".spec.tags[*]", "priority": 1},
        {"name": "Born", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        {"name": "On", "type": "boolean", "jsonPath": ".spec.on"},
        {"name": "Gone", "type": "string", "jsonPath": ".spec.no.such"},
        {"name": "Wrong", "type": "integer", "jsonPath": ".spec.tags[0]"},
    ])  # fmt: skip
    born = (NOW - timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    ship = {"metadata": {"name": "a", "creationTimestamp": born}, "spec": {"oars": 6, "tags": ["t", "u"], "on": False}}
    assert printer.row(ship, NOW) == ["a", 6, '["t","u"]', "t", "5m", False, None, None]
    head = definitions(printer.columns)
    assert head[1]["description"] == "how many"
    assert head[2]["description"] == "Custom resource definition column (in JSONPath format): .spec.tags"
    assert definitions(custom_printer(None).columns)[1] | {"description": ""} == {
        "name": "Age", "type": "date", "format": "", "description": "", "priority": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".a.b", [1]), ("{.a.b}", [1]), (".l[*].n", ["x", "y"]), (".l[-1].v", [2]), ('.l[?(@.n=="y")].v', [2]),
        (".l[?(@.v>1)].n", ["y"]), (".l[?(@.w)].n", ["x"]), (".m['k.e/y']", [3]), (".m.k\\.e/y", [3]),
        (".l[0:1].n", ["x"]), ("..v", [1, 2]), (".none", []), (".a[", []), (".a.b.c", []),
    ],
)  # fmt: skip
def test_json_paths(path: str, found: list[Any]) -> None:
    obj = {"a": {"b": 1}, "l": [{"n": "x", "v": 1, "w": 0}, {"n": "y", "v": 2}], "m": {"k.e/y": 3}}
    assert find(path, obj) == found

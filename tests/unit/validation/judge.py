"""Drives validation from the recorded steps: a template and its changes make the object, the recorded causes are the
truth.

What the registry does around validation (allocating addresses, generating a Job's selector, filling what admission
fills in) is done here as far as the steps need it, in the plainest way.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from apiserver.registry import objectmeta
from apiserver.validation import validate
from machinery.api.decode import decode
from machinery.api.defaults import apply_defaults
from machinery.api.kinds import Kind
from machinery.api.schema import schema_for
from machinery.api.table import KINDS

TRANSCRIPTS = Path(__file__).parents[2] / "golden" / "transcripts"
NAMESPACE = "g-ns"
UID = "11111111-2222-3333-4444-555555555555"

Object = dict[str, Any]
Causes = list[dict[str, str]]


class Judgement(NamedTuple):
    step: str
    title: str
    wanted: Causes
    found: Causes


def judge(name: str) -> Iterator[Judgement]:
    """Every creation and update of a transcript that reaches validation."""
    templates: dict[str, Object] = {}
    stored: Object | None = None
    for line in (TRANSCRIPTS / name).read_text().splitlines():
        step = json.loads(line.replace("${ns}", NAMESPACE))
        if "templates" in step:
            templates = step["templates"]
            continue
        status = step["expect"]["status"]
        source = stored if step.get("base") == "cur" else templates.get(step.get("base", ""))
        if step["method"] not in ("POST", "PUT") or source is None or status not in (200, 201, 422):
            continue
        kind = kind_of(step["path"])
        if kind is None:
            continue  # a custom resource
        obj = prepared(kind, changed(source, step))
        updating = step["method"] == "PUT"
        old = copy.deepcopy(stored) if updating else None
        if old is not None:
            objectmeta.prepare_update(obj, old)
        as_registry(kind, obj, old)
        found = (objectmeta.update_causes(obj, old) if old is not None else []) + validate(kind, obj, old, "")
        if step.get("save") and status == 201:
            stored = obj
            obj["metadata"].update(uid=UID, creationTimestamp="2026-01-01T00:00:00Z", resourceVersion="1")
            allocate(kind, obj)
        body = step["expect"]["body"]
        wanted = (body.get("details") or {}).get("causes") or [] if status == 422 else []
        yield Judgement(step["id"], step["title"], [shown(c) for c in wanted], [shown(c) for c in found])


def shown(cause: dict[str, Any]) -> dict[str, str]:
    message = cause.get("message", "").replace(UID, "<uid>")
    for stamp in ("2026-01-01T00:00:00Z", "2030-01-01T00:00:00Z", "2020-01-01T00:00:00Z"):
        message = message.replace(stamp, "<time>")
    return {"reason": cause.get("reason", ""), "field": cause.get("field", ""), "message": message}


def kind_of(path: str) -> Kind | None:
    parts = path.partition("?")[0].strip("/").split("/")
    group, version, rest = ("", parts[1], parts[2:]) if parts[0] == "api" else (parts[1], parts[2], parts[3:])
    if rest[0] == "namespaces" and len(rest) > 2:
        rest = rest[2:]
    return KINDS.by_resource(group, version, rest[0]) if rest else None


def changed(source: Object, step: Object) -> Object:
    value = copy.deepcopy(source)
    for path, new in step.get("set", {}).items():
        *front, last = [part.replace("~", ".") for part in path.split(".")]
        at: Any = value
        for part in front:
            at = at[int(part)] if isinstance(at, list) else at.setdefault(part, {})
        if not isinstance(at, list):
            at[last] = new
        elif int(last) == len(at):
            at.append(new)
        else:
            at[int(last)] = new
    for path in step.get("unset", []):
        *front, last = [part.replace("~", ".") for part in path.split(".")]
        at = value
        for part in front:
            at = at[int(part)] if isinstance(at, list) else at[part]
        del at[int(last) if isinstance(at, list) else last]
    return value


def prepared(kind: Kind, obj: Object) -> Object:
    schema = schema_for(kind)
    decode(obj, schema)
    apply_defaults(kind, obj)
    meta = obj.setdefault("metadata", {})
    if kind.namespaced:
        meta.setdefault("namespace", NAMESPACE)
    return obj


def as_registry(kind: Kind, obj: Object, old: Object | None) -> None:
    """The strategies' part, as far as these steps show it."""
    spec = obj.get("spec") or {}
    if kind.kind == "Service" and spec.get("clusterIP") and not spec.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]
    if old is not None:
        if "status" in old:
            obj["status"] = old["status"]
        else:
            obj.pop("status", None)
        return
    for field in ("deletionTimestamp", "deletionGracePeriodSeconds"):
        obj["metadata"].pop(field, None)
    if kind.kind == "Pod":
        spec.setdefault("priority", 0)
        spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
        spec.setdefault("serviceAccountName", "default")
    elif kind.kind == "Job" and not spec.get("manualSelector"):
        name = obj["metadata"].get("name") or ""
        obj["metadata"]["uid"] = UID
        labels = spec.setdefault("template", {}).setdefault("metadata", {}).setdefault("labels", {})
        labels.update(dict.fromkeys(("batch.kubernetes.io/controller-uid", "controller-uid"), UID))
        labels.update(dict.fromkeys(("batch.kubernetes.io/job-name", "job-name"), name))
        spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": UID}}


def allocate(kind: Kind, obj: Object) -> None:
    spec = obj.get("spec") or {}
    if kind.kind == "Service" and spec.get("type") != "ExternalName" and not spec.get("clusterIP"):
        spec["clusterIP"], spec["clusterIPs"] = "10.96.0.9", ["10.96.0.9"]

"""Reads recorded exchanges as data: which body was sent, to which kind, and what came back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machinery.api.kinds import Kind
from machinery.api.table import KINDS

FOLDER = Path(__file__).parents[2] / "golden" / "transcripts"
_PATH = re.compile(
    r"^/(?:api/(?P<core>v1)|apis/(?P<group>[^/?]+)/(?P<version>[^/?]+))"
    r"(?:/namespaces/[^/?]+(?=/))?/(?P<plural>[a-z]+)(?:/(?P<name>[^/?]+))?(?:/(?P<sub>[^?]+))?(?:\?(?P<query>.*))?$"
)


@dataclass
class Step:
    file: str
    id: str
    method: str
    path: str
    headers: dict[str, str]
    body: Any
    status: int
    answer: Any
    answer_headers: dict[str, str]
    kind: Kind | None
    name: str | None
    subresource: str | None
    query: str

    def __repr__(self) -> str:
        return f"{self.file}:{self.id}"


def steps(file: str) -> Iterator[Step]:
    """Every step of a transcript that has a fixed body (or none)."""
    templates: dict[str, Any] = {}
    for line in (FOLDER / file).read_text().splitlines():
        raw = json.loads(line)
        if "templates" in raw:
            templates |= raw["templates"]
            continue
        body = raw.get("body")
        if "base" in raw and raw["base"] in templates:
            body = _changed(templates[raw["base"]], raw)
        elif "text" in raw:
            body = raw["text"]
        expect = raw.get("expect") or {}
        match = _PATH.match(raw["path"])
        kind = None
        if match:
            kind = KINDS.by_resource(match["group"] or "", match["core"] or match["version"], match["plural"])
            if kind is None and match["plural"] == "namespaces":
                kind = KINDS.by_resource("", "v1", "namespaces")
        yield Step(
            file, str(raw.get("id")), raw.get("method", "GET"), raw["path"], raw.get("headers", {}), body,
            expect.get("status", 0), expect.get("body"), expect.get("headers", {}), kind,
            match["name"] if match else None, match["sub"] if match else None, (match["query"] or "") if match else "",
        )  # fmt: skip


def _changed(value: Any, step: dict[str, Any]) -> Any:
    value = json.loads(json.dumps(value))
    for path, new in step.get("set", {}).items():
        *front, last = [part.replace("~", ".") for part in path.split(".")]
        at = value
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

"""The three patches against upstream's recorded answers: every step of `patches.jsonl` that gets as far as a patch.

The object a step patches is the last one that the transcript shows at the same path. Upstream then fills defaults
in, so a result must be contained in the recorded object (same lists in the same order, nothing that upstream does
not have).
"""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from machinery.meta.errors import ApiError
from machinery.meta.patches import apply_json_patch, apply_strategic_merge, parse_json_patch
from machinery.meta.patches.merge_patch import apply_merge_patch, parse_merge_patch

from .schemas import schema_of

TRANSCRIPTS = Path(__file__).parents[2] / "golden" / "transcripts"
SERVER_FIELDS = (
    "resourceVersion", "managedFields", "generation", "creationTimestamp", "selfLink", "uid", "generateName")
PATCH_TYPES = (
    "application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json")
# What these steps show is what the server does with the patched object afterwards; the value is the part it changes.
CHANGED_LATER = {
    "merge-22": ".metadata.zop", "smp-44": ".imagee", "oth-07": ".$patch",  # unknown fields are dropped
    "sub-04": ".spec.replicas", "sub-08": ".metadata.labels",  # the status subresource keeps the spec
    "cr-07": ".spec.size", "cr-10": ".spec.zip", "sub-18": ".spec.zip", "oth-08": ".spec.finalizers",
}


def run(content_type: str, body: str, current: dict[str, Any]) -> Any:
    data = body.encode()
    if content_type.startswith("application/json-patch"):
        return apply_json_patch(current, parse_json_patch(data))
    if content_type.startswith("application/merge-patch"):
        return apply_merge_patch(current, parse_merge_patch(data))
    schema = None if ".example.com" in current["apiVersion"] else schema_of(current["apiVersion"], current["kind"])
    return apply_strategic_merge(current, parse_merge_patch(data, ""), schema)


def steps() -> list[Any]:
    shown: dict[str, dict[str, Any]] = {}
    found = []
    for line in (TRANSCRIPTS / "patches.jsonl").read_text().splitlines():
        step = json.loads(line)
        path, _, query = step["path"].partition("?")
        answer, status = step["expect"]["body"], step["expect"]["status"]
        content_type = step.get("headers", {}).get("Content-Type", "")
        needs_saved = "${rv" in step.get("text", "")
        known = step["method"] == "PATCH" and path in shown and not needs_saved and isinstance(answer, dict)
        if known and content_type.rstrip("; fo") in PATCH_TYPES:
            text = step["text"] if "text" in step else json.dumps(step["body"])
            ident = step["id"]
            later = CHANGED_LATER.get(ident)
            found.append(pytest.param(content_type, text, shown[path], status, answer, later, id=ident))
        if status in (200, 201) and isinstance(answer, dict) and "metadata" in answer and "dryRun" not in query:
            name = answer["metadata"].get("name", "")
            shown[path if step["method"] != "POST" else f"{path}/{name}"] = answer
            if path.endswith("/status"):
                shown[path.removesuffix("/status")] = answer
            else:
                shown[f"{path if step['method'] != 'POST' else path + '/' + name}/status"] = answer
                shown[f"{path if step['method'] != 'POST' else path + '/' + name}/ephemeralcontainers"] = answer
    return found


def surplus(result: Any, recorded: Any, path: str = "") -> list[str]:
    """Where a result says something that the recorded object does not."""
    if isinstance(result, dict) and isinstance(recorded, dict):
        return [
            problem for key, value in result.items() if not (path == ".metadata" and key in SERVER_FIELDS)
            for problem in (surplus(value, recorded[key], f"{path}.{key}") if key in recorded
                            else [] if value in (None, {}, [], "") else [f"{path}.{key}: not recorded"])
        ]
    if isinstance(result, list) and isinstance(recorded, list):
        if len(result) != len(recorded):
            return [f"{path}: {len(result)} items, {len(recorded)} recorded"]
        return [p for i, pair in enumerate(zip(result, recorded, strict=True)) for p in surplus(*pair, f"{path}[{i}]")]
    if (recorded == "" and result is None) or str(recorded).startswith("<"):
        return []
    return [] if result == recorded else [f"{path}: {result!r}, recorded {recorded!r}"]


@pytest.mark.parametrize(("content_type", "body", "current", "status", "answer", "later"), steps())
def test_step(
    content_type: str, body: str, current: dict[str, Any], status: int, answer: dict[str, Any], later: str | None,
) -> None:
    before = deepcopy(current)
    message = answer.get("message", "")
    patch_refused = status >= 400 and (
        message == "the server rejected our request due to an error in our request"
        or (status == 500 and "strconv" not in message) or status == 413
        or "unmarshal" in message or "decoding patch" in message or message == "Invalid JSON Patch"
        or message == "unexpected end of JSON input")
    if patch_refused:
        with pytest.raises(ApiError) as caught:
            run(content_type, body, current)
        assert (caught.value.code, caught.value.message) == (status, message)
        assert (caught.value.reason or None, caught.value.details) == (answer.get("reason"), answer.get("details"))
        return
    result = run(content_type, body, current)
    assert current == before, "the input was changed"
    if status == 200:
        wanted = {key: value for key, value in result.items() if key in answer and key != "status"}
        if "apps/v1beta1" in body:
            wanted.pop("apiVersion")
        problems = surplus(wanted, answer)
        assert [p for p in problems if later is None or later not in p] == []


def test_the_transcript_is_read() -> None:
    assert len(steps()) > 150

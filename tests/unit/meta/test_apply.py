"""Field ownership against upstream's recorded answers: every apply and every tracked write of `apply.jsonl`, offline.

The live object of a step is the last one that the transcript shows at that path. An apply is computed whole and
compared: conflicts with text and causes, managedFields, and the object (which upstream completes with defaults).
For other writes the recorded object is the new one, and its managedFields must follow from the old one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from machinery.api.schema import SchemaNode
from machinery.meta.apply import apply_object, reset_fields, update_managed_fields
from machinery.meta.errors import ApiError

from .schemas import schema_of, schema_of_definition
from .test_patches import surplus

TRANSCRIPTS = Path(__file__).parents[2] / "golden" / "transcripts"
TIME = "<time>"  # what every time in the transcripts is masked to
UID = "11111111-2222-3333-4444-555555555555"
# What the object of these steps becomes after the apply: what a strategy puts back, what admission adds.
CHANGED_LATER = {
    "dep-29": ".spec.replicas", "cr-16": ".spec.replicas", "pod-02": ".spec.tolerations", "kind-18": ".spec.taints",
    "kind-19": ".rules", "kind-27": ".spec.hard.configmaps",
}
# The finalizer in the answer is set after ownership is recorded.
FILLED_LATER = {"setup-01"}


def table(entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {json.dumps([e.get("manager"), e["operation"], e["apiVersion"], e.get("subresource"), "time" in e]):
            e["fieldsV1"] for e in entries}


class Replay:
    """Walks the transcript and yields what is needed to judge each write."""

    def __init__(self) -> None:
        self.shown: dict[str, dict[str, Any]] = {}
        self.definitions: dict[str, dict[str, Any]] = {}

    def schema(self, obj: dict[str, Any]) -> SchemaNode:
        definition = self.definitions.get(f"{obj['apiVersion'].partition('/')[0]}/{obj['kind']}")
        if definition is not None:
            return schema_of_definition(definition, obj["apiVersion"].rpartition("/")[2])
        return schema_of(obj["apiVersion"], obj["kind"])

    def cases(self) -> list[Any]:
        found = []
        for line in (TRANSCRIPTS / "apply.jsonl").read_text().splitlines():
            step = json.loads(line.replace(UID, "<uid>"))
            path, _, query = step["path"].partition("?")
            answer, status = step["expect"]["body"], step["expect"]["status"]
            if not isinstance(answer, dict):
                continue
            base, subresource = path, ""
            for name in ("status", "scale", "ephemeralcontainers", "binding", "eviction"):
                if path.endswith("/" + name):
                    base, subresource = path.removesuffix("/" + name), name
            if step["method"] == "POST" and status == 201:
                base = f"{path}/{answer['metadata']['name']}"
                if answer["kind"] == "CustomResourceDefinition":
                    self.definitions[f"{answer['spec']['group']}/{answer['spec']['names']['kind']}"] = answer
            case = {"step": step, "live": self.shown.get(base), "subresource": subresource, "query": query}
            if subresource != "scale" and step["method"] in ("POST", "PATCH", "PUT"):
                shown = self.shown.get(base) or (answer if status < 300 else None)
                case["schema"] = self.schema(shown) if shown and "metadata" in shown else None
                case["built_in"] = ".example.com" not in path
                found.append(pytest.param(case, id=step["id"]))
            if status in (200, 201) and "dryRun=All" not in query and answer.get("kind") not in (
                    "Scale", "Table", "PartialObjectMetadata") and "metadata" in answer:
                self.shown[base] = answer
        return found


CASES = Replay().cases()


def is_apply(case: dict[str, Any]) -> bool:
    content_type = (case["step"].get("headers") or {}).get("Content-Type", "")
    return "apply-patch" in content_type and case["step"]["method"] == "PATCH" and case["schema"] is not None


def is_refused_here(case: dict[str, Any]) -> bool:
    """Whether ownership, and not something before or after it, refuses the apply."""
    message = case["step"]["expect"]["body"].get("message", "")
    return "Apply failed" in message or "failed to create typed patch" in message or "must be nil" in message


def applies() -> list[Any]:
    found = [case for case in CASES if is_apply(case.values[0])]
    return [case for case in found if is_refused_here(case.values[0]) or (
        case.values[0]["step"]["expect"]["status"] < 300
        and case.values[0]["step"]["expect"]["body"]["kind"] not in ("Table", "PartialObjectMetadata"))]


@pytest.mark.parametrize("case", applies())
def test_apply(case: dict[str, Any]) -> None:
    step, live, schema = case["step"], case["live"], case["schema"]
    answer = step["expect"]["body"]
    text = step["text"] if "text" in step else json.dumps(step["body"])
    config = next(yaml.safe_load_all(text))
    query = dict(part.partition("=")[::2] for part in case["query"].split("&"))
    kind = config["kind"]

    def run() -> tuple[dict[str, Any], list[dict[str, Any]], bool]:
        return apply_object(
            live, config, manager=query["fieldManager"], api_version=config["apiVersion"], schema=schema, time=TIME,
            force="force" in query and query["force"] not in ("false", "0"), subresource=case["subresource"],
            ignored=reset_fields(kind, case["subresource"]), built_in=case["built_in"])

    if is_refused_here(case):
        with pytest.raises(ApiError) as caught:
            run()
        assert caught.value.message == answer["message"]
        if (answer.get("details") or {}).get("causes") != "<ignored>":
            assert caught.value.details == answer.get("details")
        return
    merged, entries, _ = run()
    assert table(entries) == table(answer["metadata"].get("managedFields") or [])
    wanted = {key: value for key, value in merged.items() if key not in ("status", "stringData", "metadata")}
    later = CHANGED_LATER.get(step["id"])
    assert [p for p in surplus(wanted, answer) if "None, recorded" not in p and (later is None or later not in p)] == []


def writes() -> list[Any]:
    out = []
    for case in CASES:
        step = case.values[0]["step"]
        status, answer = step["expect"]["status"], step["expect"]["body"]
        content_type = (step.get("headers") or {}).get("Content-Type", "")
        if status < 300 and "apply-patch" not in content_type and step["id"] not in FILLED_LATER \
                and answer["kind"] not in ("Table", "PartialObjectMetadata") and case.values[0]["schema"] is not None:
            out.append(case)
    return out


@pytest.mark.parametrize("case", writes())
def test_write(case: dict[str, Any]) -> None:
    step, live = case["step"], case["live"]
    answer = step["expect"]["body"]
    text = step.get("text") or json.dumps(step.get("body") or {})
    new = {**answer, "metadata": {key: v for key, v in answer["metadata"].items() if key != "managedFields"}}
    if live is not None:
        new["metadata"]["managedFields"] = sent_entries(text, (live["metadata"].get("managedFields")))
    query = dict(part.partition("=")[::2] for part in case["query"].split("&"))
    entries = update_managed_fields(
        live if step["method"] != "POST" else None, new, manager=query.get("fieldManager", "golden"),
        api_version=answer["apiVersion"], schema=case["schema"], time=TIME, subresource=case["subresource"],
        ignored=reset_fields(answer["kind"], case["subresource"]), built_in=case["built_in"])
    assert table(entries) == table(answer["metadata"].get("managedFields") or [])


def sent_entries(text: str, stored: Any) -> Any:
    """The managedFields that a patch leaves in the object it makes."""
    patch = json.loads(text)
    if isinstance(patch, list):
        for operation in patch:
            if operation["path"] == "/metadata/managedFields":
                return operation["value"]
            if operation["path"].startswith("/metadata/managedFields/0/"):
                return [{**stored[0], operation["path"].rpartition("/")[2]: operation["value"]}, *stored[1:]]
        return stored
    metadata = patch.get("metadata") or {}
    return metadata.get("managedFields", stored)


def test_the_transcript_is_read() -> None:
    assert len(applies()) > 120
    assert len(writes()) > 25

"""Definitions at run time: they come, change, clash and go while the server serves."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from tests.component.apiserver.conftest import Plane

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
SHIPS = "/apis/sea.example.com/v1/namespaces/default/ships"
MERGE = {"Content-Type": "application/merge-patch+json"}


def definition(plural: str = "ships", **version: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "oars": {"type": "integer", "default": 2, "minimum": 1}, "port": {"type": "string", "maxLength": 20},
    }}}}  # fmt: skip
    kind = plural.removesuffix("s").capitalize()
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.sea.example.com"},
        "spec": {
            "group": "sea.example.com", "scope": "Namespaced", "names": {"plural": plural, "kind": kind},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}, **version}],
        },
    }  # fmt: skip


def ship(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "sea.example.com/v1", "kind": "Ship", "metadata": {"name": name}, "spec": spec}


async def until(plane: Plane, path: str, status: int, seconds: float = 3.0) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        found, doc, _ = await plane.call("GET", path)
        if found == status:
            return doc
        assert time.monotonic() < deadline, (found, doc)
        await asyncio.sleep(0.01)


async def condition(plane: Plane, name: str, type_: str, seconds: float = 3.0) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while True:
        _, doc, _ = await plane.call("GET", f"{DEFINITIONS}/{name}")
        for each in (doc.get("status") or {}).get("conditions") or ():
            if each["type"] == type_:
                return each
        assert time.monotonic() < deadline, doc
        await asyncio.sleep(0.01)


async def test_a_definition_is_served_at_once_and_goes_with_its_objects(plane: Plane) -> None:
    await plane.make(DEFINITIONS, definition())
    await until(plane, SHIPS, 200, seconds=0.5)
    made = await plane.make(SHIPS, ship("a"))
    assert made["spec"] == {"oars": 2}
    status, gone, _ = await plane.call("DELETE", f"{DEFINITIONS}/ships.sea.example.com")
    assert status == 200 and gone["metadata"]["finalizers"]
    await until(plane, f"{DEFINITIONS}/ships.sea.example.com", 404)
    await until(plane, SHIPS, 404)
    await plane.make(DEFINITIONS, definition())
    assert (await until(plane, SHIPS, 200))["items"] == []


async def test_an_object_with_a_finalizer_holds_its_definition(plane: Plane) -> None:
    await plane.make(DEFINITIONS, definition())
    await until(plane, SHIPS, 200)
    held = ship("held")
    held["metadata"]["finalizers"] = ["sea.example.com/anchor"]
    await plane.make(SHIPS, held)
    await plane.call("DELETE", f"{DEFINITIONS}/ships.sea.example.com")
    assert (await condition(plane, "ships.sea.example.com", "Terminating"))["status"] == "True"
    for _ in range(100):
        status, refused, _ = await plane.call("POST", SHIPS, ship("late"))
        if status == 405:
            break
        await asyncio.sleep(0.02)
    assert (status, refused["reason"]) == (405, "MethodNotAllowed")
    await plane.call("PATCH", f"{SHIPS}/held", b'{"metadata":{"finalizers":null}}', headers=MERGE)
    await until(plane, f"{DEFINITIONS}/ships.sea.example.com", 404)


async def test_a_changed_schema_holds_without_a_restart(plane: Plane) -> None:
    await plane.make(DEFINITIONS, definition())
    await until(plane, SHIPS, 200)
    await plane.make(SHIPS, ship("old", port="oslo"))
    path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties"
    patch = b'[{"op":"add","path":"%b/mast","value":{"type":"string","default":"oak"}}]' % path.encode()
    await plane.call("PATCH", f"{DEFINITIONS}/ships.sea.example.com", patch,
                     headers={"Content-Type": "application/json-patch+json"})  # fmt: skip
    for _ in range(100):
        _, doc, _ = await plane.call("GET", f"{SHIPS}/old")
        if "mast" in (doc.get("spec") or {}):
            break
        await asyncio.sleep(0.01)
    assert doc["spec"] == {"oars": 2, "port": "oslo", "mast": "oak"}


async def test_names_that_are_taken_wait_until_they_are_free(plane: Plane) -> None:
    await plane.make(DEFINITIONS, definition())
    await until(plane, SHIPS, 200)
    rival = definition("boats")
    rival["spec"]["names"] |= {"kind": "Ship", "listKind": "BoatList"}
    await plane.make(DEFINITIONS, rival)
    refused = await condition(plane, "boats.sea.example.com", "NamesAccepted")
    assert (refused["status"], refused["reason"]) == ("False", "KindConflict")
    await plane.call("DELETE", f"{DEFINITIONS}/ships.sea.example.com")
    await until(plane, "/apis/sea.example.com/v1/namespaces/default/boats", 200)


async def test_rules_of_a_schema_judge_its_objects(plane: Plane) -> None:
    ruled = definition()
    schema = ruled["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    schema["x-kubernetes-validations"] = [
        {"rule": "!has(self.port) || self.port != 'hell'", "messageExpression": "'no port called ' + self.port"}
    ]
    await plane.make(DEFINITIONS, ruled)
    await until(plane, SHIPS, 200)
    status, doc, _ = await plane.call("POST", SHIPS, ship("a", port="hell"))
    assert status == 422
    assert doc["details"]["causes"] == [
        {"reason": "FieldValueInvalid", "message": "Invalid value: no port called hell", "field": "spec"}
    ]
    ruled["metadata"]["name"] = "bad.sea.example.com"
    schema["x-kubernetes-validations"] = [{"rule": "self.nope"}]
    status, doc, _ = await plane.call("POST", DEFINITIONS, ruled)
    assert status == 422 and "undefined field 'nope'" in doc["message"]


async def test_a_second_version_shows_the_same_objects(plane: Plane) -> None:
    two = definition()
    two["spec"]["versions"].append({
        "name": "v2", "served": True, "storage": False, "deprecated": True, "schema": {"openAPIV3Schema": {
            "type": "object", "properties": {"spec": {"type": "object", "properties": {"oars": {"type": "integer"}}}}}},
    })  # fmt: skip
    await plane.make(DEFINITIONS, two)
    await until(plane, SHIPS, 200)
    await plane.make(SHIPS, ship("a", port="oslo"))
    status, doc, answer = await plane.call("GET", f"{SHIPS.replace('v1', 'v2')}/a")
    assert (status, doc["apiVersion"], doc["spec"]) == (200, "sea.example.com/v2", {"oars": 2})
    assert "v2 Ship is deprecated" in answer.headers["Warning"]


async def test_a_failing_status_write_leaves_the_rest_alone(plane: Plane) -> None:
    await plane.make(DEFINITIONS, definition(subresources={"status": {}}))
    await until(plane, SHIPS, 200)
    made = await plane.make(SHIPS, {**ship("a"), "status": {"x": 1}})
    assert "status" not in made
    status, doc, _ = await plane.call("PATCH", f"{SHIPS}/a/status", b'{"spec":{"oars":9}}', headers=MERGE)
    assert (status, doc["spec"]["oars"], doc["metadata"]["generation"]) == (200, 2, 1)


async def test_a_version_that_needs_a_conversion_webhook_is_refused_not_guessed(plane: Plane) -> None:
    two = definition()
    two["spec"]["versions"].append({
        "name": "v2", "served": True, "storage": False,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    })  # fmt: skip
    two["spec"]["conversion"] = {"strategy": "Webhook", "webhook": {
        "conversionReviewVersions": ["v1"], "clientConfig": {"url": "https://127.0.0.1:1/"}}}  # fmt: skip
    await plane.make(DEFINITIONS, two)
    await until(plane, SHIPS, 200)
    await plane.make(SHIPS, ship("a"))
    status, _, _ = await plane.call("GET", f"{SHIPS}/a")
    assert status == 200
    status, doc, _ = await plane.call("GET", f"{SHIPS.replace('v1', 'v2')}/a")
    assert status == 500 and "conversion webhook for sea.example.com/v2, Kind=Ship failed" in doc["message"]

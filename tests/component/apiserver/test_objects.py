"""The life of objects, as clients see it over the wire."""

from __future__ import annotations

from typing import Any

import pytest

from tests.component.apiserver.conftest import Plane

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
SERVICES = "/api/v1/namespaces/default/services"


def configmap(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def pod(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}], **spec}}


async def test_a_write_that_changes_nothing_is_no_write(plane: Plane) -> None:
    made = await plane.make(CONFIGMAPS, configmap("a", k="v"))
    status, same, _ = await plane.call("PUT", f"{CONFIGMAPS}/a", configmap("a", k="v"))
    assert status == 200
    assert same["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_a_stale_write_is_a_conflict(plane: Plane) -> None:
    made = await plane.make(CONFIGMAPS, configmap("a", k="v"))
    await plane.call("PUT", f"{CONFIGMAPS}/a", configmap("a", k="w"))
    status, doc, _ = await plane.call("PUT", f"{CONFIGMAPS}/a", {**made, "data": {"k": "x"}})
    assert (status, doc["reason"]) == (409, "Conflict")


async def test_patches_that_race_all_count(plane: Plane) -> None:
    import asyncio

    await plane.make(CONFIGMAPS, configmap("a"))
    merge = {"Content-Type": "application/merge-patch+json"}
    answers = await asyncio.gather(*(
        plane.call("PATCH", f"{CONFIGMAPS}/a", b'{"data":{"k%d":"v"}}' % i, headers=merge) for i in range(20)
    ))  # fmt: skip
    assert {status for status, _, _ in answers} == {200}
    _, doc, _ = await plane.call("GET", f"{CONFIGMAPS}/a")
    assert len(doc["data"]) == 20


async def test_dry_run_leaves_nothing(plane: Plane) -> None:
    status, _, _ = await plane.call("POST", f"{SERVICES}?dryRun=All",
                                    {"metadata": {"name": "s"}, "spec": {"type": "NodePort", "ports": [{"port": 1}]}})  # fmt: skip
    assert status == 201
    status, _, _ = await plane.call("GET", f"{SERVICES}/s")
    assert status == 404
    _, addresses, _ = await plane.call("GET", "/apis/networking.k8s.io/v1/ipaddresses")
    assert [each["metadata"]["name"] for each in addresses["items"]] == ["10.96.0.1"]


async def test_a_service_holds_its_address_and_gives_it_back(plane: Plane) -> None:
    made = await plane.make(SERVICES, {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}})
    address = made["spec"]["clusterIP"]
    status, doc, _ = await plane.call(
        "POST", SERVICES, {"metadata": {"name": "t"}, "spec": {"clusterIP": address, "ports": [{"port": 80}]}}
    )
    assert status == 422
    assert "provided IP is already allocated" in doc["message"]
    await plane.call("DELETE", f"{SERVICES}/s")
    await plane.make(SERVICES, {"metadata": {"name": "t"}, "spec": {"clusterIP": address, "ports": [{"port": 80}]}})


async def test_a_refused_service_gives_back_what_it_took(plane: Plane) -> None:
    refused = {"metadata": {"name": "Bad_Name"}, "spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30123}]}}
    status, _, _ = await plane.call("POST", SERVICES, refused)
    assert status == 422
    await plane.make(SERVICES, {"metadata": {"name": "good"}, "spec": refused["spec"]})


async def test_binding_happens_once(plane: Plane) -> None:
    await plane.make(PODS, pod("p"))
    binding = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}}
    await plane.make(f"{PODS}/p/binding", binding)
    status, doc, _ = await plane.call("POST", f"{PODS}/p/binding", binding)
    assert status == 409
    assert 'already assigned to node "n1"' in doc["message"]


async def test_a_bound_pod_dies_with_grace(plane: Plane) -> None:
    await plane.make(PODS, pod("p", nodeName="n1", terminationGracePeriodSeconds=7))
    status, doc, _ = await plane.call("DELETE", f"{PODS}/p")
    assert (status, doc["metadata"]["deletionGracePeriodSeconds"]) == (200, 7)
    status, _, _ = await plane.call("GET", f"{PODS}/p")
    assert status == 200
    await plane.call("DELETE", f"{PODS}/p?gracePeriodSeconds=0")
    status, _, _ = await plane.call("GET", f"{PODS}/p")
    assert status == 404


async def test_a_generated_name_avoids_what_is_there(plane: Plane) -> None:
    names = {(await plane.make(CONFIGMAPS, {"metadata": {"generateName": "g-"}}))["metadata"]["name"] for _ in range(20)}
    assert len(names) == 20


@pytest.mark.parametrize(("body", "code"), [
    (b"{", 400), (b"", 400), (b"[]", 400), (b'{"kind":"Secret","apiVersion":"v1","metadata":{"name":"x"}}', 400),
    (b'{"metadata":{"name":5}}', 400), (b'{"metadata":{"name":"A_B"}}', 422), (b"x" * (3 * 1024 * 1024 + 1), 413),
])  # fmt: skip
async def test_bad_bodies_leave_nothing(plane: Plane, body: bytes, code: int) -> None:
    json_type = {"Content-Type": "application/json"}
    status, doc, _ = await plane.call("POST", CONFIGMAPS, body, headers=json_type)
    assert (status, doc["kind"], doc["code"]) == (code, "Status", code)
    _, listed, _ = await plane.call("GET", CONFIGMAPS)
    assert listed["items"] == []


async def test_who_may_not_is_told_so_before_anything_else(plane: Plane) -> None:
    status, doc, _ = await plane.call("POST", CONFIGMAPS, b"{", token="user")
    assert status == 403
    assert doc["message"].startswith('configmaps is forbidden: User "alice" cannot create resource "configmaps"')
    status, _, _ = await plane.call("GET", "/version", token="forged")
    assert status == 401


async def test_large_lists_arrive_whole_plain_and_compressed(plane: Plane) -> None:
    for number in range(300):
        await plane.make(CONFIGMAPS, configmap(f"c-{number:03}", k="x" * 5000))
    for encoding in ("identity", "gzip"):
        _, doc, answer = await plane.call("GET", CONFIGMAPS, headers={"Accept-Encoding": encoding})
        assert len(doc["items"]) == 300
        assert (answer.headers.get("Content-Encoding") == "gzip") == (encoding == "gzip")

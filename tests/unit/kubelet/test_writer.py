"""Writes of status, reads of objects, tokens: against a server that the test plays."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kubelet.source.objects import ObjectReader
from kubelet.status.writer import StatusWriter, newest, same, status_patch
from kubelet.volumes.tokens import TokenSource
from machinery.meta.errors import ApiError, conflict, forbidden, not_found
from machinery.testing.fake_clock import FakeClock
from tests.unit.kubelet.builders import pod


class FakeServer:
    """One pod, objects by name, and what happens to the next calls."""

    def __init__(self) -> None:
        self.pod = pod()
        self.pod["metadata"]["resourceVersion"] = "1"
        self.failures: list[Exception] = []
        self.patches: list[dict[str, Any]] = []
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.reads = 0
        self.tokens = 0

    async def patch(self, gv: str, plural: str, name: str, body: dict[str, Any], **more: Any) -> dict[str, Any]:
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        self.patches.append(body)
        assert body["metadata"]["resourceVersion"] == self.pod["metadata"]["resourceVersion"]
        version = str(int(self.pod["metadata"]["resourceVersion"]) + 1)
        self.pod = {
            **self.pod,
            "metadata": {**self.pod["metadata"], "resourceVersion": version},
            "status": {**self.pod["status"], **body["status"]},
        }
        return self.pod

    async def get(self, gv: str, plural: str, name: str, **more: Any) -> dict[str, Any]:
        self.reads += 1
        await asyncio.sleep(0.01)
        if plural == "pods":
            return self.pod
        if self.failures:
            raise self.failures.pop(0)
        if (plural, name) not in self.objects:
            raise not_found("", plural, name)
        return self.objects[plural, name]

    async def create(self, gv: str, plural: str, body: dict[str, Any], **more: Any) -> dict[str, Any]:
        self.tokens += 1
        assert body["spec"]["boundObjectRef"]["uid"] == "u1"
        return {"status": {"token": f"t{self.tokens}", "expirationTimestamp": "2026-01-01T01:00:00Z"}}


def writer(server: FakeServer) -> StatusWriter:
    return StatusWriter(server, lambda pod: pod)  # type: ignore[arg-type]


async def test_an_unchanged_status_is_not_written() -> None:
    server = FakeServer()
    one = writer(server)
    one.submit(server.pod, {"phase": "Running"})
    await one.flush("u1")
    one.submit(server.pod, {"phase": "Running"})
    await one.flush("u1")
    assert [patch["status"] for patch in server.patches] == [{"phase": "Running"}]


async def test_the_newest_of_several_wins() -> None:
    server = FakeServer()
    one = writer(server)
    for phase in ("Pending", "Running", "Failed"):
        one.submit(server.pod, {"phase": phase})
    await one.flush("u1")
    assert [patch["status"]["phase"] for patch in server.patches] == ["Failed"]


async def test_a_conflict_takes_over_what_the_other_wrote() -> None:
    server = FakeServer()
    one = writer(server)
    stale = server.pod
    gate = {"type": "x/y", "status": "True"}
    server.pod = {
        **stale, "metadata": {**stale["metadata"], "resourceVersion": "5"},
        "status": {**stale["status"], "conditions": [gate]},
    }  # fmt: skip
    server.failures = [conflict("", "pods", "p")]
    one.submit(stale, {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]})
    await one.flush("u1")
    assert [c["type"] for c in server.pod["status"]["conditions"]] == ["Ready", "x/y"]


async def test_a_pod_that_is_gone_is_let_go_and_other_trouble_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubelet.status.writer.RETRY_SECONDS", 0.01)
    server = FakeServer()
    one = writer(server)
    server.failures = [not_found("", "pods", "p")]
    one.submit(server.pod, {"phase": "Running"})
    await one.flush("u1")
    assert server.patches == []
    server.failures = [ApiError(500, "InternalError", "x")]
    one.submit(server.pod, {"phase": "Running"})
    await one.flush("u1")
    assert len(server.patches) == 1


def test_versions_compare_as_numbers_and_only_of_the_same_pod() -> None:
    def at(version: str, uid: str = "u1"):
        return {"metadata": {"uid": uid, "resourceVersion": version}}

    assert newest(at("9"), at("10")) == at("10")
    assert newest(at("10"), at("9")) == at("10")
    assert newest(at("9"), at("10", "other")) == at("9")
    assert newest(at("9"), None) == at("9")


def test_patches_name_what_goes() -> None:
    before = {"a": {"x": 1, "y": 2}, "podIP": "1.1.1.1"}
    assert status_patch(before, {"a": {"y": 2}}) == {"a": {"x": None, "y": 2}, "podIP": None}
    assert same({"a": None, "b": [1]}, {"b": [1]})
    assert not same([1], [1, 2])


async def test_concurrent_reads_share_one_request_and_a_moment_later_it_is_known() -> None:
    server, clock = FakeServer(), FakeClock()
    server.objects["configmaps", "m"] = {"data": {"k": "v"}}
    reader = ObjectReader(server, clock=clock)  # type: ignore[arg-type]
    first, second = await asyncio.gather(reader.get("configmaps", "ns", "m"), reader.get("configmaps", "ns", "m"))
    assert first == second == {"data": {"k": "v"}}
    await reader.get("configmaps", "ns", "m")
    assert server.reads == 1
    await clock.advance(2)
    await reader.get("configmaps", "ns", "m")
    assert server.reads == 2


async def test_what_is_missing_is_none_and_asked_again() -> None:
    server = FakeServer()
    reader = ObjectReader(server, clock=FakeClock())  # type: ignore[arg-type]
    assert await reader.get("secrets", "ns", "s") is None
    server.failures = [forbidden("", "secrets", "s", "no relationship found between node 'n' and this object")]
    assert await reader.get("secrets", "ns", "s") is None
    server.failures = [forbidden("", "secrets", "s", "RBAC")]
    with pytest.raises(ApiError):
        await reader.get("secrets", "ns", "s")
    server.objects["secrets", "s"] = {"data": {}}
    assert await reader.get_all("ns", {("secrets", "s"), ("configmaps", "m")}) == ({"m": None}, {"s": {"data": {}}})


async def test_tokens_are_renewed_at_four_fifths_of_their_life() -> None:
    server, clock = FakeServer(), FakeClock()
    source = TokenSource(server, clock=clock)  # type: ignore[arg-type]
    assert await source.get(pod(), "", 3600) == "t1"
    await clock.advance(2800)
    assert await source.get(pod(), "", 3600) == "t1"
    await clock.advance(100)
    assert await source.get(pod(), "", 3600) == "t2"
    assert await source.get(pod(), "other", 3600) == "t3"
    source.forget("u1")
    assert await source.get(pod(), "", 3600) == "t4"


async def test_a_write_that_is_broken_off_is_not_lost() -> None:
    server = FakeServer()
    one = writer(server)
    one.submit(server.pod, {"phase": "Running"})
    writing = asyncio.create_task(one.flush("u1"))
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    assert server.patches == []
    await one.flush("u1")
    assert [patch["status"] for patch in server.patches] == [{"phase": "Running"}]

"""Watches over the wire."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp

from tests.component.apiserver.conftest import Plane

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"


async def lines(plane: Plane, query: str, *, headers: dict[str, str] | None = None) -> list[Any]:
    sent = {"Authorization": "Bearer admin", **(headers or {})}
    async with plane.http.get(f"{plane.url}{CONFIGMAPS}?watch=true&{query}", headers=sent) as answer:
        assert answer.status == 200
        return [json.loads(line) async for line in answer.content]


async def test_every_change_after_a_version_in_order(plane: Plane) -> None:
    made = await plane.make(CONFIGMAPS, {"metadata": {"name": "a"}})
    for value in "123":
        await plane.call("PUT", f"{CONFIGMAPS}/a", {"metadata": {"name": "a"}, "data": {"k": value}})
    await plane.call("DELETE", f"{CONFIGMAPS}/a")
    version = made["metadata"]["resourceVersion"]
    events = await lines(plane, f"resourceVersion={version}&timeoutSeconds=1")
    assert [event["type"] for event in events] == ["MODIFIED"] * 3 + ["DELETED"]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(versions)


async def test_initial_events_end_with_a_bookmark(plane: Plane) -> None:
    await plane.make(CONFIGMAPS, {"metadata": {"name": "a"}})
    query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1"
    events = await lines(plane, query)
    assert [event["type"] for event in events[:2]] == ["ADDED", "BOOKMARK"]
    assert events[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_a_live_event_comes_at_once(plane: Plane) -> None:
    headers = {"Authorization": "Bearer admin"}
    async with plane.http.get(f"{plane.url}{CONFIGMAPS}?watch=true", headers=headers) as answer:
        await plane.make(CONFIGMAPS, {"metadata": {"name": "a"}})
        line = await asyncio.wait_for(answer.content.readline(), 2)
    assert json.loads(line)["object"]["metadata"]["name"] == "a"


async def test_websocket_frames(plane: Plane) -> None:
    headers = {"Authorization": "Bearer admin"}
    async with plane.http.ws_connect(f"{plane.url}{CONFIGMAPS}?watch=true", headers=headers) as socket:
        await plane.make(CONFIGMAPS, {"metadata": {"name": "a"}})
        message = await socket.receive(timeout=2)
    assert message.type == aiohttp.WSMsgType.TEXT
    assert json.loads(message.data)["type"] == "ADDED"


async def test_protobuf_frames_hold_the_same_objects(plane: Plane) -> None:
    from machinery.api.wire import decode_watch_frames

    await plane.make(CONFIGMAPS, {"metadata": {"name": "a"}, "data": {"k": "v"}})
    headers = {"Authorization": "Bearer admin", "Accept": "application/vnd.kubernetes.protobuf"}
    async with plane.http.get(f"{plane.url}{CONFIGMAPS}?watch=true&timeoutSeconds=1", headers=headers) as answer:
        assert answer.content_type == "application/vnd.kubernetes.protobuf"
        frames = list(decode_watch_frames(await answer.read()))
    assert [(type_, obj["data"]) for type_, obj in frames] == [("ADDED", {"k": "v"})]


async def test_a_version_of_the_future_is_silent(plane: Plane) -> None:
    assert await lines(plane, "resourceVersion=900000000&timeoutSeconds=1") == []



async def open_watches(plane: Plane) -> float:
    _, text, _ = await plane.call("GET", "/metrics")
    for line in text.decode().splitlines():
        if line.startswith('apiserver_longrunning_requests{resource="configmaps"'):
            return float(line.split()[-1])
    return 0.0


async def test_a_client_that_goes_away_is_forgotten_although_nothing_happens(plane: Plane) -> None:
    before = await open_watches(plane)
    async with plane.http.get(f"{plane.url}{CONFIGMAPS}?watch=true", headers={"Authorization": "Bearer admin"}) as answer:
        assert answer.status == 200
        assert await open_watches(plane) == before + 1
        answer.close()
    for _ in range(50):
        if await open_watches(plane) == before:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the watch outlived its client")

"""What happened to tasks, as containerd tells it: the wake-up of the pod workers.

CRI's own event stream does not exist in containerd 1.6, so the agent subscribes to containerd's event service in the
namespace of CRI. Events are hints only: whoever gets one asks CRI for the state. A broken stream is opened again, and
the subscriber is told (`RESYNC`), because what happened in between is unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
import structlog

from kubelet.cri.names import CONTAINERD_NAMESPACE
from proto import containerd_events_service_pb2 as service
from proto import containerd_events_service_pb2_grpc as service_grpc
from proto import containerd_tasks_pb2 as tasks

log = structlog.get_logger(__name__)

RESYNC = "resync"
RETRY_SECONDS = 1.0

_TOPICS: dict[str, Any] = {
    "/tasks/start": tasks.TaskStart,
    "/tasks/exit": tasks.TaskExit,
    "/tasks/oom": tasks.TaskOOM,
    "/tasks/delete": tasks.TaskDelete,
}


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """``topic`` is start, exit, oom, delete or `RESYNC`; ``container_id`` names a container or a sandbox."""

    topic: str
    container_id: str


def parse_envelope(envelope: Any) -> TaskEvent | None:
    """None for what no pod worker cares about: other topics, and the ends of exec processes."""
    message_type = _TOPICS.get(envelope.topic)
    if message_type is None or envelope.namespace != CONTAINERD_NAMESPACE:
        return None
    message = message_type.FromString(envelope.event.value)
    if envelope.topic in ("/tasks/exit", "/tasks/delete") and message.id and message.id != message.container_id:
        return None
    return TaskEvent(envelope.topic.removeprefix("/tasks/"), message.container_id)


async def subscribe(channel: grpc.aio.Channel) -> AsyncIterator[TaskEvent]:
    """Endless; starts with a RESYNC once the stream is open, and repeats it after each interruption."""
    stubs: Any = service_grpc
    stub = stubs.EventsStub(channel)
    filters = [f'topic=="{topic}"' for topic in _TOPICS]
    while True:
        call = stub.Subscribe(
            service.SubscribeRequest(filters=filters), metadata=(("containerd-namespace", CONTAINERD_NAMESPACE),)
        )
        try:
            # The subscription stands once the headers are there; only then does a list see everything before it.
            opened = asyncio.ensure_future(call.initial_metadata())
            await asyncio.wait({opened}, timeout=RETRY_SECONDS)
            yield TaskEvent(RESYNC, "")
            async for envelope in call:
                event = parse_envelope(envelope)
                if event is not None:
                    yield event
            log.info("runtime event stream ended, opening it again")
        except grpc.aio.AioRpcError as error:
            log.warning("runtime event stream broke, opening it again", code=error.code().name, detail=error.details())
        finally:
            call.cancel()
        await asyncio.sleep(RETRY_SECONDS)

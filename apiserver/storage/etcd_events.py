"""etcd's messages in the words of the contract. Pure."""

from __future__ import annotations

from apiserver.storage.interface import Stored, StoreEvent
from proto import etcd_pb2 as pb


def stored(kv: pb.KeyValue) -> Stored:
    return Stored(kv.key.decode(), kv.value, kv.mod_revision)


def store_event(event: pb.Event) -> StoreEvent:
    """The previous value is missing when it was compacted away; its revision is then 0."""
    kv, before = event.kv, event.prev_kv
    key, was = kv.key.decode(), before.mod_revision
    if event.type == pb.Event.DELETE:
        return StoreEvent("delete", key, before.value, kv.mod_revision, before.value if was else None, was)
    if kv.create_revision == kv.mod_revision:
        return StoreEvent("create", key, kv.value, kv.mod_revision)
    return StoreEvent("update", key, kv.value, kv.mod_revision, before.value if was else None, was)


def compare(key: bytes, revision: int, *, at_least_one: bool = False) -> pb.Compare:
    """The key is at ``revision`` (0: not there), or with ``at_least_one`` there at all."""
    result = pb.Compare.GREATER if at_least_one else pb.Compare.EQUAL
    return pb.Compare(result=result, target=pb.Compare.MOD, key=key, mod_revision=revision)

"""A DELETE marks a pod before it removes it, and the pod's agent, which waits for the mark, may be quicker."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from apiserver.registry.deletion import delete
from apiserver.storage.interface import RevisionMismatch
from machinery.api.table import KINDS
from machinery.meta.errors import ApiError, not_found

KIND = KINDS.by_kind("", "v1", "Pod")


class Store:
    """One key. ``meanwhile`` is what somebody else does between our mark and our removal."""

    def __init__(self, meanwhile: Any = None, *, before_mark: Any = None) -> None:
        self.kind, self.meanwhile, self.before_mark = KIND, meanwhile, before_mark
        self.revision, self.obj = 5, self.pod("one")
        self.storage = self.cacher = self
        self.pipeline = SimpleNamespace(admit=self.nothing, validate_admission=self.nothing, now=lambda: None)
        self.strategy = SimpleNamespace(
            before_delete=lambda obj, now: obj, graceful_seconds=lambda obj, asked: 0, after_delete=self.nothing,
            propagation=lambda write: "Background", default_propagation="Background",
        )  # fmt: skip
        self.removed_by_us = False

    @staticmethod
    def pod(uid: str) -> Any:
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n", "uid": uid}, "spec": {}}

    async def nothing(self, *_: Any) -> None:
        pass

    def entry(self) -> Any:
        if self.obj is None:
            return None
        shown = json.loads(json.dumps(self.obj))
        shown["metadata"]["resourceVersion"] = str(self.revision)
        return SimpleNamespace(parsed=shown, revision=self.revision, key="/pods/n/p")

    async def newest(self, write: Any) -> Any:
        return self.entry()

    async def get(self, key: str) -> Any:
        return self.entry()

    def write(self, expected: int, obj: Any) -> int:
        if self.obj is None or expected != self.revision:
            raise RevisionMismatch("/pods/n/p", None)
        self.revision, self.obj = self.revision + 1, obj
        return self.revision

    async def update(self, key: str, value: bytes, *, expected_revision: int) -> int:
        if self.before_mark is not None:
            act, self.before_mark = self.before_mark, None
            act(self)
        return self.write(expected_revision, json.loads(value))

    async def delete(self, key: str, *, expected_revision: int) -> Any:
        if self.meanwhile is not None:
            act, self.meanwhile = self.meanwhile, None
            act(self)
        revision = self.write(expected_revision, None)
        self.removed_by_us = True
        return None, revision

    def holds(self, obj: Any) -> bool:
        return False

    def from_hub(self, kind: Any, obj: Any) -> Any:
        return obj

    def not_found(self, kind: Any, name: str) -> ApiError:
        return not_found("", "pods", name)


def removed(store: Store) -> None:
    store.obj = None


def status_written(store: Store) -> None:
    store.write(store.revision, {**store.obj, "status": {"phase": "Succeeded"}})


def replaced(store: Store) -> None:
    store.revision, store.obj = store.revision + 2, Store.pod("two")


def status_written_then_removed(store: Store) -> None:
    status_written(store)
    store.meanwhile = removed


WRITE: Any = SimpleNamespace(kind=KIND, name="p", namespace="n", dry_run=False)


async def run(store: Any) -> Any:
    return await delete(store, WRITE)


@pytest.mark.parametrize("meanwhile", [None, removed, status_written, status_written_then_removed])
async def test_a_delete_that_has_marked_the_object_succeeds(meanwhile):
    outcome = await run(Store(meanwhile))
    assert outcome.deleted
    assert outcome.obj["metadata"]["uid"] == "one"
    assert outcome.obj["metadata"]["deletionGracePeriodSeconds"] == 0


async def test_the_successor_of_the_same_name_is_left_alone():
    store = Store(replaced)
    outcome = await run(store)
    assert outcome.obj["metadata"]["uid"] == "one"
    assert not store.removed_by_us


async def test_an_object_that_went_before_it_was_marked_is_not_found():
    with pytest.raises(ApiError) as refused:
        await run(Store(before_mark=removed))
    assert refused.value.code == 404

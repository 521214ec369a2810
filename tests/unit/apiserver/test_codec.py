"""Bytes that are copied must be the bytes that encoding would have made."""

from typing import Any

import orjson
import pytest

from apiserver.registry.codec import PIECE_ITEMS, ObjectCodec, PiecedBody, encode_stored
from apiserver.storage.cacher.entry import Entry, make_entry
from machinery.api.table import new_table

PODS = new_table().by_resource("", "v1", "pods")


def pod(number: int) -> dict[str, Any]:
    meta = {"name": f"p-{number}", "namespace": "n", "uid": str(number), "creationTimestamp": "t"}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": meta, "spec": {"containers": [{"name": "c" * (number % 7)}]}}


def entries(count: int) -> list[Entry]:
    return [make_entry(f"/registry/pods/n/p-{i}", encode_stored(pod(i)), i + 1, lambda obj: {}) for i in range(count)]


@pytest.mark.parametrize("count", [0, 1, 2, PIECE_ITEMS, PIECE_ITEMS + 1, 3 * PIECE_ITEMS + 5])
def test_a_list_is_its_objects_without_kind(count: int) -> None:
    assert PODS is not None
    made = ObjectCodec(PODS).list_bytes(entries(count), 99, "token", 3)
    document = orjson.loads(bytes(made))
    assert document["kind"] == "PodList"
    assert document["metadata"] == {"resourceVersion": "99", "continue": "token", "remainingItemCount": 3}
    assert [item["metadata"]["name"] for item in document["items"]] == [f"p-{i}" for i in range(count)]
    assert all("kind" not in item and "apiVersion" not in item for item in document["items"])
    assert [item["metadata"]["resourceVersion"] for item in document["items"]] == [str(i + 1) for i in range(count)]
    if isinstance(made, PiecedBody):
        assert len(made) == len(bytes(made))


def test_stored_bytes_have_no_version_and_begin_with_the_type() -> None:
    stored = encode_stored({**pod(1), "metadata": {**pod(1)["metadata"], "resourceVersion": "7"}})
    assert stored.startswith(b'{"kind":"Pod","apiVersion":"v1","metadata":{"name"')
    assert b"resourceVersion" not in stored

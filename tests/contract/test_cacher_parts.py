"""The pure parts of the watch cache."""

from __future__ import annotations

import base64

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.storage.cacher import BadContinue, decode_continue, encode_continue
from apiserver.storage.cacher.entry import PARSED_KEPT, make_entry, respliced, spliced, unspliced
from apiserver.storage.cacher.events import Change
from apiserver.storage.cacher.history import MAX_CHANGES, History
from apiserver.storage.hub import EventHub
from apiserver.storage.interface import Compacted, StoreEvent

PREFIX = "/registry/pods/"


def encoded(**fields: object) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(fields)).rstrip(b"=").decode()


@given(st.dictionaries(st.text(), st.text() | st.none(), max_size=4), st.integers(1, 2**60), st.integers(1, 2**60))
def test_splicing_adds_the_revision_and_nothing_else(metadata: dict[str, str], revision: int, later: int) -> None:
    metadata.pop("resourceVersion", None)
    stored = orjson.dumps({"kind": "X", "metadata": metadata, "spec": {"template": {"metadata": {"labels": {}}}}})
    value = spliced(stored, revision)
    obj = orjson.loads(value)
    assert obj["metadata"].pop("resourceVersion") == str(revision)
    assert obj == orjson.loads(stored)
    assert respliced(value, later) == spliced(stored, later)
    assert unspliced(value) == stored


def test_an_object_without_metadata_is_refused() -> None:
    with pytest.raises(ValueError, match="no metadata"):
        spliced(b'{"kind":"X"}', 1)


def test_only_the_latest_parsed_objects_stay_parsed() -> None:
    stored = b'{"metadata":{"name":"a"}}'
    entries = [make_entry(str(n), stored, n, lambda obj: {}) for n in range(1, PARSED_KEPT + 2)]
    for entry in entries:
        assert entry.parsed is entry.parsed
    assert entries[0]._parsed is None
    assert entries[1]._parsed is not None
    assert entries[0].parsed["metadata"]["resourceVersion"] == "1"


def test_a_continue_token_goes_both_ways() -> None:
    token = encode_continue(PREFIX, PREFIX + "default/a\0", 17)
    assert decode_continue(PREFIX, token) == (PREFIX + "default/a\0", 17)


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("not!one", "illegal base64 data at input byte 3"),
        (base64.urlsafe_b64encode(b"hello!").decode(), "invalid character 'h' looking for beginning of value"),
        (encoded(v="meta.k8s.io/v2", rv=1, start="a"), "server does not recognize this encoded version meta.k8s.io/v2"),
        (encoded(v="meta.k8s.io/v1", start="a"), "incorrect encoded start resourceVersion (version meta.k8s.io/v1)"),
        (encoded(v="meta.k8s.io/v1", rv=1), "encoded start key empty (version meta.k8s.io/v1)"),
        (encoded(v="meta.k8s.io/v1", rv=1, start="../x"), "../x"),
        (encoded(v="meta.k8s.io/v1", rv="x", start="a"), "continue token"),
        (encoded(v="meta.k8s.io/v1", rv=1, start=7), "continue token"),
        (base64.urlsafe_b64encode(b"[1]").decode().rstrip("="), "continue token"),
    ],
)
def test_a_bad_continue_token_is_told_why(token: str, said: str) -> None:
    with pytest.raises(BadContinue) as error:
        decode_continue(PREFIX, token)
    assert str(error.value).startswith("continue key is not valid: ")
    assert said in str(error.value)


def change(revision: int, at: float) -> Change:
    return Change(None, make_entry("k", b'{"metadata":{"name":"k"}}', revision, lambda obj: {}), revision, at)


def test_history_keeps_what_is_recent_or_little() -> None:
    history = History(10, keep=3, seconds=60)
    for n in range(1, 6):
        history.append(change(10 + n, at=0.0))
    assert [c.revision for c in history.since(10)] == [11, 12, 13, 14, 15]
    history.append(change(16, at=61.0))
    assert history.floor == 13
    assert [c.revision for c in history.since(13)] == [14, 15, 16]
    with pytest.raises(Compacted) as error:
        history.since(12)
    assert error.value.compact_revision == 13


def test_history_is_bounded_in_a_storm() -> None:
    history = History(0, keep=3, seconds=60)
    for n in range(1, MAX_CHANGES + 100):
        history.append(change(n, at=0.0))
    assert len(history) == MAX_CHANGES


def test_the_hub_knows_from_where_its_ring_is_whole() -> None:
    hub = EventHub(capacity=3)
    hub.reset(5)
    seen: list[int] = []
    hub.attach("/a/", 5, lambda event: seen.append(event.revision), lambda error: None)
    for revision in range(6, 12):
        hub.publish([StoreEvent("create", "/a/x" if revision % 2 else "/b/x", b"", revision)])
    assert seen == [7, 9, 11]
    assert hub.floor == 8
    assert [event.revision for event in hub.since("/a/", hub.floor)] == [9, 11]
    assert [event.revision for event in hub.since("/", 9)] == [10, 11]

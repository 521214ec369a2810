"""The protobuf form loses nothing: whatever is written is read back."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from machinery.api.wire import decode_object, encode_object
from machinery.api.wire.primitives import read_varint, signed, varint

text = st.text(st.characters(codec="utf-8"), max_size=12)
labels = st.dictionaries(text, text, min_size=1, max_size=4)
port = st.one_of(st.integers(-(2**31), 2**31 - 1), text.filter(bool))


@given(st.integers(-(2**63), 2**63 - 1))
def test_varints(value: int) -> None:
    assert signed(read_varint(varint(value), 0)[0]) == value


@given(labels, labels, st.integers(1, 2**63 - 1))
def test_config_maps(data: dict[str, str], names: dict[str, str], generation: int) -> None:
    obj = {"kind": "ConfigMap", "apiVersion": "v1", "data": data, "immutable": False,
           "metadata": {"name": "x", "labels": names, "generation": generation}}
    assert decode_object(encode_object(obj)) == obj


@given(st.lists(st.tuples(st.integers(1, 65535), port), min_size=1, max_size=4))
def test_services(ports: list[tuple[int, Any]]) -> None:
    listed = [{"port": number, "targetPort": target} for number, target in ports]
    obj = {"kind": "Service", "apiVersion": "v1", "metadata": {"name": "x"}, "spec": {"ports": listed},
           "status": {"loadBalancer": {}}}
    assert decode_object(encode_object(obj)) == obj


scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | text
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=8)


@given(documents.filter(lambda document: document is not None))
def test_raw_documents(document: Any) -> None:
    obj = {"kind": "ControllerRevision", "apiVersion": "apps/v1", "metadata": {"name": "x"}, "data": document,
           "revision": 3}
    assert decode_object(encode_object(obj)) == obj

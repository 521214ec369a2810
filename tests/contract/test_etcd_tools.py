"""The store tools on etcd: the same questions, answered by ranges."""

from __future__ import annotations

import uuid

import pytest

from apiserver.storage.etcd_client import EtcdClient
from apiserver.storage.interface import Compacted
from apiserver.storage.tools.etcd_source import EtcdSource
from tests.contract.conftest import EtcdProcess


@pytest.mark.etcd
def test_versions_are_found_backwards_and_end_at_the_compaction(etcd: EtcdProcess) -> None:
    source = EtcdSource([etcd.url])
    try:
        key = f"/tools-{uuid.uuid4().hex}/a"
        client: EtcdClient = source._client
        revisions = [source._runner.run(client.put(key.encode(), value)) for value in (b"1", b"2", b"3")]
        found = source.versions(key)
        assert [(version.revision, version.value, version.previous) for version in found] == [
            (revisions[0], b"1", 0), (revisions[1], b"2", revisions[0]), (revisions[2], b"3", revisions[1]),
        ]  # fmt: skip
        assert [item.key for item in source.objects(key[:-1])] == [key]
        middle = source.get(key, revisions[1])
        assert middle is not None
        assert middle.value == b"2"

        compacted = source.compact()
        assert source.facts().oldest_revision == compacted >= revisions[2]
        assert [(version.value, version.previous) for version in source.versions(key)] == [(b"3", -1)]
        with pytest.raises(Compacted):
            source.get(key, revisions[0])
    finally:
        source.close()

"""etcd as a source for the tools. Only ranges are asked for, and compaction when somebody wants it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from apiserver.storage.etcd_client import EtcdClient
from apiserver.storage.etcd_events import stored
from apiserver.storage.interface import Compacted, Stored
from apiserver.storage.keys import after, prefix_end
from apiserver.storage.tools.source import ROOT, Facts, Version
from proto import etcd_pb2 as pb

PAGE_KEYS = 1000
MAX_VERSIONS = 200  # each is one request


class EtcdSource:
    def __init__(self, endpoints: Sequence[str], *, ca_file: str = "", cert_file: str = "", key_file: str = "") -> None:
        self._runner = asyncio.Runner()
        self._runner.get_loop()
        self._client = self._runner.run(_connect(endpoints, ca_file, cert_file, key_file))

    def facts(self) -> Facts:
        revision = self._range(pb.RangeRequest(key=b"/", count_only=True)).header.revision
        return Facts(",".join(self._client.endpoints), "etcd", revision, self._oldest(revision), 0)

    def objects(self, prefix: str = ROOT) -> Iterator[Stored]:
        start, end, revision = prefix, prefix_end(prefix).encode(), 0
        while True:
            page = self._range(
                pb.RangeRequest(key=start.encode(), range_end=end, limit=PAGE_KEYS, revision=revision)
            )
            revision = revision or page.header.revision
            for item in map(stored, page.kvs):
                yield item
                start = after(item.key)
            if page.count <= len(page.kvs):
                return

    def get(self, key: str, revision: int = 0) -> Stored | None:
        page = self._range(pb.RangeRequest(key=key.encode(), revision=revision))
        return stored(page.kvs[0]) if page.kvs else None

    def versions(self, key: str) -> list[Version]:
        """Backwards from now: etcd has no index of a key's writes. What came before a deletion cannot be found so."""
        found: list[Version] = []
        revision = 0
        while len(found) < MAX_VERSIONS:
            try:
                page = self._range(pb.RangeRequest(key=key.encode(), revision=revision))
            except Compacted:
                break
            if not page.kvs:
                break
            item = page.kvs[0]
            first = item.mod_revision == item.create_revision
            found.append(Version(item.mod_revision, item.value, previous=0 if first else -1))
            if first:
                break
            revision = item.mod_revision - 1
        found.reverse()
        return [
            Version(version.revision, version.value, False, version.previous and (found[i - 1].revision if i else -1))
            for i, version in enumerate(found)
        ]  # fmt: skip

    def integrity(self) -> list[str]:
        return []  # etcd checks its own file

    def compact(self) -> int:
        revision = self._range(pb.RangeRequest(key=b"/", count_only=True)).header.revision
        try:
            self._runner.run(self._client.compact(revision))
        except Compacted:
            pass  # somebody else did
        return int(revision)

    def close(self) -> None:
        self._runner.run(self._client.close())
        self._runner.close()

    def _oldest(self, revision: int) -> int:
        """etcd does not say; but whether a revision is still served can be asked, so it is found by halving."""
        low, high = 1, revision
        while low < high:
            middle = (low + high) // 2
            try:
                self._range(pb.RangeRequest(key=b"/", revision=middle, count_only=True))
                high = middle
            except Compacted:
                low = middle + 1
        return low

    def _range(self, request: pb.RangeRequest) -> pb.RangeResponse:
        return self._runner.run(self._client.range(request))


async def _connect(endpoints: Sequence[str], ca_file: str, cert_file: str, key_file: str) -> EtcdClient:
    return EtcdClient(endpoints, ca_file=ca_file, cert_file=cert_file, key_file=key_file)

"""One cluster of three nodes for each store, shared by all modules; what a test makes is in its module's namespace."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import HELM, KUBECTL, LocalCluster
from tests.e2e.images import write_images

NODES = ("node1", "node2", "node3")
#: Seconds of silence until a node counts as lost. Upstream's 50 would make the story a story of waiting; it has to
#: stay above the 10 seconds in which an agent renews its lease.
GRACE_SECONDS = 14


def new_cluster(store: str, *, nodes: int, flags: tuple[str, ...] = ()) -> Generator[LocalCluster]:
    """Up, with the images loaded; at the end down, and nothing of it is left."""
    for tool in (KUBECTL, HELM):
        assert tool.exists(), f"{tool} is missing: run `make setup`"
    with tempfile.TemporaryDirectory(prefix="nv-e2e-", dir="/tmp") as folder:  # short: sockets lie below it
        cluster = LocalCluster(f"e2e{store[0]}{os.getpid()}", Path(folder) / "home", store)
        try:
            cluster.up(nodes=nodes, flags=flags)
            for archive in write_images(Path(folder) / "images"):
                cluster.navarch("image", "load", str(archive))
            yield cluster
        except AssertionError as error:
            error.add_note(cluster.explain())
            raise
        finally:
            cluster.down()
        remains = cluster.remains()
        assert not remains, f"left by `navarch down`: {remains}"


@pytest.fixture(scope="session", params=["sqlite", pytest.param("etcd", marks=pytest.mark.etcd)])
def cluster(request: pytest.FixtureRequest) -> Iterator[LocalCluster]:
    flags = (f"controllers:--node-monitor-grace-period={GRACE_SECONDS}", "controllers:--node-monitor-period=1")
    yield from new_cluster(request.param, nodes=len(NODES), flags=flags)


@pytest.fixture(scope="module")
def namespace(cluster: LocalCluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """Of the module's own; it goes with everything in it."""
    name = request.module.__name__.rpartition(".test_")[2].replace("_", "-")
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--timeout=60s", timeout=70)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, object, object]:
    """A failure shows the cluster as it was then, not only the line that was not true."""
    report = yield
    cluster = getattr(item, "funcargs", {}).get("cluster")
    if call.excinfo is not None and isinstance(cluster, LocalCluster):
        report.sections.append(("cluster", cluster.explain()))  # type: ignore[attr-defined]
    return report

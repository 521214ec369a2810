"""A cluster of dictionaries, and an authentication that knows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from apiserver.auth.build import AuthOptions
from machinery.pki import ensure_cluster_pki
from machinery.testing.fake_clock import FakeClock

Object = dict[str, Any]


class FakeReader:
    """An ObjectReader that tests fill by hand."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str, str], Object] = {}
        self.callbacks: dict[tuple[str, str], list[Callable[[Any, Object], None]]] = {}

    def put(self, resource: str, obj: Object, group: str = "") -> Object:
        metadata = obj["metadata"]
        metadata.setdefault("uid", f"uid-{len(self.objects)}")
        key = (group, resource, metadata.get("namespace", ""), metadata["name"])
        event = "MODIFIED" if key in self.objects else "ADDED"
        self.objects[key] = obj
        for callback in self.callbacks.get((group, resource), ()):
            callback(event, obj)
        return obj

    def remove(self, resource: str, namespace: str, name: str, group: str = "") -> None:
        obj = self.objects.pop((group, resource, namespace, name))
        for callback in self.callbacks.get((group, resource), ()):
            callback("DELETED", obj)

    def get(self, group: str, resource: str, namespace: str, name: str) -> Object | None:
        return self.objects.get((group, resource, namespace, name))

    def list(self, group: str, resource: str, namespace: str = "") -> Sequence[Object]:
        return [
            obj for (g, r, n, _), obj in self.objects.items() if (g, r) == (group, resource) and namespace in ("", n)
        ]

    def on_change(self, group: str, resource: str, callback: Callable[[Any, Object], None]) -> None:
        self.callbacks.setdefault((group, resource), []).append(callback)
        for obj in self.list(group, resource):
            callback("ADDED", obj)

    async def get_fresh(self, group: str, resource: str, namespace: str, name: str) -> Object | None:
        return self.get(group, resource, namespace, name)


@pytest.fixture
def reader() -> FakeReader:
    return FakeReader()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("home")
    ensure_cluster_pki(directory, FakeClock().now())
    (directory / "tokens.csv").write_text('admintoken,admin,a1,"system:masters"\nviewtoken,bob,b1\n')
    return directory


@pytest.fixture
def options(home: Path, clock: FakeClock) -> AuthOptions:
    return replace(AuthOptions.from_home(home, token_auth_file=home / "tokens.csv"), clock=clock)

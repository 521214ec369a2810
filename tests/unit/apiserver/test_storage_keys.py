"""Keys that precondition failures name."""

from __future__ import annotations

import pytest

from apiserver.registry.storage_keys import storage_key
from machinery.api.table import KINDS


@pytest.mark.parametrize(("group", "version", "plural", "wanted"), [
    ("", "v1", "configmaps", "/configmaps/ns/x"),
    ("", "v1", "services", "/services/specs/ns/x"),
    ("", "v1", "replicationcontrollers", "/controllers/ns/x"),
    ("apps", "v1", "deployments", "/deployments/ns/x"),
])  # fmt: skip
def test_keys(group: str, version: str, plural: str, wanted: str) -> None:
    kind = KINDS.by_resource(group, version, plural)
    assert kind is not None
    assert storage_key(kind, "ns", "x", dry_run=True) == wanted
    assert storage_key(kind, "ns", "x", dry_run=False) == f"/registry{wanted}"

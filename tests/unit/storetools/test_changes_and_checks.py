"""The pure halves of the store tools: what changed, by whom; what cannot be true."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from apiserver.storage.interface import Stored
from apiserver.storage.tools.changes import compute_history
from apiserver.storage.tools.fsck import check_objects
from apiserver.storage.tools.places import Place, read_places
from apiserver.storage.tools.source import Version
from apiserver.storage.tools.status import compute_shares


class NoDefinitions:
    def objects(self, prefix: str = "") -> list[Stored]:
        return []


@pytest.fixture(scope="module")
def places() -> list[Place]:
    return read_places(NoDefinitions())  # type: ignore[arg-type]


def entry(manager: str, time: str, **more: Any) -> dict[str, Any]:
    return {"manager": manager, "operation": "Update", "apiVersion": "v1", "time": time, **more}


def version(revision: int, previous: int, managers: list[dict[str, Any]], **fields: Any) -> Version:
    meta = {"name": "web", "creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": managers}
    return Version(revision, orjson.dumps({"metadata": meta, **fields}), previous=previous)


def test_history_names_what_changed_who_did_it_and_when():
    mine, theirs = entry("kubectl", "T1"), entry("kubelet", "T3", subresource="status")
    conditions = [{"type": "Ready", "status": "False"}, {"type": "Initialized", "status": "True"}]
    later = [{"type": "Initialized", "status": "True"}, {"type": "Ready", "status": "True"}]
    steps = compute_history([
        version(5, 0, [mine], spec={"replicas": 1}, status={"conditions": conditions}),
        version(9, 5, [mine, theirs], spec={"replicas": 1}, status={"conditions": later}),
        version(12, 9, [entry("kubectl", "T4"), theirs], spec={"replicas": 3}, status={"conditions": later}),
        Version(20, b"", True, 12),
        version(31, 0, [mine], spec={}),
    ])  # fmt: skip
    assert [(s.revision, s.what, s.managers, s.at, [str(c) for c in s.changes]) for s in steps] == [
        (5, "created", ("kubectl",), "2026-01-01T00:00:00Z", []),
        (9, "updated", ("kubelet (status)",), "T3", ['~ status.conditions[Ready].status: "False" -> "True"']),
        (12, "updated", ("kubectl",), "T4", ["~ spec.replicas: 1 -> 3"]),
        (20, "deleted", (), "", []),
        (31, "created", ("kubectl",), "2026-01-01T00:00:00Z", []),
    ]


def test_who_loses_a_field_is_not_called_the_writer():
    had, has = entry("creator", "T1", fieldsV1={"f:spec": {"f:replicas": {}}}), entry("creator", "T1", fieldsV1={})
    taker = entry("kubectl", "T1", subresource="scale", fieldsV1={"f:spec": {"f:replicas": {}}})
    steps = compute_history([version(1, 0, [had], spec={"replicas": 1}), version(2, 1, [has, taker], spec={"replicas": 2})])
    assert steps[1].managers == ("kubectl (scale)",)


def test_a_version_whose_predecessor_is_compacted_is_not_called_a_creation():
    steps = compute_history([version(50, 40, [entry("kubectl", "T1")], spec={})])
    assert [(step.what, step.changes) for step in steps] == [("kept", ())]


def test_added_and_removed_fields_are_told_apart_and_labels_keep_their_dots():
    before, after = version(1, 0, [], data={"a": "1"}), version(2, 1, [], data={"b.c/d": "2"})
    changes = compute_history([before, after])[1].changes
    assert [str(change) for change in changes] == ['- data.a: "1"', '+ data[b.c/d]: "2"']


def stored(key: str, kind: str, uid: str, **more: Any) -> Stored:
    *_, namespace, name = key.split("/")
    meta = {"name": name, "uid": uid, **more.pop("metadata", {})}
    if key.split("/")[2] in ("pods", "services", "configmaps"):
        meta["namespace"] = namespace
    return Stored(key, orjson.dumps({"kind": kind, "metadata": meta, **more}), 1)


SERVICE = stored("/registry/services/shop/web", "Service", "s1", spec={"clusterIP": "10.96.0.7"})
ADDRESS = stored(
    "/registry/networking.k8s.io/ipaddresses/10.96.0.7", "IPAddress", "a1",
    spec={"parentRef": {"resource": "services", "namespace": "shop", "name": "web"}},
)  # fmt: skip


def test_a_store_that_is_well_has_no_findings(places: list[Place]):
    owner = stored("/registry/configmaps/shop/owner", "ConfigMap", "o1")
    owned = stored("/registry/pods/shop/p", "Pod", "p1", metadata={"ownerReferences": [{"kind": "ConfigMap", "name": "owner", "uid": "o1"}]})
    assert check_objects([owner, owned, SERVICE, ADDRESS], places) == []


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ([Stored("/registry/pods/shop/p", b"{", 1)], [("error", "undecodable", "/registry/pods/shop/p")]),
        ([Stored("/registry/pods/shop/p", b"[]", 1)], [("error", "undecodable", "/registry/pods/shop/p")]),
        ([Stored("/registry/pods/shop/p", b'{"kind":"Pod","metadata":{"name":"q","namespace":"shop","uid":"1"}}', 1)],
         [("error", "key", "/registry/pods/shop/p")]),
        ([stored("/registry/pods/shop/p", "Service", "1")], [("error", "key", "/registry/pods/shop/p")]),
        ([stored("/registry/nothing.example.com/things/a", "Thing", "1")], [("warning", "key", "/registry/nothing.example.com/things/a")]),
        ([stored("/registry/pods/shop/p", "Pod", "1"), stored("/registry/pods/shop/q", "Pod", "1")],
         [("error", "uid", "/registry/pods/shop/q")]),
        ([stored("/registry/pods/shop/p", "Pod", "")], [("error", "uid", "/registry/pods/shop/p")]),
        ([stored("/registry/pods/shop/p", "Pod", "1", metadata={"ownerReferences": [{"kind": "X", "name": "x", "uid": "gone"}]})],
         [("warning", "owner", "/registry/pods/shop/p")]),
        ([stored("/registry/pods/shop/p", "Pod", "1", metadata={"deletionTimestamp": "T", "finalizers": ["a/b"]})],
         [("warning", "terminating", "/registry/pods/shop/p")]),
        ([SERVICE], [("error", "address", SERVICE.key)]),
        ([ADDRESS], [("warning", "address", ADDRESS.key)]),
        ([SERVICE, ADDRESS, stored("/registry/services/shop/two", "Service", "s2", spec={"clusterIPs": ["10.96.0.7"]})],
         [("error", "address", "/registry/services/shop/two"), ("error", "address", "/registry/services/shop/two")]),
    ],
)  # fmt: skip
def test_each_contradiction_is_found(objects: list[Stored], expected: list[tuple[str, str, str]], places: list[Place]):
    assert [(f.severity, f.check, f.key) for f in check_objects(objects, places)] == expected


def test_a_headless_service_needs_no_address(places: list[Place]):
    headless = stored("/registry/services/shop/db", "Service", "s1", spec={"clusterIP": "None", "clusterIPs": ["None"]})
    assert check_objects([headless], places) == []


def test_encrypted_values_are_no_damage_and_make_owners_unknowable(places: list[Place]):
    sealed = Stored("/registry/secrets/shop/s", b"k8s:enc:aescbc:v1:k:\x00", 1)
    owned = stored("/registry/pods/shop/p", "Pod", "1", metadata={"ownerReferences": [{"kind": "Secret", "name": "s", "uid": "u"}]})
    assert check_objects([sealed, owned], places) == []


def test_shares_are_by_resource_and_the_largest_comes_first(places: list[Place]):
    shares = compute_shares([SERVICE, ADDRESS, Stored("/registry/pods/shop/p", b"x" * 5000, 1)], places)
    assert [(share.resource, share.count) for share in shares] == [
        ("pods", 1), ("ipaddresses.networking.k8s.io", 1), ("services", 1),
    ]  # fmt: skip
    assert shares[0].bytes == 5000

"""The table of kinds: lookups, order, and what all rows have in common."""

from __future__ import annotations

import pytest

from machinery.api.builtin import METRICS_KINDS
from machinery.api.kinds import Kind, api_path
from machinery.api.schema import schema_for
from machinery.api.table import KINDS, new_table, version_sort_key


@pytest.mark.parametrize(
    ("word", "api_version", "kind"),
    [
        ("po", "v1", "Pod"), ("Deployment", "apps/v1", "Deployment"), ("deploy.apps", "apps/v1", "Deployment"),
        ("hpa", "autoscaling/v2", "HorizontalPodAutoscaler"), ("ev", "v1", "Event"),
        ("events.v1.events.k8s.io", "events.k8s.io/v1", "Event"), ("crds", "apiextensions.k8s.io/v1",
        "CustomResourceDefinition"), ("ingresses.networking", "networking.k8s.io/v1", "Ingress"),
    ],
)  # fmt: skip
def test_resolve_what_people_type(word: str, api_version: str, kind: str) -> None:
    found = KINDS.resolve(word)
    assert found is not None
    assert (found.api_version, found.kind) == (api_version, kind)


def test_unknown_words_resolve_to_nothing() -> None:
    assert KINDS.resolve("nonsense") is None
    assert KINDS.resolve("pods.apps") is None


def test_every_row_has_a_schema_that_names_its_kind() -> None:
    for kind in KINDS:
        assert schema_for(kind).name == kind.kind


def test_two_versions_share_one_storage() -> None:
    v1, v2 = (KINDS.by_resource("autoscaling", v, "horizontalpodautoscalers") for v in ("v1", "v2"))
    assert v1 is not None
    assert v2 is not None
    assert v1.storage_resource == v2.storage_resource
    assert KINDS.hub_of(v1) is v2
    event = KINDS.by_kind("events.k8s.io", "v1", "Event")
    assert event is not None
    assert KINDS.hub_of(event) is KINDS.by_kind("", "v1", "Event")


def test_hub_is_one_row_for_each_storage() -> None:
    hubs: dict[tuple[str, str], set[Kind]] = {}
    for kind in KINDS:
        hubs.setdefault(kind.storage_resource, set()).add(KINDS.hub_of(kind))
    assert all(len(rows) == 1 for rows in hubs.values())


def test_metrics_are_served_only_when_added() -> None:
    table = new_table()
    assert "metrics.k8s.io" not in table.groups()
    table.add(*METRICS_KINDS)
    assert table.groups()[-1] == "metrics.k8s.io"
    assert table.resolve("po").group == ""  # type: ignore[union-attr]


def test_changes_move_the_generation() -> None:
    table = new_table()
    start = table.generation
    kind = Kind("x.io", "v1", "X", "xs", "x", False, custom=True)
    table.add(kind)
    assert table.generation > start
    replaced = Kind("x.io", "v1", "Y", "xs", "x", False, custom=True)
    table.add(replaced)
    assert table.by_kind("x.io", "v1", "X") is None
    assert table.by_resource("x.io", "v1", "xs") is replaced


def test_versions_sort_by_stability_then_number() -> None:
    versions = ["foo", "v1beta1", "v2", "v1", "v10", "v1alpha3", "v2beta1", "bar"]
    ordered = ["v10", "v2", "v1", "v2beta1", "v1beta1", "v1alpha3", "bar", "foo"]
    assert sorted(versions, key=version_sort_key) == ordered


def test_paths() -> None:
    pod, deployment = KINDS.resolve("po"), KINDS.resolve("deploy")
    assert pod is not None
    assert deployment is not None
    assert api_path(pod, "a", "b", "log") == "/api/v1/namespaces/a/pods/b/log"
    assert api_path(deployment) == "/apis/apps/v1/deployments"

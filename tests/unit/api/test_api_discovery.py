"""Discovery documents equal the recorded ones."""

from __future__ import annotations

from typing import Any

import pytest

from machinery.api import discovery
from machinery.api.kinds import Kind
from machinery.api.table import new_table
from tests.unit.api.api_transcripts import Step, steps

RECORDED = {step.id: step for step in steps("discovery.jsonl")}


def _mask(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: "<hash>" if key == "storageVersionHash" else _mask(one) for key, one in value.items()}
    return [_mask(one) for one in value] if isinstance(value, list) else value


def _document(path: str) -> Any:
    table = new_table()
    words = path.strip("/").split("/")
    if words == ["api"]:
        return discovery.api_versions("127.0.0.1:6443")
    if words == ["apis"]:
        return discovery.api_group_list(table)
    if words[0] == "api":
        return discovery.api_resource_list(table, "", words[1])
    return discovery.api_group(table, words[1]) if len(words) == 2 else discovery.api_resource_list(table, *words[1:])


@pytest.mark.parametrize("step", [s for i, s in RECORDED.items() if s.path.startswith("/api") and i[0] == "d"])
def test_legacy_documents(step: Step) -> None:
    got = _mask(_document(step.path))
    if step.path == "/api":
        got["serverAddressByClientCIDRs"] = "<ignored>"
    assert got == step.answer
    assert list(got) == list(step.answer)


def test_aggregated_documents() -> None:
    assert discovery.aggregated_core(new_table()) == RECORDED["agg-api"].answer
    assert discovery.aggregated_groups(new_table()) == RECORDED["agg-apis"].answer
    assert RECORDED["agg-apis"].answer_headers["content-type"] == discovery.AGGREGATED_MEDIA_TYPE


def test_a_custom_kind_appears_and_goes() -> None:
    table = new_table()
    before = discovery.api_group_list(table)
    kind = Kind("example.com", "v1", "Widget", "widgets", "widget", True, custom=True)
    table.add(kind)
    document = discovery.aggregated_groups(table)["items"][-1]
    assert document["metadata"] == {"name": "example.com"}
    wanted = {"group": "example.com", "version": "v1", "kind": "Widget"}
    assert document["versions"][0]["resources"][0]["responseKind"] == wanted
    table.remove(kind)
    assert discovery.api_group_list(table) == before
    assert discovery.api_group(table, "example.com") is None


def test_storage_hash_is_one_for_all_versions_of_a_resource() -> None:
    table = new_table()
    rows = [table.by_resource("autoscaling", version, "horizontalpodautoscalers") for version in ("v1", "v2")]
    assert len({discovery.storage_version_hash(row) for row in rows if row}) == 1

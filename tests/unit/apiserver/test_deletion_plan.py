"""What DELETE does to an object, decided without a store."""

from datetime import UTC, datetime
from typing import Any

import pytest

from apiserver.registry.deletion import Decision, plan_deletion
from machinery.meta.objects import format_time

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def obj(**meta: Any) -> dict[str, Any]:
    return {"metadata": {"name": "x", "generation": 3, **meta}}


def plan(target: dict[str, Any], **options: Any) -> Decision:
    given: dict[str, Any] = {
        "policy": "", "orphan_dependents": None, "grace_seconds": None, "asked_seconds": None, "now": NOW, "held": False,
        "default_policy": "Background",
    } | options  # fmt: skip
    return plan_deletion(target, **given)


def test_nothing_holds_it() -> None:
    assert plan(obj()).gone


def test_a_finalizer_holds_it_and_a_second_delete_changes_nothing() -> None:
    first = plan(obj(finalizers=["a/b"]))
    assert not first.gone
    assert first.marked is not None
    meta = first.marked["metadata"]
    assert (meta["deletionTimestamp"], meta["deletionGracePeriodSeconds"], meta["generation"]) == (format_time(NOW), 0, 4)
    assert plan(first.marked) == Decision(None, False)


@pytest.mark.parametrize(
    ("policy", "finalizers"),
    [("Foreground", ["foregroundDeletion"]), ("Orphan", ["orphan"]), ("Background", None), ("", None)],
)
def test_the_policy_chooses_the_finalizer(policy: str, finalizers: list[str] | None) -> None:
    decision = plan(obj(), policy=policy)
    assert decision.gone == (finalizers is None)
    if finalizers:
        assert decision.marked is not None
        assert decision.marked["metadata"]["finalizers"] == finalizers


def test_background_takes_the_collectors_finalizer_away() -> None:
    marked = plan(obj(), policy="Foreground").marked
    assert marked is not None
    assert plan(marked, policy="Background").gone


def test_the_old_kinds_orphan_by_default() -> None:
    decision = plan(obj(), default_policy="Orphan")
    assert decision.marked is not None
    assert decision.marked["metadata"]["finalizers"] == ["orphan"]


def test_grace_may_be_shortened_never_lengthened() -> None:
    first = plan(obj(), grace_seconds=30).marked
    assert first is not None
    assert first["metadata"]["deletionTimestamp"] == "2026-01-02T03:04:35Z"
    assert plan(first, grace_seconds=60, asked_seconds=60) == Decision(None, False)
    shorter = plan(first, grace_seconds=5, asked_seconds=5)
    assert shorter.marked is not None
    assert shorter.marked["metadata"]["deletionTimestamp"] == "2026-01-02T03:04:10Z"
    ended = plan(first, grace_seconds=0, asked_seconds=0)
    assert ended.gone
    assert ended.mark_first


def test_no_grace_left_goes_at_once_but_is_seen_marked() -> None:
    decision = plan(obj(), grace_seconds=0)
    assert decision.gone
    assert decision.mark_first
    assert decision.marked is not None
    assert decision.marked["metadata"]["deletionGracePeriodSeconds"] == 0


def test_what_is_held_from_outside_is_only_marked() -> None:
    decision = plan(obj(), held=True)
    assert decision.marked is not None
    assert "deletionGracePeriodSeconds" not in decision.marked["metadata"]
    assert not decision.gone

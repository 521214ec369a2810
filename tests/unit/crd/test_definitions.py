"""What a definition means: names, conditions, rows. Pure."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.crd.definitions import plan_names, stored_row, versions_of

NOW = "2026-01-01T00:00:00Z"


def definition(plural: str = "ships", *, group: str = "sea.example.com", **names: Any) -> dict[str, Any]:
    kind = plural.removesuffix("s").capitalize()
    return {
        "metadata": {"name": f"{plural}.{group}", "uid": plural},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List", **names},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}],
        },
    }  # fmt: skip


def accepted(made: dict[str, Any]) -> dict[str, Any]:
    return {**made, "status": plan_names(made, [], NOW)}


def shown(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}


def test_names_that_are_free_are_accepted() -> None:
    status = plan_names(definition(shortNames=["sh"], categories=["fleet"]), [], NOW)
    assert status["acceptedNames"] == {
        "plural": "ships", "singular": "ship", "kind": "Ship", "listKind": "ShipList", "shortNames": ["sh"],
        "categories": ["fleet"],
    }  # fmt: skip
    assert shown(status) == {"NamesAccepted": ("True", "NoConflicts"), "Established": ("True", "InitialNamesAccepted")}


@pytest.mark.parametrize(("names", "reason"), [
    ({"singular": "ship"}, "SingularConflict"), ({"shortNames": ["b", "sh"]}, "ShortNamesConflict"),
    ({"kind": "Ship"}, "KindConflict"), ({"kind": "Ship", "listKind": "ShipList"}, "ListKindConflict"),
    ({"singular": "sh"}, "SingularConflict"),
])  # fmt: skip
def test_a_name_that_is_taken_is_told_and_not_given(names: dict[str, Any], reason: str) -> None:
    first = accepted(definition(shortNames=["sh"]))
    status = plan_names(definition("boats", **names), [first], NOW)
    assert shown(status) == {"NamesAccepted": ("False", reason), "Established": ("False", "NotAccepted")}
    for word in names:
        assert word == "kind" or word not in status["acceptedNames"]


def test_other_groups_and_its_own_names_do_not_clash() -> None:
    first = accepted(definition())
    assert shown(plan_names(definition("boats", group="lake.example.com", kind="Ship"), [first], NOW))["Established"][0] == "True"
    assert plan_names(first, [first], NOW) == first["status"]


def test_once_established_always_established() -> None:
    ours = accepted(definition("boats"))
    ours["spec"]["names"]["kind"] = "Ship"
    status = plan_names(ours, [accepted(definition())], NOW)
    assert shown(status) == {"NamesAccepted": ("False", "KindConflict"), "Established": ("True", "InitialNamesAccepted")}
    assert status["acceptedNames"]["kind"] == "Boat"


@pytest.mark.parametrize(("annotation", "wanted"), [
    ("", ("False", "MissingAnnotation")), ("unapproved, ours", ("False", "UnapprovedAnnotation")),
    ("https://example.com/pull/1", ("True", "ApprovedAnnotation")), ("by me", ("False", "InvalidAnnotation")),
])  # fmt: skip
def test_protected_groups_say_whether_they_are_approved(annotation: str, wanted: tuple[str, str]) -> None:
    made = definition(group="x.k8s.io")
    made["metadata"]["annotations"] = {"api-approved.kubernetes.io": annotation}
    assert shown(plan_names(made, [], NOW))["KubernetesAPIApprovalPolicyConformant"] == wanted
    assert "KubernetesAPIApprovalPolicyConformant" not in shown(plan_names(definition(), [], NOW))


def test_rows_and_the_form_of_the_bytes() -> None:
    made = definition()
    made["spec"]["versions"] = [
        {"name": "v1beta1", "served": True, "storage": False, "deprecated": True, "subresources": {"status": {}}},
        {"name": "v1", "served": False, "storage": True},
        {"name": "v2", "served": True, "storage": False},
    ]  # fmt: skip
    rows = versions_of(accepted(made))
    assert [(row.version, row.hub, row.has_status()) for row in rows] == [
        ("v1beta1", ("sea.example.com", "v1"), True), ("v2", ("sea.example.com", "v1"), False),
    ]  # fmt: skip
    assert rows[0].form.warning == "sea.example.com/v1beta1 Ship is deprecated; use sea.example.com/v2 Ship"
    assert rows[1].form.warning == ""
    hub = stored_row(accepted(made), rows)
    assert (hub.version, hub.form) == ("v1", rows[0].hub_form)

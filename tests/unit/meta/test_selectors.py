"""Selectors against the recorded answers of upstream: what it refuses is refused here in the same words."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from machinery.meta.selectors import (
    SelectorError,
    label_selector_from_dict,
    parse_field_selector,
    parse_label_selector,
)

TRANSCRIPTS = Path(__file__).parents[2] / "golden" / "transcripts"


def refused(parameter: str, *words: str) -> list[tuple[str, str]]:
    found = []
    for line in (TRANSCRIPTS / "lists.jsonl").read_text().splitlines():
        step = json.loads(line)
        query = parse_qs(step.get("path", "").partition("?")[2], keep_blank_values=True)
        body = step.get("expect", {}).get("body")
        if parameter in query and step["expect"]["status"] == 400 and isinstance(body, dict):
            message = body.get("message", "")
            if any(word in message for word in words):
                found.append((query[parameter][0], message))
    return found


@pytest.mark.parametrize(("text", "message"), refused("labelSelector", "found '", "requirement"))
def test_label_selector_is_refused_in_upstreams_words(text: str, message: str) -> None:
    with pytest.raises(SelectorError) as caught:
        parse_label_selector(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(("text", "message"), refused("fieldSelector", "invalid selector", "invalid field selector"))
def test_field_selector_is_refused_in_upstreams_words(text: str, message: str) -> None:
    with pytest.raises(SelectorError) as caught:
        parse_field_selector(text)
    assert str(caught.value) == message


def test_the_transcripts_hold_refusals() -> None:
    assert len(refused("labelSelector", "found '", "requirement")) > 12
    assert len(refused("fieldSelector", "invalid selector", "invalid field selector")) >= 5


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ("a=1", {"a": "1"}, True),
        ("a==1", {"a": "2"}, False),
        ("a!=1", {}, True),
        ("a!=1", {"a": "1"}, False),
        ("a in (1, 2)", {"a": "2"}, True),
        ("a in (1, 2)", {}, False),
        ("a notin (1,2)", {"b": "1"}, True),
        ("a notin (1,2)", {"a": "1"}, False),
        ("a", {"a": ""}, True),
        ("!a", {"a": ""}, False),
        ("!a", {}, True),
        ("a>3", {"a": "4"}, True),
        ("a<3", {"a": "x"}, False),
        ("a=1,b=2", {"a": "1", "b": "3"}, False),
        ("a=", {"a": ""}, True),
        ("a in ()", {"a": ""}, True),
        ("", {"x": "y"}, True),
    ],
)
def test_matching(text: str, labels: dict[str, str], expected: bool) -> None:
    assert parse_label_selector(text).matches(labels) is expected


def test_object_form() -> None:
    selector = label_selector_from_dict({
        "matchLabels": {"app": "web"},
        "matchExpressions": [
            {"key": "tier", "operator": "NotIn", "values": ["db"]},
            {"key": "x", "operator": "Exists"},
        ],
    })
    assert selector.matches({"app": "web", "x": "1"})
    assert not selector.matches({"app": "web", "x": "1", "tier": "db"})
    assert str(selector) == "app=web,tier notin (db),x"
    assert not label_selector_from_dict(None).matches({"a": "b"})
    assert label_selector_from_dict({}).matches({"a": "b"})
    with pytest.raises(SelectorError, match="is not a valid label selector operator"):
        label_selector_from_dict({"matchExpressions": [{"key": "a", "operator": "Like"}]})


def test_text_form_round_trips() -> None:
    for text in ("a=b", "!a", "a", "a in (b,c)", "a notin (b)", "a>1", "a!=b"):
        assert str(parse_label_selector(text)) == text


def test_field_selectors() -> None:
    selector = parse_field_selector("metadata.name=x,status.phase!=Running")
    assert selector.matches({"metadata.name": "x", "status.phase": "Pending"})
    assert not selector.matches({"metadata.name": "x", "status.phase": "Running"})
    assert selector.required_value("metadata.name") == "x"
    assert selector.required_value("status.phase") is None
    assert parse_field_selector(r"a=b\,c\=d").requirements[0].value == "b,c=d"
    assert str(parse_field_selector(r"a=b\,c")) == r"a=b\,c"

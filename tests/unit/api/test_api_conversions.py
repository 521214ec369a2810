"""Conversions: nothing is lost on the way to the other face and back, and the older names are the recorded ones."""

from __future__ import annotations

import copy
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from machinery.api.conversions import (
    BEHAVIOR,
    CONDITIONS,
    METRICS,
    autoscaler_to_v1,
    autoscaler_to_v2,
    converters,
    event_to_core,
    event_to_events_group,
)
from machinery.api.schema import schema_for
from machinery.api.shape import complete
from machinery.api.table import KINDS
from tests.unit.api.api_transcripts import steps

WORD = st.text("abcdefgh", min_size=1, max_size=6)
AMOUNT = st.sampled_from(["1", "500m", "2Gi", "100k"])
SELECTOR = st.fixed_dictionaries({"matchLabels": st.dictionaries(WORD, WORD, min_size=1, max_size=2)})
METRIC_ID = st.fixed_dictionaries({"name": WORD}, optional={"selector": SELECTOR})
REFERENCE = st.fixed_dictionaries({"kind": WORD, "name": WORD, "apiVersion": st.just("v1")})
AVERAGE = st.builds(lambda v: {"type": "AverageValue", "averageValue": v}, AMOUNT)
VALUE = st.builds(lambda v: {"type": "Value", "value": v}, AMOUNT)
UTILIZATION = st.builds(lambda v: {"type": "Utilization", "averageUtilization": v}, st.integers(1, 100))


def _metric(type_: str, field: str, body: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(lambda value: {"type": type_, field: value}, body)


METRIC = st.one_of(
    _metric("Pods", "pods", st.fixed_dictionaries({"metric": METRIC_ID, "target": AVERAGE})),
    _metric("Object", "object", st.fixed_dictionaries(
        {"metric": METRIC_ID, "target": st.one_of(AVERAGE, VALUE), "describedObject": REFERENCE})),
    _metric("External", "external", st.fixed_dictionaries({"metric": METRIC_ID, "target": st.one_of(AVERAGE, VALUE)})),
    _metric("Resource", "resource", st.fixed_dictionaries(
        {"name": st.just("memory"), "target": st.one_of(AVERAGE, UTILIZATION)})),
    _metric("ContainerResource", "containerResource", st.fixed_dictionaries(
        {"name": st.just("cpu"), "container": WORD, "target": st.one_of(AVERAGE, UTILIZATION)})),
)  # fmt: skip
CPU = st.builds(lambda target: {"type": "Resource", "resource": {"name": "cpu", "target": target}}, UTILIZATION)
POLICY = st.fixed_dictionaries({"type": st.sampled_from(["Pods", "Percent"]), "value": st.integers(1, 9),
                                "periodSeconds": st.integers(1, 60)})  # fmt: skip
RULES = st.fixed_dictionaries({}, optional={
    "stabilizationWindowSeconds": st.integers(0, 10), "selectPolicy": st.sampled_from(["Max", "Min"]),
    "policies": st.lists(POLICY, min_size=1, max_size=2)})  # fmt: skip
CONDITION = st.fixed_dictionaries({"type": WORD, "status": st.just("True"), "reason": WORD, "message": WORD,
                                   "lastTransitionTime": st.just("2026-01-01T00:00:00Z")})  # fmt: skip


@st.composite
def autoscalers(draw: st.DrawFn) -> dict[str, Any]:
    metrics = draw(st.lists(METRIC, max_size=3)) + draw(st.lists(CPU, max_size=1))
    obj: dict[str, Any] = {
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
        "spec": {"maxReplicas": 3, "minReplicas": 1, "scaleTargetRef": draw(REFERENCE), "metrics": metrics},
        "status": {"currentReplicas": 2, "desiredReplicas": 2},
    }  # fmt: skip
    if draw(st.booleans()):
        obj["metadata"]["annotations"] = {"mine": "kept"}
    if draw(st.booleans()):
        obj["spec"]["behavior"] = {"scaleUp": draw(RULES), "scaleDown": draw(RULES)}
    conditions = draw(st.lists(CONDITION, max_size=2))
    if conditions:
        obj["status"]["conditions"] = conditions
    kind = KINDS.by_kind("autoscaling", "v2", "HorizontalPodAutoscaler")
    assert kind is not None
    complete(obj, schema_for(kind))
    return obj


@given(autoscalers())
def test_an_autoscaler_survives_the_round_trip(obj: dict[str, Any]) -> None:
    before = copy.deepcopy(obj)
    assert autoscaler_to_v2(autoscaler_to_v1(obj)) == before
    assert obj == before


@given(st.fixed_dictionaries(
    {"kind": st.just("Event"), "apiVersion": st.just("v1"), "metadata": st.just({"name": "e"}),
     "involvedObject": REFERENCE},
    optional={"message": WORD, "reason": WORD, "type": WORD, "count": st.integers(1, 9), "action": WORD,
              "source": st.fixed_dictionaries({}, optional={"component": WORD, "host": WORD}),
              "firstTimestamp": st.just("2026-01-01T00:00:00Z"), "reportingComponent": WORD, "related": REFERENCE,
              "series": st.just({"count": 2, "lastObservedTime": "2026-01-01T00:00:00.000000Z"})},
))  # fmt: skip
def test_an_event_survives_the_round_trip(event: dict[str, Any]) -> None:
    kind = KINDS.by_kind("", "v1", "Event")
    assert kind is not None
    complete(event, schema_for(kind))
    before = copy.deepcopy(event)
    assert event_to_core(event_to_events_group(event)) == before
    assert event == before


def test_recorded_events_of_the_new_group_come_back_equal() -> None:
    compared = 0
    for step in steps("defaults.jsonl"):
        if isinstance(step.answer, dict) and step.answer.get("apiVersion") == "events.k8s.io/v1":
            if step.answer.get("kind") == "Event":
                assert event_to_events_group(event_to_core(step.answer)) == step.answer, step
                compared += 1
    assert compared > 0


def test_the_older_face_uses_its_older_names() -> None:
    obj = {
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
        "spec": {
            "maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "d"},
            "metrics": [
                {"type": "Resource", "resource": {"name": "cpu", "target": {
                    "type": "Utilization", "averageUtilization": 70}}},
                {"type": "Pods", "pods": {"metric": {"name": "rps"}, "target": {
                    "type": "AverageValue", "averageValue": "10"}}},
                {"type": "Object", "object": {"metric": {"name": "hits"}, "describedObject": {"kind": "Ingress",
                    "name": "i"}, "target": {"type": "Value", "value": "5"}}},
            ],
            "behavior": {"scaleDown": {"selectPolicy": "Min"}},
        },
        "status": {"conditions": [{"type": "AbleToScale", "status": "True"}]},
    }  # fmt: skip
    old = autoscaler_to_v1(obj)
    assert old["spec"]["targetCPUUtilizationPercentage"] == 70
    assert "metrics" not in old["spec"]
    assert orjson.loads(old["metadata"]["annotations"][METRICS]) == [
        {"type": "Pods", "pods": {"metricName": "rps", "targetAverageValue": "10"}},
        {"type": "Object", "object": {"target": {"kind": "Ingress", "name": "i"}, "metricName": "hits",
                                      "targetValue": "5"}},
    ]  # fmt: skip
    assert orjson.loads(old["metadata"]["annotations"][BEHAVIOR]) == {"ScaleDown": {"SelectPolicy": "Min"}}
    assert orjson.loads(old["metadata"]["annotations"][CONDITIONS])[0]["type"] == "AbleToScale"
    assert old["status"] == {"currentReplicas": 0, "desiredReplicas": 0}


def test_a_broken_annotation_says_nothing() -> None:
    old = {
        "apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "h", "annotations": {METRICS: "{", BEHAVIOR: "[1]", CONDITIONS: "7"}},
        "spec": {"maxReplicas": 1, "targetCPUUtilizationPercentage": 5, "scaleTargetRef": {"kind": "x", "name": "y"}},
    }  # fmt: skip
    new = autoscaler_to_v2(old)
    assert len(new["spec"]["metrics"]) == 1
    assert "behavior" not in new["spec"]
    assert "annotations" not in new["metadata"]


def test_every_kind_with_another_hub_has_converters() -> None:
    for kind in KINDS:
        to_served, to_hub = converters(KINDS.hub_of(kind), kind)
        assert (to_served is None) == (to_hub is None) == (KINDS.hub_of(kind) is kind)

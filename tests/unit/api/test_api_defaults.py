"""Defaults and the printed shape of objects, judged by recorded creates."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from machinery.api.decode import decode
from machinery.api.defaults import apply_defaults, compute_qos_class
from machinery.api.defaults.pods import pull_policy
from machinery.api.schema import schema_for
from machinery.api.shape import complete
from machinery.api.table import KINDS
from tests.unit.api.api_transcripts import FOLDER, Step, steps

#: What admission and the registry's strategies fill in, by path; ``[]`` stands for any index.
FILLED_ELSEWHERE = {
    "metadata.uid", "metadata.resourceVersion", "metadata.creationTimestamp", "metadata.managedFields",
    "metadata.generation", "metadata.namespace", "metadata.finalizers", "spec.clusterIP", "spec.clusterIPs",
    "spec.ipFamilies", "spec.ipFamilyPolicy", "spec.ports[].nodePort", "spec.healthCheckNodePort",
    "spec.serviceAccount", "spec.serviceAccountName", "spec.priority", "spec.preemptionPolicy", "spec.tolerations",
    "spec.volumes", "spec.containers[].volumeMounts", "spec.initContainers[].volumeMounts", "status.phase",
    "status.qosClass", "status.lastPhaseTransitionTime", "status.storedVersions", "spec.taints", "spec.dataSourceRef",
}  # fmt: skip
PREFIXES_ELSEWHERE = (
    ("Job", "spec.selector"), ("Job", "metadata.labels"), ("Job", "spec.template.metadata.labels"),
    ("DaemonSet", "metadata.annotations"), ("CertificateSigningRequest", "spec."),
)  # fmt: skip


def _differences(want: Any, got: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    if path in FILLED_ELSEWHERE:
        return
    if isinstance(want, dict) and isinstance(got, dict):
        for key in {*want, *got}:
            yield from _differences(want.get(key, "<absent>"), got.get(key, "<absent>"), f"{path}.{key}".lstrip("."))
    elif isinstance(want, list) and isinstance(got, list) and len(want) == len(got):
        for one, other in zip(want, got, strict=True):
            yield from _differences(one, other, f"{path}[]")
    elif want != got and want != "<time>":
        yield path, want, got


def _creates(file: str) -> Iterator[Step]:
    for step in steps(file):
        plain = isinstance(step.body, dict) and isinstance(step.answer, dict)
        if step.method == "POST" and step.status == 201 and step.kind and not step.subresource and plain:
            if step.answer.get("kind") == step.kind.kind:
                yield step


FILES = ["defaults.jsonl", *sorted(p.name for p in FOLDER.glob("validation-*.jsonl"))]


@pytest.mark.parametrize("file", FILES)
def test_recorded_creates(file: str) -> None:
    compared = 0
    for step in _creates(file):
        assert step.kind is not None
        obj = copy.deepcopy(step.body)
        obj |= {"kind": step.kind.kind, "apiVersion": step.kind.api_version}
        decode(obj, schema_for(step.kind))
        apply_defaults(step.kind, obj)
        again = copy.deepcopy(obj)
        apply_defaults(step.kind, again)
        assert again == obj, f"{step} is not idempotent"
        left = [
            difference
            for difference in _differences(step.answer, obj)
            if not any(step.kind.kind == kind and difference[0].startswith(path) for kind, path in PREFIXES_ELSEWHERE)
        ]
        assert left == [], step
        compared += 1
    assert compared > 0


def _answered(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for one in value:
            yield from _answered(one)
    elif isinstance(value, dict):
        kind = KINDS.of(value)
        if kind is not None and "metadata" in value:
            yield kind, value
        elif "object" in value and "type" in value:
            yield from _answered(value["object"])


ANSWERS = sorted(
    str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.jsonl")
    if path.parent.name != "kubectl" and path.name != "wire.jsonl"
)  # fmt: skip


@pytest.mark.parametrize("file", ANSWERS)
def test_every_recorded_answer_has_the_shape(file: str) -> None:
    """What upstream printed is a fixed point of our shaping, for every object in every transcript."""
    for step in steps(file):
        if step.status >= 400:
            continue
        for kind, obj in _answered(step.answer):
            shaped = copy.deepcopy(obj)
            complete(shaped, schema_for(kind))
            assert shaped == obj, step


def test_zero_values_vanish_and_pointers_stay() -> None:
    kind = KINDS.resolve("pod")
    assert kind is not None
    container: dict[str, Any] = {
        "name": "c", "image": "x:1", "args": [], "stdin": False, "securityContext": {"privileged": False},
    }  # fmt: skip
    spec: dict[str, Any] = {
        "hostNetwork": False, "hostUsers": False, "nodeName": "", "volumes": [], "containers": [container],
    }  # fmt: skip
    apply_defaults(kind, {"spec": spec})
    assert "hostNetwork" not in spec
    assert "nodeName" not in spec
    assert "volumes" not in spec
    assert spec["hostUsers"] is False
    assert container["securityContext"] == {"privileged": False}
    assert container["resources"] == {}
    assert "args" not in container
    assert "stdin" not in container


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"), ("nginx:latest", "Always"), ("nginx:1.2", "IfNotPresent"),
        ("localhost:5000/nginx", "Always"), ("localhost:5000/a/nginx:v1", "IfNotPresent"),
        ("nginx@sha256:" + "0" * 64, "IfNotPresent"), ("nginx:latest@sha256:" + "0" * 64, "IfNotPresent"),
    ],
)  # fmt: skip
def test_pull_policy(image: str, policy: str) -> None:
    assert pull_policy(image) == policy


def _pod(*resources: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "c", "resources": one} for one in resources]}}


BOTH = {"cpu": "1", "memory": "1Gi"}


@pytest.mark.parametrize(
    ("pod", "wanted"),
    [
        (_pod({}), "BestEffort"),
        (_pod({"limits": BOTH, "requests": BOTH}), "Guaranteed"),
        (_pod({"limits": BOTH, "requests": {"cpu": "1000m", "memory": "1024Mi"}}), "Guaranteed"),
        (_pod({"limits": BOTH, "requests": BOTH}, {}), "Burstable"),
        (_pod({"requests": {"cpu": "1"}}), "Burstable"),
        (_pod({"requests": {"cpu": "0"}}), "BestEffort"),
        (_pod({"requests": {"ephemeral-storage": "1Gi"}}), "BestEffort"),
    ],
)
def test_quality_of_service(pod: dict[str, Any], wanted: str) -> None:
    assert compute_qos_class(pod) == wanted


def test_every_recorded_pod_has_its_class() -> None:
    seen = 0
    for path in FOLDER.glob("*.jsonl"):
        for step in steps(path.name):
            if step.status in (200, 201) and isinstance(step.answer, dict) and step.answer.get("kind") == "Pod":
                wanted = (step.answer.get("status") or {}).get("qosClass")
                if wanted and "spec" in step.answer:
                    assert compute_qos_class(step.answer) == wanted, step
                    seen += 1
    assert seen > 20

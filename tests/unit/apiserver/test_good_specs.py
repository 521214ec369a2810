"""Pods of a series are validated once, although each has a token volume with a name of its own."""

from typing import Any

from apiserver.validation.field import Errors
from apiserver.validation.pods import pod as pods


def spec(*names: str) -> dict[str, Any]:
    return {
        "volumes": [{"name": name, "emptyDir": {}} for name in names],
        "containers": [{"name": "c", "image": "i", "imagePullPolicy": "Always", "terminationMessagePolicy": "File"}],
        "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "terminationGracePeriodSeconds": 30,
    }  # fmt: skip


def judge(wanted: dict[str, Any]) -> list[Any]:
    errors = Errors()
    pods.create(errors, {"metadata": {"name": "p", "namespace": "n"}, "spec": wanted})
    return list(errors)


def test_a_series_is_one_verdict() -> None:
    pods._good_specs.clear()
    for suffix in ("bcdfg", "hjklm", "npqrs"):
        assert judge(spec(f"kube-api-access-{suffix}")) == []
    assert len(pods._good_specs) == 1


def test_a_name_given_twice_is_not_hidden_by_two_that_differ() -> None:
    pods._good_specs.clear()
    assert judge(spec("kube-api-access-bcdfg", "kube-api-access-hjklm")) == []
    assert [cause["reason"] for cause in judge(spec("kube-api-access-bcdfg", "kube-api-access-bcdfg"))] == [
        "FieldValueDuplicate"
    ]

"""Taking one disruption from a budget."""

from typing import Any

import pytest

from apiserver.endpoints.eviction import take_disruption
from machinery.meta.errors import ApiError


def budget(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "b", "generation": 2}, "status": {"observedGeneration": 2, **status}}


def test_it_is_counted_and_the_pod_is_named() -> None:
    target = budget(disruptionsAllowed=2)
    take_disruption(target, "p", "now")
    assert target["status"]["disruptionsAllowed"] == 1
    assert target["status"]["disruptedPods"] == {"p": "now"}


def test_none_left() -> None:
    with pytest.raises(ApiError) as caught:
        take_disruption(budget(disruptionsAllowed=0, desiredHealthy=2, currentHealthy=1), "p", "now")
    assert caught.value.code == 429
    assert caught.value.causes[0]["message"] == "The disruption budget b needs 2 healthy pods and has 1 currently"
    assert caught.value.retry_after_seconds == 0


def test_a_budget_that_its_controller_has_not_seen_asks_to_wait() -> None:
    with pytest.raises(ApiError) as caught:
        take_disruption({"metadata": {"name": "b", "generation": 1}}, "p", "now")
    assert caught.value.retry_after_seconds == 10

"""Who asks while the server still writes its own policy is not refused before that policy has had its say."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from apiserver.auth.interface import ANONYMOUS, Decision, User
from apiserver.server import chain
from apiserver.server.chain import AuthorizationFilter
from machinery.meta.errors import ApiError


class Policy:
    def __init__(self) -> None:
        self.allows = False
        self.asked = 0

    def authorize(self, attributes: Any) -> Decision:
        self.asked += 1
        return Decision(allowed=self.allows)


class Attributes:
    def __init__(self, user: str) -> None:
        self.user = User(user)
        self.is_resource, self.subresource, self.verb, self.path = False, "", "get", "/x"
        self.name = self.namespace = self.resource = self.api_group = ""


class Context:
    user = User("component")


@pytest.fixture
def policy(monkeypatch: pytest.MonkeyPatch) -> Policy:
    monkeypatch.setattr(chain, "attributes_of", lambda context, user: Attributes(user.name))
    monkeypatch.setattr(chain, "POLICY_SEEN_SECONDS", 0)
    return Policy()


async def answer(policy: Policy, there: asyncio.Event, user: str = "component") -> Any:
    context: Any = Context()
    context.user = User(user)

    async def following(_: Any) -> Any:
        return "answered"

    authorizer: Any = policy
    return await AuthorizationFilter(authorizer, there)(context, following)


async def test_a_component_that_comes_early_waits_and_is_let_in(policy):
    there = asyncio.Event()
    asked = asyncio.create_task(answer(policy, there))
    await asyncio.sleep(0.01)
    assert not asked.done()
    policy.allows = True
    there.set()
    assert await asked == "answered"


async def test_who_is_allowed_does_not_wait(policy):
    policy.allows = True
    assert await answer(policy, asyncio.Event()) == "answered"


@pytest.mark.parametrize("user", ["component", ANONYMOUS])
async def test_refusals_are_immediate_once_the_policy_is_there(policy, user):
    there = asyncio.Event()
    there.set()
    with pytest.raises(ApiError) as refused:
        await answer(policy, there, user)
    assert (refused.value.code, policy.asked) == (403, 1)


async def test_strangers_are_refused_at_once_and_a_policy_that_never_comes_is_not_waited_for(policy, monkeypatch):
    monkeypatch.setattr(chain, "POLICY_WAIT_SECONDS", 0.01)
    for user, asked in ((ANONYMOUS, 1), ("component", 3)):
        with pytest.raises(ApiError):
            await answer(policy, asyncio.Event(), user)
        assert policy.asked == asked

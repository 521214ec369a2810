"""What a bearer token can turn out to be. Token authenticators are synchronous: they look into memory and compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from apiserver.auth.interface import User


class TokenError(Exception):
    """A token of our kind that is not good; the text is shown in a TokenReview, never to the bearer."""


@dataclass(frozen=True, slots=True)
class TokenResult:
    """``audiences``: those asked for that the token is good for. ``good_until``: seconds since the epoch, or None."""

    user: User
    audiences: tuple[str, ...]
    good_until: float | None = None


class TokenAuthenticator(Protocol):
    def authenticate_token(self, token: str, audiences: Sequence[str]) -> TokenResult | None:
        """None: not a token of this kind."""
        ...


def common_audiences(asked: Sequence[str], offered: Sequence[str]) -> tuple[str, ...]:
    """In the order in which they were asked for."""
    return tuple(dict.fromkeys(audience for audience in asked if audience in offered))

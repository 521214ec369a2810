"""Who asks: every kind of credential in one order, the first that fits decides.

A bearer token that nobody knows is 401 even where anonymous requests are welcome: its bearer believes to be someone.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from apiserver.auth.certificates import CertificateAuthenticator, FrontProxyAuthenticator
from apiserver.auth.interface import Credentials, User
from apiserver.auth.text import aggregate
from apiserver.auth.tokens.interface import TokenAuthenticator, TokenError, TokenResult
from apiserver.auth.users import ANONYMOUS_USER, authenticated
from machinery.meta.errors import unauthorized

_WEBSOCKET_PREFIX = "base64url.bearer.authorization.k8s.io."


class BearerTokens:
    """The union of the token authenticators."""

    def __init__(self, authenticators: Sequence[TokenAuthenticator], api_audiences: Sequence[str]) -> None:
        self._authenticators = tuple(authenticators)
        self.api_audiences = tuple(api_audiences)

    def review(self, token: str, audiences: Sequence[str]) -> TokenResult:
        """Raises :class:`TokenError` with the text for a TokenReview."""
        errors = ["invalid bearer token"]
        for authenticator in self._authenticators:
            try:
                result = authenticator.authenticate_token(token, audiences)
            except TokenError as error:
                errors.append(str(error))
                continue
            if result is not None:
                return result
        raise TokenError(aggregate(errors))


class RequestAuthenticator:
    """The :class:`apiserver.auth.interface.Authenticator` of the server."""

    def __init__(
        self,
        tokens: BearerTokens,
        *,
        certificates: CertificateAuthenticator | None = None,
        front_proxy: FrontProxyAuthenticator | None = None,
        anonymous: bool = True,
    ) -> None:
        self.tokens = tokens
        self._certificates, self._front_proxy = certificates, front_proxy
        self._anonymous = anonymous
        # User -> the same with the group of all authenticated: equal users stay one object, which keeps caches small.
        self._complete: dict[int, tuple[User, User]] = {}

    async def authenticate(self, credentials: Credentials) -> User | None:
        return self.authenticate_now(credentials)

    def authenticate_now(self, credentials: Credentials) -> User | None:
        """Nothing here waits: the filter may call this directly."""
        if self._front_proxy is not None and (user := self._front_proxy.authenticate(credentials)) is not None:
            return authenticated(user)
        if self._certificates is not None and (user := self._certificates.authenticate(credentials)) is not None:
            return self._with_group(user)
        token = bearer_token(credentials)
        if token:
            try:
                return self._with_group(self.tokens.review(token, self.tokens.api_audiences).user)
            except TokenError as error:
                raise unauthorized() from error
        return ANONYMOUS_USER if self._anonymous else None

    def review(self, token: str, audiences: Sequence[str]) -> tuple[User, tuple[str, ...]] | None:
        """What a request with this token would be, for a TokenReview; None when it would be nobody."""
        parsed = parse_bearer(f"Bearer {token}")
        if not parsed:
            return (ANONYMOUS_USER, ()) if self._anonymous else None
        result = self.tokens.review(parsed, audiences)
        return authenticated(result.user), result.audiences

    def _with_group(self, user: User) -> User:
        known = self._complete.get(id(user))
        if known is not None and known[0] is user:
            return known[1]
        complete = authenticated(user)
        if len(self._complete) > 10_000:
            self._complete.clear()
        self._complete[id(user)] = (user, complete)
        return complete


def bearer_token(credentials: Credentials) -> str | None:
    if credentials.authorization and (token := parse_bearer(credentials.authorization)):
        return token
    for protocol in credentials.websocket_protocols:
        if protocol.startswith(_WEBSOCKET_PREFIX):
            encoded = protocol[len(_WEBSOCKET_PREFIX) :]
            try:
                return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
            except (binascii.Error, UnicodeDecodeError) as error:
                raise unauthorized() from error
    return None


def parse_bearer(header: str) -> str | None:
    """The token of an Authorization header; two blanks after the scheme are an empty token, which is none."""
    parts = header.strip().split(" ", 2)
    if len(parts) < 2 or parts[0].lower() != "bearer":
        return None
    return parts[1] or None

"""Service-account tokens: issued by us, bound to an account and perhaps to a Pod, Secret or Node, and good while those
exist with the uid that the token names.

The signature of a token never changes, so it is verified once and remembered; whether the account and the bound object
are still there is asked of memory again on every request.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from apiserver.auth.interface import User
from apiserver.auth.text import go_strings
from apiserver.auth.tokens.interface import TokenError, TokenResult, common_audiences
from apiserver.auth.tokens.signing import SigningKey, VerifyingKey, verified_claims
from apiserver.auth.users import service_account_groups, service_account_username
from apiserver.registry.interface import ObjectReader
from machinery.meta.objects import parse_time
from machinery.runtime.clock import Clock

Object = dict[str, Any]

PRIVATE_CLAIMS = "kubernetes.io"
EXTRA_PREFIX = "authentication.kubernetes.io/"

# The lifetime that the usual mount asks for; for the server's own audience such a token works for a year, so that
# programs that read their token once keep working, and the claim ``warnafter`` tells when it should have been renewed.
USUAL_SECONDS = 3607
PROLONGED_SECONDS = 365 * 24 * 3600

# An object marked for deletion still vouches for its tokens for a while: its last acts need them.
DELETION_LEEWAY = timedelta(seconds=60)

MAX_VERIFIED = 20_000


@dataclass(frozen=True, slots=True)
class Issued:
    token: str
    expires_at: float


class TokenIssuer:
    def __init__(self, issuer: str, key: SigningKey, clock: Clock, *, prolong: bool = True) -> None:
        self.issuer = issuer
        self._key, self._clock, self._prolong = key, clock, prolong

    def issue(
        self,
        account: Object,
        audiences: Sequence[str],
        seconds: int,
        *,
        bound: tuple[str, Object] | None = None,
        node: Object | None = None,
        server_audiences: Sequence[str] = (),
    ) -> Issued:
        """``bound`` is ("pod" | "secret" | "node", object); ``node`` is the one that a bound pod runs on."""
        now = int(self._clock.now().timestamp())
        lifetime = seconds
        metadata = account["metadata"]
        private: Object = {
            "namespace": metadata["namespace"],
            "serviceaccount": {"name": metadata["name"], "uid": metadata["uid"]},
        }
        if bound is not None:
            private[bound[0]] = _reference(bound[1])
        if node is not None:
            private["node"] = node
        if self._prolong and seconds == USUAL_SECONDS and bound is not None and bound[0] == "pod":
            if set(audiences) <= set(server_audiences):
                lifetime = PROLONGED_SECONDS
                private["warnafter"] = now + seconds
        claims = {
            "aud": list(audiences),
            "exp": now + lifetime,
            "iat": now,
            "iss": self.issuer,
            "jti": str(uuid.uuid4()),
            PRIVATE_CLAIMS: private,
            "nbf": now,
            "sub": service_account_username(metadata["namespace"], metadata["name"]),
        }
        return Issued(self._key.sign(claims), now + seconds)


class ServiceAccountTokens:
    def __init__(
        self, issuers: Sequence[str], keys: Sequence[VerifyingKey], reader: ObjectReader, clock: Clock
    ) -> None:
        self._issuers = frozenset(issuers)
        self._keys = tuple(keys)
        self._reader, self._clock = reader, clock
        self._verified: dict[str, tuple[Object, User]] = {}

    def authenticate_token(self, token: str, audiences: Sequence[str]) -> TokenResult | None:
        known = self._verified.get(token)
        if known is None:
            claims = self._verify(token)
            if claims is None:
                return None
            known = (claims, _user(claims))
            if len(self._verified) >= MAX_VERIFIED:
                self._verified.clear()
            self._verified[token] = known
        claims, user = known
        self._check_time(claims)
        offered = claims["aud"]
        common = common_audiences(audiences, offered)
        if not common:
            raise TokenError(
                f"token audiences {go_strings(offered)} is invalid for the target audiences {go_strings(audiences)}"
            )
        self._check_objects(claims[PRIVATE_CLAIMS])
        return TokenResult(user, common, claims["exp"])

    def _verify(self, token: str) -> Object | None:
        claims = verified_claims(token, self._issuers, self._keys)
        return _check_claims(claims) if claims is not None else None

    def _check_time(self, claims: Object) -> None:
        now = self._clock.now().timestamp()
        if now >= claims["exp"]:
            raise TokenError("service account token has expired")
        # A minute of tolerance: the servers of a cluster do not share a clock.
        if claims.get("nbf", 0) > now + 60:
            raise TokenError("service account token is not valid yet")

    def _check_objects(self, private: Object) -> None:
        namespace = private["namespace"]
        account = private["serviceaccount"]
        present = self._reader.get("", "serviceaccounts", namespace, account["name"])
        if present is None:
            raise TokenError(f'serviceaccounts "{account["name"]}" not found')
        if self._is_leaving(present):
            raise TokenError("service account token has been invalidated")
        if present["metadata"]["uid"] != account["uid"]:
            raise TokenError(
                f"service account UID ({present['metadata']['uid']}) does not match claim ({account['uid']})"
            )
        for kind in ("secret", "pod", "node"):
            # A pod's token names its node for information only: it is the pod that keeps it good.
            if kind in private and not (kind == "node" and "pod" in private):
                self._check_bound(kind, namespace if kind != "node" else "", private[kind])

    def _check_bound(self, kind: str, namespace: str, reference: Object) -> None:
        present = self._reader.get("", f"{kind}s", namespace, reference["name"])
        if present is None or self._is_leaving(present):
            raise TokenError("service account token has been invalidated")
        if present["metadata"]["uid"] != reference["uid"]:
            raise TokenError(
                f"{kind} UID ({present['metadata']['uid']}) does not match service account {kind} ref claim "
                f"({reference['uid']})"
            )

    def _is_leaving(self, obj: Object) -> bool:
        return is_leaving(obj, self._clock)


def is_leaving(obj: Object, clock: Clock) -> bool:
    """Marked for deletion for longer than the leeway."""
    at = obj["metadata"].get("deletionTimestamp")
    return at is not None and parse_time(at) < clock.now() - DELETION_LEEWAY


def _check_claims(claims: Object) -> Object | None:
    """Claims in the shape that the rest of this module relies on, or None."""
    private = claims.get(PRIVATE_CLAIMS)
    if not isinstance(private, dict) or not isinstance(claims.get("exp"), int | float):
        return None
    account = private.get("serviceaccount")
    if not isinstance(account, dict) or not isinstance(private.get("namespace"), str):
        return None
    references = [account, *(private[kind] for kind in ("pod", "secret", "node") if kind in private)]
    if not all(isinstance(r, dict) and isinstance(r.get("name"), str) and "uid" in r for r in references):
        return None
    if claims.get("sub") != service_account_username(private["namespace"], account["name"]):
        return None
    audiences = claims.get("aud") or []
    claims["aud"] = [audiences] if isinstance(audiences, str) else audiences
    return claims


def _user(claims: Object) -> User:
    private = claims[PRIVATE_CLAIMS]
    account = private["serviceaccount"]
    extra: dict[str, tuple[str, ...]] = {}
    if claims.get("jti"):
        extra[f"{EXTRA_PREFIX}credential-id"] = (f"JTI={claims['jti']}",)
    for kind in ("node", "pod"):
        if kind in private:
            extra[f"{EXTRA_PREFIX}{kind}-name"] = (private[kind]["name"],)
            if private[kind]["uid"]:
                extra[f"{EXTRA_PREFIX}{kind}-uid"] = (private[kind]["uid"],)
    return User(
        service_account_username(private["namespace"], account["name"]),
        account["uid"],
        service_account_groups(private["namespace"]),
        extra,
    )


def _reference(obj: Object) -> Object:
    return {"name": obj["metadata"]["name"], "uid": obj["metadata"]["uid"]}

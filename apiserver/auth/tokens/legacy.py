"""Tokens that live in Secrets of type service-account-token: they have no end and no audience of their own.

What revokes one is the deletion of its Secret (or a change of what is in it), or of its account.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence
from typing import Any

from apiserver.auth.interface import User
from apiserver.auth.tokens.interface import TokenError, TokenResult, common_audiences
from apiserver.auth.tokens.service_account import MAX_VERIFIED, is_leaving
from apiserver.auth.tokens.signing import VerifyingKey, verified_claims
from apiserver.auth.users import service_account_groups, service_account_username
from apiserver.registry.interface import ObjectReader
from machinery.runtime.clock import Clock

Object = dict[str, Any]

ISSUER = "kubernetes/serviceaccount"
CLAIM_PREFIX = "kubernetes.io/serviceaccount/"
INVALID_SINCE_LABEL = "kubernetes.io/legacy-token-invalid-since"


class LegacyServiceAccountTokens:
    def __init__(
        self, keys: Sequence[VerifyingKey], reader: ObjectReader, clock: Clock, api_audiences: Sequence[str]
    ) -> None:
        self._keys = tuple(keys)
        self._reader, self._clock = reader, clock
        self._api_audiences = tuple(api_audiences)
        self._verified: dict[str, tuple[Object, User]] = {}

    def authenticate_token(self, token: str, audiences: Sequence[str]) -> TokenResult | None:
        known = self._verified.get(token)
        if known is None:
            claims = verified_claims(token, (ISSUER,), self._keys)
            if claims is None:
                return None
            known = (claims, _user(claims))
            if len(self._verified) >= MAX_VERIFIED:
                self._verified.clear()
            self._verified[token] = known
        claims, user = known
        common = common_audiences(audiences, self._api_audiences)
        if not common:
            return None
        self._check_objects(token, claims)
        return TokenResult(user, common)

    def _check_objects(self, token: str, claims: Object) -> None:
        namespace = claims[f"{CLAIM_PREFIX}namespace"]
        secret = self._reader.get("", "secrets", namespace, claims[f"{CLAIM_PREFIX}secret.name"])
        if secret is None or is_leaving(secret, self._clock):
            raise TokenError("Token has been invalidated")
        if not hmac.compare_digest(_stored_token(secret), token.encode()):
            raise TokenError("Token does not match server's copy")
        if INVALID_SINCE_LABEL in (secret["metadata"].get("labels") or {}):
            raise TokenError(f"the token in secret {namespace}/{secret['metadata']['name']} has been marked invalid")
        name, uid = (claims[f"{CLAIM_PREFIX}service-account.{field}"] for field in ("name", "uid"))
        account = self._reader.get("", "serviceaccounts", namespace, name)
        if account is None:
            raise TokenError(f'serviceaccounts "{name}" not found')
        if is_leaving(account, self._clock):
            raise TokenError(f"ServiceAccount {namespace}/{name} has been deleted")
        if account["metadata"]["uid"] != uid:
            raise TokenError(f"ServiceAccount UID ({account['metadata']['uid']}) does not match claim ({uid})")


def _user(claims: Object) -> User:
    values = {}
    for field in ("namespace", "secret.name", "service-account.name", "service-account.uid"):
        value = claims.get(CLAIM_PREFIX + field)
        if not isinstance(value, str) or not value:
            raise TokenError(f"{field} claim is missing")
        values[field] = value
    namespace = values["namespace"]
    username = service_account_username(namespace, values["service-account.name"])
    if claims.get("sub") != username:
        raise TokenError("sub claim is invalid")
    return User(username, values["service-account.uid"], service_account_groups(namespace))


def _stored_token(secret: Object) -> bytes:
    try:
        return base64.b64decode((secret.get("data") or {}).get("token") or "")
    except binascii.Error:
        return b""

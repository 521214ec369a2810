"""Bootstrap tokens: Secrets of kube-system with which a machine that is not a node yet may ask to become one.

A Secret that is wrong in any way (name, id, usage, expiration, one group) is no token at all; to the bearer there is no
difference between that and a token that never was.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Sequence
from typing import Any

from apiserver.auth.interface import User
from apiserver.auth.tokens.interface import TokenResult, common_audiences
from apiserver.registry.interface import ObjectReader
from machinery.meta.objects import parse_time
from machinery.runtime.clock import Clock

SECRET_TYPE = "bootstrap.kubernetes.io/token"
SECRET_PREFIX = "bootstrap-token-"
DEFAULT_GROUP = "system:bootstrappers"
USER_PREFIX = "system:bootstrap:"

TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_EXTRA_GROUP = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")


class BootstrapTokens:
    def __init__(self, reader: ObjectReader, clock: Clock, api_audiences: Sequence[str]) -> None:
        self._reader, self._clock = reader, clock
        self._api_audiences = tuple(api_audiences)

    def authenticate_token(self, token: str, audiences: Sequence[str]) -> TokenResult | None:
        match = TOKEN.fullmatch(token)
        common = common_audiences(audiences, self._api_audiences)
        if match is None or not common:
            return None
        token_id, token_secret = match.groups()
        secret = self._reader.get("", "secrets", "kube-system", SECRET_PREFIX + token_id)
        if secret is None or secret["metadata"].get("deletionTimestamp") or secret.get("type") != SECRET_TYPE:
            return None
        data = decode_data(secret)
        stored = data.get("token-secret", "").encode()
        if data.get("token-id") != token_id or not hmac.compare_digest(stored, token_secret.encode()):
            return None
        if data.get("usage-bootstrap-authentication") != "true" or self._has_expired(data.get("expiration", "")):
            return None
        groups = parse_groups(data.get("auth-extra-groups", ""))
        if groups is None:
            return None
        return TokenResult(User(USER_PREFIX + token_id, groups=groups), common)

    def _has_expired(self, expiration: str) -> bool:
        if not expiration:
            return False
        try:
            return parse_time(expiration) <= self._clock.now()
        except ValueError:
            return True  # a time that cannot be read has passed


def parse_groups(text: str) -> tuple[str, ...] | None:
    """Sorted, with the group of all bootstrappers; None when one of them may not be given by a token."""
    extra = [group for group in text.split(",") if group]
    if not all(_EXTRA_GROUP.fullmatch(group) for group in extra):
        return None
    return tuple(sorted({DEFAULT_GROUP, *extra}))


def decode_data(secret: dict[str, Any]) -> dict[str, str]:
    decoded = {}
    for key, value in (secret.get("data") or {}).items():
        try:
            decoded[key] = base64.b64decode(value).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue
    return decoded

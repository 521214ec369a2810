"""What lets others verify our service-account tokens without asking us: the issuer's document and its keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apiserver.auth.tokens.signing import VerifyingKey

CONFIGURATION_PATH = "/.well-known/openid-configuration"
KEYS_PATH = "/openid/v1/jwks"
KEYS_MEDIA_TYPE = "application/jwk-set+json"


def openid_configuration(issuer: str, keys_uri: str, keys: Sequence[VerifyingKey]) -> dict[str, Any]:
    return {
        "issuer": issuer,
        "jwks_uri": keys_uri,
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": sorted({key.algorithm for key in keys}),
    }


def key_set(keys: Sequence[VerifyingKey]) -> dict[str, Any]:
    return {"keys": [key.jwk() for key in keys]}

"""The service-account keys: one signs, all of them verify (the next key is announced before it signs)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from apiserver.auth.tokens.interface import TokenError

_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


class VerifyingKey:
    def __init__(self, public: PublicKeyTypes) -> None:
        self.public = public
        self.algorithm = _algorithm(public)
        self.key_id = key_id(public)

    def jwk(self) -> dict[str, Any]:
        if isinstance(self.public, rsa.RSAPublicKey):
            fields = RSAAlgorithm.to_jwk(self.public, as_dict=True)
        elif isinstance(self.public, ec.EllipticCurvePublicKey):
            fields = ECAlgorithm.to_jwk(self.public, as_dict=True)
        else:
            raise ValueError("unsupported key")
        fields.pop("key_ops", None)
        return {"use": "sig", "kty": fields.pop("kty"), "kid": self.key_id, "alg": self.algorithm, **fields}


class SigningKey:
    def __init__(self, private_pem: bytes) -> None:
        key = serialization.load_pem_private_key(private_pem, password=None)
        if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            raise ValueError(f"a key of type {type(key).__name__} cannot sign service account tokens")
        self._private = key
        self.verifying = VerifyingKey(key.public_key())

    def sign(self, claims: dict[str, Any]) -> str:
        return jwt.encode(
            claims,
            self._private,
            algorithm=self.verifying.algorithm,
            headers={"kid": self.verifying.key_id, "typ": None},
        )


def load_verifying_keys(pems: Iterable[bytes]) -> list[VerifyingKey]:
    """From public keys, or private ones (their public half)."""
    keys = []
    for pem in pems:
        if b"PRIVATE KEY" in pem:
            keys.append(SigningKey(pem).verifying)
        else:
            keys.append(VerifyingKey(serialization.load_pem_public_key(pem)))
    return keys


def verified_claims(token: str, issuers: Collection[str], keys: Sequence[VerifyingKey]) -> dict[str, Any] | None:
    """The claims of a token that one of our keys signed; None for what does not even claim to be ours.

    Times and audiences are for the caller to check. Raises :class:`TokenError` for a forged token of ours.
    """
    if token.count(".") != 2:
        return None
    try:
        if jwt.decode(token, options={"verify_signature": False}).get("iss") not in issuers:
            return None
        named = jwt.get_unverified_header(token).get("kid")
        # The algorithm is the key's, never the one that the token asks for.
        for key in [key for key in keys if key.key_id == named] or keys:
            try:
                claims: dict[str, Any] = jwt.decode(
                    token,
                    key.public,  # type: ignore[arg-type]
                    algorithms=[key.algorithm],
                    options={"verify_aud": False, "verify_exp": False, "verify_nbf": False, "verify_iat": False},
                )
            except jwt.InvalidSignatureError:
                continue
            return claims
    except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError):
        return None
    raise TokenError("invalid signature")


def key_id(public: PublicKeyTypes) -> str:
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()


def _algorithm(public: PublicKeyTypes) -> str:
    if isinstance(public, rsa.RSAPublicKey):
        return "RS256"
    if isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in _CURVES:
        return _CURVES[public.curve.name]
    raise ValueError(f"a key of type {type(public).__name__} cannot verify service account tokens")

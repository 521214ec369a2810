"""Client certificates: the common name is the user, the organizations are the groups.

The TLS layer has checked that the certificate chains to an authority that the server knows; there are two of them, and
which one it was decides whether the bearer is a user (client authority) or a proxy that speaks for users (front-proxy
authority). The answer is remembered by the certificate's bytes: a connection asks it on every request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import unquote

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from apiserver.auth.interface import Credentials, User
from machinery.meta.errors import unauthorized
from machinery.pki.rotation import is_signed_by
from machinery.runtime.clock import Clock

UID_ATTRIBUTE = x509.ObjectIdentifier("1.3.6.1.4.1.57683.2")
CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"
MAX_REMEMBERED = 5_000


class _Known:
    """A certificate that was looked at before; ``user`` is None when another authority signed it."""

    __slots__ = ("common_name", "not_after", "not_before", "user")

    def __init__(self, der: bytes, authorities: Sequence[x509.Certificate]) -> None:
        certificate = x509.load_der_x509_certificate(der)
        self.not_before, self.not_after = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        trusted = _may_be_client(certificate) and any(is_signed_by(certificate, ca) for ca in authorities)
        self.common_name = _values(certificate, NameOID.COMMON_NAME)[:1]
        self.user = _user(certificate, der) if trusted and self.common_name else None

    def is_valid(self, now: datetime) -> bool:
        return self.not_before <= now < self.not_after


class CertificateAuthenticator:
    def __init__(self, authorities: Sequence[x509.Certificate], clock: Clock) -> None:
        self._authorities, self._clock = authorities, clock
        self._known: dict[bytes, _Known] = {}

    def authenticate(self, credentials: Credentials) -> User | None:
        der = credentials.client_certificate_der
        if der is None:
            return None
        known = self.known(der)
        if known.user is None:
            return None
        if not known.is_valid(self._clock.now()):
            raise unauthorized()
        return known.user

    def known(self, der: bytes) -> _Known:
        known = self._known.get(der)
        if known is None:
            if len(self._known) >= MAX_REMEMBERED:
                self._known.clear()
            known = self._known[der] = _Known(der, self._authorities)
        return known


class FrontProxyAuthenticator:
    """Believes the headers of a proxy that shows a certificate of the front-proxy authority with an allowed name."""

    def __init__(self, authorities: Sequence[x509.Certificate], allowed_names: Sequence[str], clock: Clock) -> None:
        self._certificates = CertificateAuthenticator(authorities, clock)
        self._allowed_names = frozenset(allowed_names)
        self._clock = clock

    def authenticate(self, credentials: Credentials) -> User | None:
        der = credentials.client_certificate_der
        name = credentials.headers.get("X-Remote-User")
        if der is None or not name:
            return None
        known = self._certificates.known(der)
        if known.user is None or not known.is_valid(self._clock.now()):
            return None
        if self._allowed_names and known.user.name not in self._allowed_names:
            return None
        return User(
            name,
            credentials.headers.get("X-Remote-Uid", ""),
            tuple(header_values(credentials.headers, "X-Remote-Group")),
            extra_headers(credentials.headers, "X-Remote-Extra-"),
        )


def header_values(headers: Mapping[str, str], name: str) -> list[str]:
    """Every value of a header that may be repeated (a plain mapping holds one)."""
    getall = getattr(headers, "getall", None)
    if getall is not None:
        return list(getall(name, ()))
    return [headers[name]] if name in headers else []


def extra_headers(headers: Mapping[str, str], prefix: str) -> dict[str, tuple[str, ...]]:
    """The extra fields of a user: ``<prefix><key, percent-encoded>: value``; keys are in lower case."""
    extra: dict[str, tuple[str, ...]] = {}
    for name, value in headers.items():
        if name.lower().startswith(prefix.lower()):
            key = unquote(name[len(prefix) :]).lower()
            extra[key] = (*extra.get(key, ()), value)
    return extra


def _user(certificate: x509.Certificate, der: bytes) -> User:
    uids = _values(certificate, UID_ATTRIBUTE)
    return User(
        _values(certificate, NameOID.COMMON_NAME)[0],
        uids[0] if uids else "",
        tuple(_values(certificate, NameOID.ORGANIZATION_NAME)),
        {CREDENTIAL_ID: (f"X509SHA256={hashlib.sha256(der).hexdigest()}",)},
    )


def _values(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> list[str]:
    return [str(attribute.value) for attribute in certificate.subject.get_attributes_for_oid(oid)]


def _may_be_client(certificate: x509.Certificate) -> bool:
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return ExtendedKeyUsageOID.CLIENT_AUTH in usages or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usages

"""When a certificate is due for renewal: pure, so that a daemon and a start-up check agree.

Two thirds of the lifetime leave a third for the renewal to be retried, whatever the lifetime is: a year's certificate
has four months, an hour's twenty minutes.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import datetime

from cryptography import x509


def renew_at(certificate: x509.Certificate) -> datetime:
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return start + (end - start) * 2 / 3


def needs_renewal(certificate: x509.Certificate, now: datetime) -> bool:
    return now >= renew_at(certificate)


def is_expired(certificate: x509.Certificate, now: datetime) -> bool:
    return now >= certificate.not_valid_after_utc


def covers(certificate: x509.Certificate, dns_names: Iterable[str], addresses: Iterable[str]) -> bool:
    """Whether a serving certificate names everything it must: it is reissued when the machine got a new address."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return not list(dns_names) and not list(addresses)
    have_addresses = set(names.get_values_for_type(x509.IPAddress))
    return (
        set(dns_names) <= set(names.get_values_for_type(x509.DNSName))
        and {ipaddress.ip_address(address) for address in addresses} <= have_addresses
    )


def is_signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except Exception:  # every failure (issuer, signature, algorithm) has its own type and all mean no
        return False
    return True

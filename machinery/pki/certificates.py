"""Authorities, leaf certificates and signing requests, pure over ``cryptography``: time is an argument.

Keys are EC P-256: generating one costs microseconds, a handshake with it less than a tenth of RSA. Only the
service-account key is RSA (see ``machinery.pki.cluster``), because its algorithm is visible in the issuer's discovery
document.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_LIFETIME = timedelta(days=3650)
LEAF_LIFETIME = timedelta(days=365)
# A leaf is valid from a little before its issue, so that a peer whose clock runs behind accepts it at once.
BACKDATE = timedelta(minutes=5)

SERVER_AUTH = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its private key, both as PEM."""

    certificate_pem: bytes
    key_pem: bytes

    def certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate_pem)


@dataclass(frozen=True)
class Authority:
    """A certificate with the key that signs others."""

    certificate: x509.Certificate
    key: CertificateIssuerPrivateKeyTypes

    @classmethod
    def from_pair(cls, pair: KeyPair) -> Authority:
        key = serialization.load_pem_private_key(pair.key_pem, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise ValueError(f"a key of type {type(key).__name__} cannot sign certificates")
        return cls(pair.certificate(), key)

    def pair(self) -> KeyPair:
        return KeyPair(certificate_to_pem(self.certificate), key_to_pem(self.key))


def create_authority(common_name: str, now: datetime, lifetime: timedelta = CA_LIFETIME) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(common_name, ())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage(signing=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_alternative_names([common_name], ()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def issue(
    authority: Authority,
    common_name: str,
    now: datetime,
    *,
    organizations: Sequence[str] = (),
    dns_names: Iterable[str] = (),
    addresses: Iterable[str] = (),
    usages: Sequence[x509.ObjectIdentifier] = (CLIENT_AUTH,),
    lifetime: timedelta = LEAF_LIFETIME,
) -> KeyPair:
    """A new key and its certificate: for a client (common name is the user, organizations the groups) or a server."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = _alternative_names(dns_names, addresses)
    certificate = _sign(
        authority,
        _name(common_name, organizations),
        key.public_key(),
        now,
        lifetime,
        usages,
        names if list(names) else None,
    )
    return KeyPair(certificate_to_pem(certificate), key_to_pem(key))


def create_csr(
    common_name: str,
    *,
    organizations: Sequence[str] = (),
    dns_names: Iterable[str] = (),
    addresses: Iterable[str] = (),
    key_pem: bytes | None = None,
) -> tuple[bytes, bytes]:
    """(request PEM, key PEM). An existing key is used when given: a rotation may keep it."""
    key = ec.generate_private_key(ec.SECP256R1()) if key_pem is None else _load_key(key_pem)
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name(common_name, organizations))
    names = _alternative_names(dns_names, addresses)
    if list(names):
        builder = builder.add_extension(names, critical=False)
    request = builder.sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM), key_to_pem(key)


def sign_csr(
    authority: Authority,
    csr_pem: bytes,
    now: datetime,
    *,
    usages: Sequence[x509.ObjectIdentifier] = (CLIENT_AUTH,),
    lifetime: timedelta = LEAF_LIFETIME,
) -> bytes:
    """Sign the subject and alternative names of a request; the usages are the signer's decision, not the request's."""
    request = x509.load_pem_x509_csr(csr_pem)
    if not request.is_signature_valid:
        raise ValueError("the request is not signed by its own key")
    try:
        names: x509.SubjectAlternativeName | None = request.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value
    except x509.ExtensionNotFound:
        names = None
    public_key = request.public_key()
    if not isinstance(public_key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise ValueError(f"a key of type {type(public_key).__name__} is not accepted")
    return certificate_to_pem(_sign(authority, request.subject, public_key, now, lifetime, usages, names))


def certificate_to_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_to_pem(key: CertificateIssuerPrivateKeyTypes) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _load_key(pem: bytes) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise ValueError(f"a key of type {type(key).__name__} is not accepted")
    return key


def _sign(
    authority: Authority,
    subject: x509.Name,
    public_key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    now: datetime,
    lifetime: timedelta,
    usages: Sequence[x509.ObjectIdentifier],
    names: x509.SubjectAlternativeName | None,
) -> x509.Certificate:
    # No certificate outlives the one that signed it.
    not_after = min(now + lifetime, authority.certificate.not_valid_after_utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(authority.certificate.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signing=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(_authority_key_identifier(authority.certificate), critical=False)
    )
    if names is not None:
        builder = builder.add_extension(names, critical=False)
    return builder.sign(authority.key, hashes.SHA256())


def _authority_key_identifier(certificate: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        own = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)
    except x509.ExtensionNotFound:
        key = certificate.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
            raise ValueError(f"an authority with a key of type {type(key).__name__} is not accepted") from None
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)


def _name(common_name: str, organizations: Sequence[str]) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization) for organization in organizations]
    attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    return x509.Name(attributes)


def _alternative_names(dns_names: Iterable[str], addresses: Iterable[str]) -> x509.SubjectAlternativeName:
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in dict.fromkeys(dns_names)]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in dict.fromkeys(addresses)]
    return x509.SubjectAlternativeName(names)


def _key_usage(*, signing: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=True,
        key_cert_sign=signing,
        crl_sign=False,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )

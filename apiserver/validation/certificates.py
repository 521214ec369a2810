"""Certificate signing requests."""

from __future__ import annotations

import base64
import re

from apiserver.validation.field import Errors, Object
from apiserver.validation.objectmeta import validate_metadata, validate_metadata_update
from apiserver.validation.rules import Rules
from machinery.meta import names

_GROUP = "certificates.k8s.io"
_NOT_PEM = "PEM block type must be CERTIFICATE REQUEST"
_USAGES = (
    "any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment",
    "decipher only", "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel",
    "ipsec user", "key agreement", "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime",
    "server auth", "signing", "timestamping")
_PEM_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s(.*?)-----END \1-----", re.DOTALL)
_SIGNER_FORM = "must be a fully qualified domain and path of the form 'example.com/signer-name'"


def _quote(text: str) -> str:
    return f'"{text}"'


def create(errors: Errors, request: Object) -> None:
    spec = request.get("spec") or {}
    validate_metadata(errors, request, False, lambda value, prefix: [])
    _request(errors, spec.get("request"))
    usages = spec.get("usages") or []
    if not usages:
        errors.required("spec.usages")
    seen: set[str] = set()
    for i, usage in enumerate(usages):
        if usage not in _USAGES:
            errors.not_supported(f"spec.usages[{i}]", usage, _USAGES)
        if usage in seen:
            errors.duplicate(f"spec.usages[{i}]", usage)
        seen.add(usage)
    signer = spec.get("signerName") or ""
    if signer == "kubernetes.io/legacy-unknown":
        errors.invalid("spec.signerName", signer, "the legacy signerName is not allowed via this API version")
    else:
        _signer(errors, "spec.signerName", signer)
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < 600:
        why = "may not specify a duration less than 600 seconds (10 minutes)"
        errors.invalid("spec.expirationSeconds", seconds, why)


def _request(errors: Errors, text: str | None) -> None:
    """A PEM block with a request in it, signed by its own key."""
    from cryptography import x509

    try:
        data = base64.b64decode(text or "")
        if b"-----BEGIN CERTIFICATE REQUEST-----" not in data:
            errors.invalid("spec.request", text, _NOT_PEM)
            return
        parsed = x509.load_pem_x509_csr(data)
        if not parsed.is_signature_valid:
            why = "x509: invalid signature: parent certificate cannot sign this kind of certificate"
            errors.invalid("spec.request", text, why)
    except (ValueError, TypeError) as error:
        errors.invalid("spec.request", text, f"asn1: structure error: {error}")


def _signer(errors: Errors, path: str, signer: str) -> None:
    if not signer:
        errors.required(path)
        return
    parts = signer.split("/")
    if len(parts) != 2:
        errors.invalid(path, signer, _SIGNER_FORM)
        return
    domain, name = parts
    if "." not in domain:
        errors.invalid(path, domain, "should be a domain with at least two segments separated by dots")
    for label in domain.split("."):
        whys = names.dns1123_label(label)
        errors.invalid_all(path, domain, [f"validating label {_quote(label)}: {why}" for why in whys])
    for label in name.split("."):
        whys = names.dns1123_subdomain(label)
        errors.invalid_all(path, name, [f"validating label {_quote(label)}: {why}" for why in whys])
    if len(signer) > 571:
        errors.too_long(path, 571)


def update(errors: Errors, request: Object, old: Object, subresource: str) -> None:
    create(errors, request)
    validate_metadata_update(errors, request, old)
    _conditions(errors, request, old, subresource)


def _conditions(errors: Errors, request: Object, old: Object, subresource: str) -> None:
    conditions = (request.get("status") or {}).get("conditions") or []
    before = (old.get("status") or {}).get("conditions") or []
    seen: dict[str, int] = {}
    for i, condition in enumerate(conditions):
        where, kind, status = f"status.conditions[{i}]", condition.get("type") or "", condition.get("status") or ""
        if not kind:
            errors.required(where + ".type")
        if kind in ("Approved", "Denied", "Failed"):
            if not status:
                errors.required(where + ".status")
            elif status != "True":
                errors.not_supported(where + ".status", status, ("True",))
        elif not status:
            errors.required(where + ".status")
        elif status not in ("True", "False", "Unknown"):
            errors.not_supported(where + ".status", status, ("True", "False", "Unknown"))
        if kind in seen:
            errors.duplicate(where + ".type", kind)
        seen[kind] = i
    if "Approved" in seen and "Denied" in seen:
        errors.invalid("status.conditions", "Denied", "Approved and Denied conditions are mutually exclusive")
    allowed_to_change = subresource == "approval"
    for kind in ("Approved", "Denied"):
        was = [c for c in before if c.get("type") == kind]
        now = [c for c in conditions if c.get("type") == kind]
        if was and not now:
            errors.forbidden("status.conditions", f"updates may not remove a condition of type \"{kind}\"")
        elif now and not was and not allowed_to_change:
            errors.forbidden("status.conditions", f"updates may not add a condition of type \"{kind}\"")
        elif was and now and was != now and not allowed_to_change:
            errors.forbidden("status.conditions", f"updates may not modify a condition of type \"{kind}\"")
    was_issued, issued = (old.get("status") or {}).get("certificate"), (request.get("status") or {}).get("certificate")
    if subresource == "status" and was_issued and issued != was_issued:
        errors.forbidden("status.certificate", "updates may not modify existing certificate content")
    elif issued and issued != was_issued and (why := certificate_problem(issued)):
        errors.invalid("status.certificate", "<certificate data>", why)


def certificate_problem(encoded: str) -> str | None:
    """What is wrong with an issued certificate: PEM blocks of certificates and nothing else, each a certificate."""
    from cryptography import x509

    try:
        data = base64.b64decode(encoded)
    except ValueError:
        data = b""
    blocks = list(_PEM_BLOCK.finditer(data))
    if not blocks:
        return "must contain at least one CERTIFICATE PEM block"
    for block in blocks:
        kind, body = block.group(1).decode(), b"".join(block.group(2).split())
        if kind != "CERTIFICATE":
            return f'only CERTIFICATE PEM blocks are allowed, found "{kind}"'
        if not body:
            return "found CERTIFICATE PEM block containing 0 certificates"
        try:
            x509.load_der_x509_certificate(base64.b64decode(body))
        except ValueError:
            return "x509: malformed certificate"
    return None


RULES = {(_GROUP, "CertificateSigningRequest"): Rules(create, update)}

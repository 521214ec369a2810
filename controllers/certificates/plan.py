"""Certificate signing requests: approved without a human, refused by a signer, or thrown away. Pure.

The kubelet signers hand out identities of nodes, so a request must name exactly a node and nothing else; the texts of
the refusals are upstream's.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from machinery.meta.conditions import get_condition
from machinery.meta.objects import parse_time

Object = dict[str, Any]

CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
LEGACY = "kubernetes.io/legacy-unknown"
SIGNERS = (CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY)

CLIENT_USAGES = ({"digital signature", "client auth"}, {"digital signature", "key encipherment", "client auth"})
SERVING_USAGES = ({"digital signature", "server auth"}, {"digital signature", "key encipherment", "server auth"})
EXTENDED_USAGES = {
    "client auth": ExtendedKeyUsageOID.CLIENT_AUTH, "server auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "code signing": ExtendedKeyUsageOID.CODE_SIGNING, "email protection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "timestamping": ExtendedKeyUsageOID.TIME_STAMPING, "ocsp signing": ExtendedKeyUsageOID.OCSP_SIGNING,
    "any": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
}  # fmt: skip

MIN_SECONDS = 600.0
APPROVED_LIFETIME = timedelta(hours=1)
DENIED_LIFETIME = timedelta(hours=1)
PENDING_LIFETIME = timedelta(hours=24)


@dataclass(frozen=True)
class Subject:
    common_name: str
    organizations: tuple[str, ...]
    dns_names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()


def parse_request(pem: bytes) -> Subject:
    """Raises ValueError when it is no request."""
    request = x509.load_pem_x509_csr(pem)

    def names(oid: x509.ObjectIdentifier) -> tuple[str, ...]:
        return tuple(str(item.value) for item in request.subject.get_attributes_for_oid(oid))

    common = names(NameOID.COMMON_NAME)
    subject = Subject(common[0] if common else "", names(NameOID.ORGANIZATION_NAME))
    try:
        alternative = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return subject
    return Subject(
        subject.common_name, subject.organizations,
        tuple(alternative.get_values_for_type(x509.DNSName)),
        tuple(str(ip) for ip in alternative.get_values_for_type(x509.IPAddress)),
        tuple(alternative.get_values_for_type(x509.RFC822Name)),
        tuple(alternative.get_values_for_type(x509.UniformResourceIdentifier)),
    )  # fmt: skip


def request_bytes(csr: Object) -> bytes:
    return base64.b64decode(csr["spec"]["request"])


def condition_of(csr: Object, type_: str) -> Object | None:
    return get_condition((csr.get("status") or {}).get("conditions"), type_)


def is_undecided(csr: Object) -> bool:
    return condition_of(csr, "Approved") is None and condition_of(csr, "Denied") is None


def awaits_signature(csr: Object) -> bool:
    return (
        condition_of(csr, "Approved") is not None and condition_of(csr, "Denied") is None
        and condition_of(csr, "Failed") is None and not (csr.get("status") or {}).get("certificate")
        and csr["spec"].get("signerName") in SIGNERS
    )  # fmt: skip


def _node_identity_error(subject: Subject) -> str | None:
    if subject.organizations != ("system:nodes",):
        return "subject organization is not system:nodes"
    if not subject.common_name.startswith("system:node:"):
        return "subject common name does not begin with system:node:"
    return None


def kubelet_client_error(subject: Subject, usages: set[str]) -> str | None:
    if (error := _node_identity_error(subject)) is not None:
        return error
    for present, name in (
        (subject.dns_names, "DNS"), (subject.emails, "Email"), (subject.addresses, "IP"), (subject.uris, "URI"),
    ):  # fmt: skip
        if present:
            return f"{name} subjectAltNames are not allowed"
    return None if usages in CLIENT_USAGES else _usages_error(CLIENT_USAGES[1])


def kubelet_serving_error(subject: Subject, usages: set[str]) -> str | None:
    if (error := _node_identity_error(subject)) is not None:
        return error
    if not subject.dns_names and not subject.addresses:
        return "DNS or IP subjectAltName is required"
    for present, name in ((subject.emails, "Email"), (subject.uris, "URI")):
        if present:
            return f"{name} subjectAltNames are not allowed"
    return None if usages in SERVING_USAGES else _usages_error(SERVING_USAGES[1])


def _usages_error(wanted: set[str]) -> str:
    return f"usages did not match {sorted(wanted)}".replace("'", "").replace(",", "")


def signer_error(csr: Object, subject: Subject) -> str | None:
    """Why the signer refuses an approved request; None: it signs."""
    usages, signer = set(csr["spec"].get("usages") or ()), csr["spec"]["signerName"]
    if signer == KUBELET_CLIENT:
        return kubelet_client_error(subject, usages)
    if signer == KUBELET_SERVING:
        return kubelet_serving_error(subject, usages)
    if signer == CLIENT:
        allowed = {"digital signature", "key encipherment", "client auth"}
        if not usages <= allowed or "client auth" not in usages:
            return _usages_error(allowed)
    return None


def automatic_permission(csr: Object, subject: Subject) -> tuple[str, str] | None:
    """(the right that the requestor must have, the message of the approval) for kubelet client certificates."""
    usages = set(csr["spec"].get("usages") or ())
    if csr["spec"].get("signerName") != KUBELET_CLIENT or kubelet_client_error(subject, usages) is not None:
        return None
    if csr["spec"].get("username") == subject.common_name:
        return "selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview."
    return "nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview."


def serving_approval(csr: Object, subject: Subject, node: Object | None) -> bool | None:
    """Whether a node asks for a serving certificate of its own addresses; None: not known yet, ask again.

    A node vouches for itself only: the requestor must be the node it names, and every name and address must be one
    that its Node object reports.
    """
    usages = set(csr["spec"].get("usages") or ())
    if csr["spec"].get("signerName") != KUBELET_SERVING or kubelet_serving_error(subject, usages) is not None:
        return False
    if csr["spec"].get("username") != subject.common_name or "system:nodes" not in (csr["spec"].get("groups") or ()):
        return False
    addresses = (node or {}).get("status", {}).get("addresses") or ()
    if node is None or not addresses:
        return None
    known = {item["address"] for item in addresses} | {node["metadata"]["name"]}
    return {*subject.dns_names, *subject.addresses} <= known


def lifetime(csr: Object, limit_seconds: float) -> timedelta:
    wanted = csr["spec"].get("expirationSeconds")
    seconds = limit_seconds if wanted is None else min(float(wanted), limit_seconds)
    return timedelta(seconds=max(seconds, MIN_SECONDS))


def extended_usages(csr: Object) -> list[x509.ObjectIdentifier]:
    return [EXTENDED_USAGES[usage] for usage in csr["spec"].get("usages") or () if usage in EXTENDED_USAGES]


def is_obsolete(csr: Object, now: datetime) -> bool:
    """Old enough to be thrown away: decided an hour ago, a day without a decision, or its certificate has expired."""
    created = parse_time(csr["metadata"]["creationTimestamp"])
    status = csr.get("status") or {}
    if status.get("certificate"):
        try:
            certificate = x509.load_pem_x509_certificate(base64.b64decode(status["certificate"]))
        except ValueError:
            return False
        if certificate.not_valid_after_utc < now:
            return True
    for type_, limit in (("Approved", APPROVED_LIFETIME), ("Denied", DENIED_LIFETIME), ("Failed", DENIED_LIFETIME)):
        condition = condition_of(csr, type_)
        if condition is not None:
            since = parse_time(condition.get("lastUpdateTime") or csr["metadata"]["creationTimestamp"])
            if now - since > limit and (type_ != "Approved" or status.get("certificate")):
                return True
    return is_undecided(csr) and now - created > PENDING_LIFETIME

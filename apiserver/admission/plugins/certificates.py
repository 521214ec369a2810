"""Certificate requests: who may approve and sign for which signer, and what none of them may be asked for."""

from __future__ import annotations

import base64
import binascii

from cryptography import x509
from cryptography.x509.oid import NameOID

from apiserver.admission.interface import AdmissionRequest
from apiserver.admission.plugin import Object, Plugin, refuse
from apiserver.auth.interface import SYSTEM_MASTERS, Attributes, Authorizer, User
from apiserver.auth.text import quote

GROUP = "certificates.k8s.io"
REQUESTS = (GROUP, "certificatesigningrequests")
API_SERVER_CLIENT = "kubernetes.io/kube-apiserver-client"


class CertificateApproval(Plugin):
    name = "CertificateApproval"
    resources = frozenset({REQUESTS})
    operations = frozenset({"UPDATE"})
    subresources = frozenset({"approval"})

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def validate(self, request: AdmissionRequest) -> None:
        signer = _signer(request)
        if not may_act_for_signer(self._authorizer, request.user, "approve", signer):
            raise refuse(request, f"user not permitted to approve requests with signerName {quote(signer)}")


class CertificateSigning(Plugin):
    name = "CertificateSigning"
    resources = frozenset({REQUESTS})
    operations = frozenset({"UPDATE"})
    subresources = frozenset({"status"})

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def validate(self, request: AdmissionRequest) -> None:
        status, old = ((obj or {}).get("status") or {} for obj in (request.obj, request.old))
        if all(status.get(field) == old.get(field) for field in ("certificate", "conditions")):
            return  # only someone else's annotations or the like
        signer = _signer(request)
        if not may_act_for_signer(self._authorizer, request.user, "sign", signer):
            raise refuse(request, f"user not permitted to sign requests with signerName {quote(signer)}")


class CertificateSubjectRestriction(Plugin):
    """No certificate of the API server's client signer makes anyone a member of system:masters."""

    name = "CertificateSubjectRestriction"
    resources = frozenset({REQUESTS})

    async def validate(self, request: AdmissionRequest) -> None:
        spec = (request.obj or {}).get("spec") or {}
        if spec.get("signerName") != API_SERVER_CLIENT:
            return
        try:
            subject = parse_request(spec.get("request") or "").subject
        except ValueError as error:
            raise refuse(request, f"failed to parse CSR: {error}") from error
        if SYSTEM_MASTERS in (item.value for item in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)):
            raise refuse(request, f"use of {API_SERVER_CLIENT} signer with {SYSTEM_MASTERS} group is not allowed")


class ClusterTrustBundleAttest(Plugin):
    name = "ClusterTrustBundleAttest"
    resources = frozenset({(GROUP, "clustertrustbundles")})
    operations = frozenset({"CREATE", "UPDATE"})

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def validate(self, request: AdmissionRequest) -> None:
        signers = {((obj or {}).get("spec") or {}).get("signerName") or "" for obj in (request.obj, request.old)}
        for signer in sorted(signers - {""}):
            if not may_act_for_signer(self._authorizer, request.user, "attest", signer):
                raise refuse(request, f"user not permitted to attest for signerName {quote(signer)}")


def may_act_for_signer(authorizer: Authorizer, user: User, verb: str, signer: str) -> bool:
    """By the signer's full name, or by all of its domain."""
    domain = signer.partition("/")[0]
    return any(
        authorizer.authorize(
            Attributes(
                user=user,
                verb=verb,
                path="",
                is_resource=True,
                api_group=GROUP,
                api_version="*",
                resource="signers",
                name=name,
            )
        ).allowed
        for name in (signer, f"{domain}/*")
    )


def parse_request(encoded: str) -> x509.CertificateSigningRequest:
    """The request of a CertificateSigningRequest's spec. Raises ValueError."""
    try:
        pem = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
    return x509.load_pem_x509_csr(pem)


def _signer(request: AdmissionRequest) -> str:
    # The stored signer counts: an update cannot choose another one for itself.
    source: Object = request.old or request.obj or {}
    return (source.get("spec") or {}).get("signerName") or ""

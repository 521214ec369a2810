"""Approves the requests of nodes, signs what is approved, cleans up."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import structlog

from controllers.certificates import plan as pl
from controllers.context import Context
from machinery.client import ConnectError
from machinery.meta.errors import ApiError, is_forbidden, is_not_found
from machinery.meta.objects import format_time
from machinery.pki.certificates import Authority, KeyPair, sign_csr
from machinery.runtime.controller import Controller

log = structlog.get_logger(__name__)
Object = dict[str, Any]
CERTIFICATES = "certificates.k8s.io/v1"
PLURAL = "certificatesigningrequests"
CLEAN_PERIOD_SECONDS = 3600.0
FORBIDDEN_RETRY_SECONDS = 5.0


class CsrController(Controller):
    def __init__(self, context: Context) -> None:
        super().__init__()
        self.client = context.client_for("certificate-controller")
        self.clock, self.options = context.clock, context.options
        self.requests = context.informers.informer(CERTIFICATES, PLURAL)
        self.requests.add_handler(on_add=self.enqueue, on_update=self.enqueue_update)

    async def wait_synced(self) -> None:
        await self.requests.wait_synced()

    def condition(self, type_: str, reason: str, message: str) -> Object:
        now = format_time(self.clock.now())
        return {"type": type_, "status": "True", "reason": reason, "message": message, "lastUpdateTime": now,
                "lastTransitionTime": now}  # fmt: skip

    async def write(self, csr: Object, status: Object, subresource: str) -> None:
        await self.client.update(CERTIFICATES, PLURAL, {**csr, "status": status}, subresource=subresource)


class Approver(CsrController):
    name = "certificatesigningrequest-approving"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.nodes = context.informers.informer("v1", "nodes")
        self.nodes.add_handler(on_add=self._node_changed, on_update=self._node_updated)

    def _node_changed(self, _node: Object) -> None:
        """Serving certificates wait for the node to report its addresses."""
        for csr in self.requests.items():
            if csr["spec"].get("signerName") == pl.KUBELET_SERVING and pl.is_undecided(csr):
                self.enqueue(csr)

    def _node_updated(self, old: Object, new: Object) -> None:
        if (old.get("status") or {}).get("addresses") != (new.get("status") or {}).get("addresses"):
            self._node_changed(new)

    async def wait_synced(self) -> None:
        await super().wait_synced()
        await self.nodes.wait_synced()

    async def sync(self, key: str) -> str | None:
        csr = self.requests.get(key)
        if csr is None or not pl.is_undecided(csr) or (csr.get("status") or {}).get("certificate"):
            return None
        try:
            subject = pl.parse_request(pl.request_bytes(csr))
        except ValueError:
            return None
        permission = pl.automatic_permission(csr, subject)
        if permission is not None:
            right, message = permission
            rights = (right, "nodeclient") if right == "selfnodeclient" else (right,)
            for number, name in enumerate(rights):
                if await self._may(csr, name):
                    if number:
                        message = "Auto approving kubelet client certificate after SubjectAccessReview."
                    return await self._approve(csr, message)
            return None
        node = self.nodes.get(subject.common_name.removeprefix("system:node:"))
        verdict = pl.serving_approval(csr, subject, node)
        if verdict is None:
            self.queue.add_after(key, 5.0)  # normally the node's report comes first
            return None
        return await self._approve_serving(csr) if verdict else None

    async def _approve_serving(self, csr: Object) -> str | None:
        """The right to approve for this signer is granted by a cluster's bootstrap, or kept for somebody else."""
        try:
            return await self._approve(csr, "Auto approving kubelet serving certificate for the node's own addresses.")
        except ApiError as error:
            if not is_forbidden(error):
                raise
        self.queue.add_after(csr["metadata"]["name"], FORBIDDEN_RETRY_SECONDS)
        return None

    async def _may(self, csr: Object, subresource: str) -> bool:
        spec = csr["spec"]
        review: Object = {
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {
                "user": spec.get("username", ""), "groups": spec.get("groups") or [], "uid": spec.get("uid", ""),
                "extra": spec.get("extra") or {},
                "resourceAttributes": {
                    "group": "certificates.k8s.io", "resource": PLURAL, "subresource": subresource, "verb": "create",
                    "version": "*",
                },
            },
        }  # fmt: skip
        answer = await self.client.create("authorization.k8s.io/v1", "subjectaccessreviews", review)
        return bool((answer.get("status") or {}).get("allowed"))

    async def _approve(self, csr: Object, message: str) -> str:
        status = dict(csr.get("status") or {})
        approved = self.condition("Approved", "AutoApproved", message)
        status["conditions"] = [*(status.get("conditions") or ()), approved]
        await self.write(csr, status, "approval")
        return f"approved the certificate of {csr['spec'].get('username', '')}"


class Signer(CsrController):
    name = "certificatesigningrequest-signing"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        options = context.options
        pair = KeyPair(
            Path(options.cluster_signing_cert_file).read_bytes(), Path(options.cluster_signing_key_file).read_bytes()
        )
        self.authority = Authority.from_pair(pair)

    async def sync(self, key: str) -> str | None:
        csr = self.requests.get(key)
        if csr is None or not pl.awaits_signature(csr):
            return None
        request = pl.request_bytes(csr)
        status = dict(csr.get("status") or {})
        try:
            error = pl.signer_error(csr, pl.parse_request(request))
            if error is None:
                certificate = sign_csr(
                    self.authority, request, self.clock.now(), usages=pl.extended_usages(csr),
                    lifetime=pl.lifetime(csr, self.options.cluster_signing_duration),
                )  # fmt: skip
                status["certificate"] = base64.b64encode(certificate).decode()
        except ValueError as problem:
            error = str(problem)
        if error is not None:
            failed = self.condition("Failed", "SignerValidationFailure", error)
            status["conditions"] = [*(status.get("conditions") or ()), failed]
        await self.write(csr, status, "status")
        return f"refused to sign: {error}" if error else "signed"


class Cleaner:
    """Throws away old requests once an hour."""

    name = "certificatesigningrequest-cleaner"

    def __init__(self, context: Context) -> None:
        self.client, self.clock = context.client_for("certificate-controller"), context.clock
        self.requests = context.informers.informer(CERTIFICATES, PLURAL)

    async def run(self, workers: int = 1) -> None:
        await self.requests.wait_synced()
        while True:
            for csr in self.requests.items():
                if pl.is_obsolete(csr, self.clock.now()):
                    await self._delete(csr["metadata"]["name"])
            await asyncio.sleep(CLEAN_PERIOD_SECONDS)

    async def _delete(self, name: str) -> None:
        try:
            await self.client.delete(CERTIFICATES, PLURAL, name)
        except (ApiError, ConnectError) as error:
            if not is_not_found(error):
                log.info("old signing request not deleted", name=name, error=str(error))


def build_approver(context: Context) -> list[Controller]:
    return [Approver(context)]


def build_signer(context: Context) -> list[Controller]:
    options = context.options
    has_authority = options.cluster_signing_cert_file and options.cluster_signing_key_file
    return [Signer(context)] if has_authority else []


def build_cleaner(context: Context) -> list[Cleaner]:
    return [Cleaner(context)]

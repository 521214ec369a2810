"""The node's own credentials: joining with a bootstrap token, and renewing what was signed.

A join is a certificate signing request made with the token's rights; what comes back becomes the agent's kubeconfig.
At two thirds of a certificate's life the same is done with the old certificate's rights. The serving certificate goes
the same way under another signer; until it is signed the server shows a self-signed one.
"""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from cryptography import x509

from machinery.client import Client, ClientConfig, ConnectError, load_kubeconfig
from machinery.meta.errors import ApiError, is_not_found
from machinery.pki.certificates import KeyPair, create_csr
from machinery.pki.files import write_private
from machinery.pki.kubeconfig import kubeconfig, write_kubeconfig
from machinery.pki.rotation import covers, needs_renewal, renew_at
from machinery.runtime.clock import SYSTEM_CLOCK, Clock

log = structlog.get_logger(__name__)

GV = "certificates.k8s.io/v1"
CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client-kubelet"
SERVING_SIGNER = "kubernetes.io/kubelet-serving"
CLIENT_USAGES = ["digital signature", "client auth"]
SERVING_USAGES = ["digital signature", "server auth"]
POLL_SECONDS = 0.1
POLL_CAP_SECONDS = 5.0
RETRY_SECONDS = 2.0


class SigningDenied(RuntimeError):
    """Someone decided against the request; asking the same again would get the same answer."""


def user_of(node_name: str) -> str:
    return f"system:node:{node_name}"


def signing_request(pem: bytes, signer: str, usages: list[str]) -> dict[str, Any]:
    prefix = "csr-" if signer == CLIENT_SIGNER else "csr-serving-"
    return {
        "apiVersion": GV,
        "kind": "CertificateSigningRequest",
        "metadata": {"generateName": prefix},
        "spec": {"request": base64.b64encode(pem).decode(), "signerName": signer, "usages": usages},
    }


async def request_certificate(
    client: Client, node_name: str, signer: str, usages: list[str], *, dns_names: tuple[str, ...] = (),
    addresses: tuple[str, ...] = (), clock: Clock = SYSTEM_CLOCK,
) -> KeyPair:  # fmt: skip
    """Makes a key, asks, waits until it is signed. Raises `SigningDenied`, ApiError, ConnectError."""
    pem, key = create_csr(
        user_of(node_name), organizations=["system:nodes"], dns_names=dns_names, addresses=addresses
    )
    asked = await client.create(GV, "certificatesigningrequests", signing_request(pem, signer, usages))
    name = asked["metadata"]["name"]
    log.info("certificate requested", request=name, signer=signer)
    delay = POLL_SECONDS
    while True:
        status = asked.get("status") or {}
        if status.get("certificate"):
            return KeyPair(base64.b64decode(status["certificate"]), key)
        for condition in status.get("conditions") or ():
            if condition["type"] in ("Denied", "Failed"):
                raise SigningDenied(f"{name}: {condition['type']}: {condition.get('message', '')}")
        await clock.sleep(delay)
        delay = min(delay * 1.5, POLL_CAP_SECONDS)
        try:
            asked = await client.get(GV, "certificatesigningrequests", name)
        except ApiError as error:
            if is_not_found(error):
                raise SigningDenied(f"{name} was removed before it was signed") from error
            raise


async def join(bootstrap: Path, target: Path, node_name: str, *, clock: Clock = SYSTEM_CLOCK) -> None:
    """From a kubeconfig with a bootstrap token to one with the node's certificate. Waits as long as it takes."""
    if target.exists():
        return
    config = load_kubeconfig(bootstrap)
    async with Client.from_kubeconfig(bootstrap, user_agent="kubelet") as client:
        while True:
            try:
                pair = await request_certificate(client, node_name, CLIENT_SIGNER, CLIENT_USAGES, clock=clock)
                break
            except (ApiError, ConnectError) as error:
                log.info("joining waits", error=str(error))
            except SigningDenied as error:
                log.error("join refused", error=str(error))
            await clock.sleep(RETRY_SECONDS)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_kubeconfig(target, kubeconfig(config.server, ca_pem(config), user=user_of(node_name), client=pair))
    log.info("joined the cluster", node=node_name, kubeconfig=str(target))


def client_certificate(path: Path) -> x509.Certificate | None:
    """The certificate inside a kubeconfig; None when it authenticates in another way."""
    config = load_kubeconfig(path)
    data = config.cert_data or (Path(config.cert_file).read_bytes() if config.cert_file else b"")
    return x509.load_pem_x509_certificate(data) if data else None


@dataclass(slots=True)
class Rotation:
    """Renews the client certificate and tells the client library about it."""

    client: Client
    kubeconfig_path: Path
    node_name: str
    reload: Callable[[], Awaitable[None]]
    clock: Clock = SYSTEM_CLOCK

    async def run(self) -> None:
        while True:
            certificate = client_certificate(self.kubeconfig_path)
            if certificate is None or not _is_node(certificate, self.node_name):
                await asyncio.Event().wait()  # a token, or someone else's certificate: not ours to renew
                return
            wait = (renew_at(certificate) - self.clock.now()).total_seconds()
            if wait > 0:
                await self.clock.sleep(min(wait, 3600.0))
                continue
            try:
                await self._renew()
            except (ApiError, ConnectError, SigningDenied) as error:
                log.warning("client certificate not renewed", error=str(error))
                await self.clock.sleep(RETRY_SECONDS * random.uniform(5, 15))

    async def _renew(self) -> None:
        pair = await request_certificate(
            self.client, self.node_name, CLIENT_SIGNER, CLIENT_USAGES, clock=self.clock
        )
        config = load_kubeconfig(self.kubeconfig_path)
        document = kubeconfig(config.server, ca_pem(config), user=user_of(self.node_name), client=pair)
        write_kubeconfig(self.kubeconfig_path, document)
        await self.reload()
        log.info("client certificate renewed")


def ca_pem(config: ClientConfig) -> bytes:
    return config.ca_data or (Path(config.ca_file).read_bytes() if config.ca_file else b"")


def _is_node(certificate: x509.Certificate, node_name: str) -> bool:
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return bool(names) and names[0].value == user_of(node_name)


class ServingCertificate:
    """The files that the agent's server shows: ``kubelet.crt`` and ``kubelet.key`` in the certificate directory."""

    def __init__(
        self, client: Client, directory: Path, node_name: str, hostname: str, addresses: tuple[str, ...], *,
        on_change: Callable[[], None] = lambda: None, clock: Clock = SYSTEM_CLOCK,
    ) -> None:  # fmt: skip
        self._client, self._directory, self._node_name = client, directory, node_name
        self._names, self._addresses, self._clock = (hostname,), addresses, clock
        self._on_change = on_change

    @property
    def paths(self) -> tuple[Path, Path]:
        return self._directory / "kubelet.crt", self._directory / "kubelet.key"

    def current(self) -> x509.Certificate | None:
        """What is on the disk, if it is still good for this machine's names."""
        certificate_path, key_path = self.paths
        try:
            certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
        except (OSError, ValueError):
            return None
        usable = key_path.exists() and covers(certificate, self._names, self._addresses)
        return certificate if usable and not needs_renewal(certificate, self._clock.now()) else None

    async def run(self) -> None:
        while True:
            certificate = self.current()
            if certificate is not None:
                wait = (renew_at(certificate) - self._clock.now()).total_seconds()
                await self._clock.sleep(min(max(wait, 1.0), 3600.0))
                continue
            try:
                pair = await request_certificate(
                    self._client, self._node_name, SERVING_SIGNER, SERVING_USAGES, dns_names=self._names,
                    addresses=self._addresses, clock=self._clock,
                )  # fmt: skip
            except (ApiError, ConnectError, SigningDenied) as error:
                log.warning("serving certificate not signed", error=str(error))
                await self._clock.sleep(RETRY_SECONDS * random.uniform(5, 15))
                continue
            self.write(pair)

    def write(self, pair: KeyPair) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        certificate_path, key_path = self.paths
        write_private(key_path, pair.key_pem)
        write_private(certificate_path, pair.certificate_pem)
        log.info("serving certificate in place")
        self._on_change()

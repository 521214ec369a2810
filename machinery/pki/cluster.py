"""Everything under HOME/pki and HOME/kubeconfig, created when missing and renewed when due.

``ensure_cluster_pki`` is called at every start: it is level-based (it looks at what is there, not at what happened
before), so a home that was copied, half written or left in a drawer for a year comes back with working certificates.
The authorities and the service-account key are never replaced: what they signed is out in the world.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from machinery.pki.certificates import (
    CLIENT_AUTH,
    SERVER_AUTH,
    Authority,
    KeyPair,
    create_authority,
    issue,
)
from machinery.pki.files import ensure_private_directory, write_private, write_public
from machinery.pki.kubeconfig import kubeconfig, write_kubeconfig
from machinery.pki.rotation import covers, is_signed_by, needs_renewal

SERVING_NAMES = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "localhost",
)
SERVING_ADDRESSES = ("127.0.0.1", "10.96.0.1")

# kubeconfig file -> (user, groups)
COMPONENTS = {
    "admin": ("kubernetes-admin", ("system:masters",)),
    "controllers": ("system:kube-controller-manager", ()),
    "scheduler": ("system:kube-scheduler", ()),
}


@dataclass(frozen=True)
class ClusterPki:
    """Where everything is. ``changed`` names the files that this call wrote."""

    home: Path
    changed: tuple[str, ...]

    def path(self, name: str) -> Path:
        return self.home / "pki" / name

    def kubeconfig(self, name: str) -> Path:
        return self.home / "kubeconfig" / f"{name}.kubeconfig"

    @property
    def ca_certificate(self) -> Path:
        return self.path("ca.crt")

    def authority(self, name: str = "ca") -> Authority:
        return Authority.from_pair(_read_pair(self.home / "pki", name))


def ensure_cluster_pki(
    home: Path,
    now: datetime,
    *,
    advertise_addresses: Iterable[str] = (),
    extra_names: Iterable[str] = (),
    server: str = "https://127.0.0.1:6443",
    component_server: str | None = None,
) -> ClusterPki:
    """Create what is missing, renew what is due.

    ``server`` is the address in the admin's kubeconfig, ``component_server`` in those of the controllers and the
    scheduler, which may reach the API server on another path; without it they use the same.
    """
    servers = (server, component_server or server)
    return _Home(home, now).ensure(tuple(advertise_addresses), tuple(extra_names), *servers)


class _Home:
    def __init__(self, home: Path, now: datetime) -> None:
        self.home, self.now = home, now
        self.pki = home / "pki"
        self.changed: list[str] = []

    def ensure(
        self, addresses: tuple[str, ...], extra_names: tuple[str, ...], admin_server: str, component_server: str
    ) -> ClusterPki:
        ensure_private_directory(self.pki)
        ensure_private_directory(self.home / "kubeconfig")
        ca = self.authority("ca", "kubernetes-ca")
        front_proxy = self.authority("front-proxy-ca", "front-proxy-ca")
        self.leaf(
            "apiserver", ca, "kube-apiserver", usages=(SERVER_AUTH,),
            dns_names=(*SERVING_NAMES, *extra_names), addresses=(*SERVING_ADDRESSES, *addresses),
        )  # fmt: skip
        self.leaf("apiserver-kubelet-client", ca, "kube-apiserver-kubelet-client", organizations=("system:masters",))
        self.leaf("front-proxy-client", front_proxy, "front-proxy-client")
        self.service_account_key()
        for name, (user, groups) in COMPONENTS.items():
            self.component(name, ca, user, groups, admin_server if name == "admin" else component_server)
        return ClusterPki(self.home, tuple(self.changed))

    def authority(self, name: str, common_name: str) -> Authority:
        if (self.pki / f"{name}.key").exists() and (self.pki / f"{name}.crt").exists():
            return Authority.from_pair(_read_pair(self.pki, name))
        if (self.pki / f"{name}.crt").exists():
            raise FileNotFoundError(f"{self.pki}/{name}.key is missing: an authority cannot be replaced silently")
        authority = create_authority(common_name, self.now)
        self.write_pair(name, authority.pair())
        return authority

    def leaf(
        self,
        name: str,
        authority: Authority,
        common_name: str,
        *,
        organizations: Sequence[str] = (),
        dns_names: Sequence[str] = (),
        addresses: Sequence[str] = (),
        usages: Sequence[Any] = (CLIENT_AUTH,),
    ) -> None:
        if (self.pki / f"{name}.crt").exists() and (self.pki / f"{name}.key").exists():
            present = _read_pair(self.pki, name).certificate()
            if (
                not needs_renewal(present, self.now)
                and is_signed_by(present, authority.certificate)
                and covers(present, dns_names, addresses)
            ):
                return
        pair = issue(
            authority, common_name, self.now, organizations=organizations,
            dns_names=dns_names, addresses=addresses, usages=usages,
        )  # fmt: skip
        self.write_pair(name, pair)

    def service_account_key(self) -> None:
        """RSA, because the issuer's discovery document promises RS256; verifying a token is cheap with it."""
        private, public = self.pki / "sa.key", self.pki / "sa.pub"
        if not private.exists():
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            pem = key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
            )
            write_private(private, pem)
            public.unlink(missing_ok=True)
            self.changed.append("pki/sa.key")
        if not public.exists():
            loaded = serialization.load_pem_private_key(private.read_bytes(), password=None)
            write_public(
                public,
                loaded.public_key().public_bytes(
                    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
                ),
            )
            self.changed.append("pki/sa.pub")

    def component(self, name: str, ca: Authority, user: str, groups: Sequence[str], server: str) -> None:
        path = self.home / "kubeconfig" / f"{name}.kubeconfig"
        if path.exists() and self.is_current(path, ca, server):
            return
        client = issue(ca, user, self.now, organizations=groups)
        write_kubeconfig(path, kubeconfig(server, ca.pair().certificate_pem, user=user, client=client))
        self.changed.append(f"kubeconfig/{name}.kubeconfig")

    def is_current(self, path: Path, ca: Authority, server: str) -> bool:
        try:
            # CSafeLoader: the pure-Python one costs more than issuing the certificate anew.
            config = yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)
            cluster = config["clusters"][0]["cluster"]
            data = config["users"][0]["user"]
            pair = KeyPair(base64.b64decode(data["client-certificate-data"]), base64.b64decode(data["client-key-data"]))
            certificate = pair.certificate()
        except (yaml.YAMLError, KeyError, IndexError, TypeError, ValueError):
            return False
        return (
            cluster.get("server") == server
            and base64.b64decode(cluster["certificate-authority-data"]) == ca.pair().certificate_pem
            and is_signed_by(certificate, ca.certificate)
            and not needs_renewal(certificate, self.now)
        )

    def write_pair(self, name: str, pair: KeyPair) -> None:
        # The key first: a certificate without its key cannot be repaired, a key without a certificate can.
        write_private(self.pki / f"{name}.key", pair.key_pem)
        write_public(self.pki / f"{name}.crt", pair.certificate_pem)
        self.changed.append(f"pki/{name}.crt")


def _read_pair(directory: Path, name: str) -> KeyPair:
    return KeyPair((directory / f"{name}.crt").read_bytes(), (directory / f"{name}.key").read_bytes())

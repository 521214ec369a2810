"""Kubeconfig files: where the API is and who we are there.

Reads what kubectl reads, as far as components need it: server, CA, client certificate, token, token file; each as a
path or as inline data. Relative paths are relative to the file, as in kubectl. Inside a pod the mounted service
account serves as the configuration.
"""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

SERVICE_ACCOUNT_DIR = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class KubeconfigError(Exception):
    """The file is missing, unreadable or names something that is not in it. The text says which and what to do."""


@dataclass(frozen=True)
class ClientConfig:
    """Where and who. ``*_data`` are PEM bytes; files are read anew by :meth:`ssl_context` so that rotation works."""

    server: str
    ca_file: str = ""
    ca_data: bytes = b""
    insecure: bool = False
    tls_server_name: str = ""
    cert_file: str = ""
    cert_data: bytes = b""
    key_file: str = ""
    key_data: bytes = b""
    token: str = field(default="", repr=False)
    token_file: str = ""
    namespace: str = "default"
    impersonate: str = ""

    def bearer_token(self) -> str:
        """The token to send now; a token file is read each time (projected tokens rotate in place)."""
        if self.token_file:
            return Path(self.token_file).read_text(encoding="utf-8").strip()
        return self.token

    def ssl_context(self) -> ssl.SSLContext | bool:
        """A context for https servers (False for plain http)."""
        if not self.server.startswith("https:"):
            return False
        context = ssl.create_default_context(
            cafile=self.ca_file or None, cadata=self.ca_data.decode() if self.ca_data else None
        )
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.cert_data or self.cert_file:
            _load_pair(context, self)
        return context


def _load_pair(context: ssl.SSLContext, config: ClientConfig) -> None:
    """ssl loads certificates from files only; inline data passes through a private file that is gone at once."""
    if config.cert_file and config.key_file and not (config.cert_data or config.key_data):
        context.load_cert_chain(config.cert_file, config.key_file)
        return
    cert = config.cert_data or Path(config.cert_file).read_bytes()
    key = config.key_data or (Path(config.key_file).read_bytes() if config.key_file else b"")
    descriptor, path = tempfile.mkstemp(prefix="navarch-pair-")
    try:
        with os.fdopen(descriptor, "wb") as pair:
            pair.write(cert.rstrip(b"\n") + b"\n" + key)
        context.load_cert_chain(path)
    finally:
        os.unlink(path)


def load_kubeconfig(source: str | Path | dict[str, Any], context: str = "") -> ClientConfig:
    """From a path or a parsed document; ``context`` overrides ``current-context``. Raises KubeconfigError."""
    base = Path()
    if isinstance(source, dict):
        doc = source
    else:
        base = Path(source).resolve().parent
        try:
            doc = yaml.load(Path(source).read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        except FileNotFoundError:
            raise KubeconfigError(f"no kubeconfig at {source}: name one with --kubeconfig") from None
        except (OSError, yaml.YAMLError) as error:
            raise KubeconfigError(f"cannot read kubeconfig {source}: {error}") from error
    if not isinstance(doc, dict):
        raise KubeconfigError(f"kubeconfig {source} is not a mapping")
    name = context or doc.get("current-context") or ""
    chosen = _named(doc, "contexts", "context", name)
    cluster = _named(doc, "clusters", "cluster", chosen.get("cluster", ""))
    user = _named(doc, "users", "user", chosen["user"]) if chosen.get("user") else {}

    def path(entry: dict[str, Any], key: str) -> str:
        return str(base / entry[key]) if entry.get(key) else ""

    def data(entry: dict[str, Any], key: str) -> bytes:
        return base64.b64decode(entry[key]) if entry.get(key) else b""

    return ClientConfig(
        server=str(cluster.get("server", "")).rstrip("/"),
        ca_file=path(cluster, "certificate-authority"),
        ca_data=data(cluster, "certificate-authority-data"),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        tls_server_name=cluster.get("tls-server-name") or "",
        cert_file=path(user, "client-certificate"),
        cert_data=data(user, "client-certificate-data"),
        key_file=path(user, "client-key"),
        key_data=data(user, "client-key-data"),
        token=user.get("token") or "",
        token_file=path(user, "tokenFile"),
        namespace=chosen.get("namespace") or "default",
        impersonate=user.get("as") or "",
    )


def in_cluster_config() -> ClientConfig:
    """The configuration of a pod: environment plus mounted service account."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (SERVICE_ACCOUNT_DIR / "token").exists():
        raise KubeconfigError("not inside a pod: no service account is mounted; name a file with --kubeconfig")
    host = f"[{host}]" if ":" in host else host
    return ClientConfig(
        server=f"https://{host}:{port}",
        ca_file=str(SERVICE_ACCOUNT_DIR / "ca.crt"),
        token_file=str(SERVICE_ACCOUNT_DIR / "token"),
        namespace=(SERVICE_ACCOUNT_DIR / "namespace").read_text(encoding="utf-8").strip(),
    )


def _named(doc: dict[str, Any], section: str, key: str, name: str) -> dict[str, Any]:
    for entry in doc.get(section) or ():
        if entry.get("name") == name:
            return entry.get(key) or {}
    raise KubeconfigError(f"kubeconfig has no entry {name!r} under {section}")

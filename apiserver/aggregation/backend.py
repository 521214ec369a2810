"""The way to a remote server: its address, our certificate, and the headers that say for whom we ask."""

from __future__ import annotations

import base64
import ssl
from pathlib import Path
from urllib.parse import quote

from apiserver.aggregation.registrations import Remote
from apiserver.aggregation.services import resolve_service
from apiserver.auth.interface import SYSTEM_MASTERS, User
from apiserver.registry.interface import ObjectReader
from apiserver.server.takeover import Backend

#: For whom the server itself asks: what remote servers know the aggregator by.
AGGREGATOR = User("system:kube-aggregator", groups=(SYSTEM_MASTERS,))


def identity_headers(user: User) -> tuple[tuple[str, str], ...]:
    """Remote servers believe these because they come with the front proxy's certificate."""
    headers = [("X-Remote-User", user.name)]
    if user.uid:
        headers.append(("X-Remote-Uid", user.uid))
    headers += [("X-Remote-Group", group) for group in user.groups]
    headers += [(f"X-Remote-Extra-{quote(key, safe='')}", value) for key, values in user.extra.items() for value in values]
    return tuple(headers)


class Backends:
    def __init__(self, reader: ObjectReader, certificate: Path, key: Path) -> None:
        self._reader = reader
        self._files = (certificate, key)
        self._contexts: dict[tuple[str, bool], ssl.SSLContext] = {}

    def to(self, remote: Remote, target: str, user: User) -> Backend:
        """Raises ``ServiceError`` when there is no way."""
        host, port = resolve_service(self._reader, remote.namespace, remote.service, remote.port)
        return Backend(host, port, target, self._tls(remote), remote.host, identity_headers(user))

    def _tls(self, remote: Remote) -> ssl.SSLContext:
        key = (remote.ca_bundle, remote.insecure)
        context = self._contexts.get(key)
        if context is None:
            context = self._contexts[key] = self._make(*key)
        return context

    def _make(self, ca_bundle: str, insecure: bool) -> ssl.SSLContext:
        authorities = base64.b64decode(ca_bundle).decode("ascii", "ignore") if ca_bundle else None
        context = ssl.create_default_context(cadata=authorities)
        if insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        certificate, key = self._files
        if certificate.exists():
            context.load_cert_chain(certificate, key)
        return context
